"""Real tokenizers with their families' chat templates, made from what ``fetch_tokenizers`` brought into the cache."""

import base64
import json
import os
import struct
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

import fetch_tokenizers
from marked import LLAMA2

#: Mistral's conversations of version 3: with SentencePiece a blank stands around the user's text, with Tekken none.
MISTRAL = (
    "{{{{ bos_token }}}}{{% for m in messages %}}{{% if m.role == 'user' %}}[INST]{0}{{{{ m.content }}}}[/INST]"
    "{{% elif m.role == 'assistant' %}}{0}{{{{ m.content }}}}{{{{ eos_token }}}}"
    "{{% else %}}{{{{ raise_exception('no system role') }}}}{{% endif %}}{{% endfor %}}"
)


def place(name: str) -> Path:
    """A file of the cache; without it the test skips, or fails where CI=true."""
    path = fetch_tokenizers.cache() / name
    if not path.exists():
        reason = f"no real tokenizers here ({path}): make tokenizers"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return path


def packaged(name: str, template: str | None = None) -> PreTrainedTokenizerFast:
    made = AutoTokenizer.from_pretrained(place(f"{name}/tokenizer.json").parent)
    made.chat_template = place(f"templates/{template}.jinja").read_text(encoding="utf-8") if template else LLAMA2
    return made


def generic_llama2() -> PreTrainedTokenizerFast:
    """The same file, as it loads where ``tokenizer_class`` names no class of its own."""
    words = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    made = PreTrainedTokenizerFast(tokenizer_file=str(place("llama2/tokenizer.json")), **words)
    made.chat_template = LLAMA2
    return made


def mistral_v3() -> PreTrainedTokenizerFast:
    """SentencePiece: pieces with scores; two are joined if the joined piece is there, the best score first."""
    pieces = list(_pieces(place("mistral/v3.model").read_bytes()))
    vocabulary = {piece: n for n, (piece, _, _) in enumerate(pieces)}
    scores = {piece: score for piece, score, _ in pieces}
    merges = [
        (-scores[piece], vocabulary[piece[:cut]], vocabulary[piece[cut:]], (piece[:cut], piece[cut:]))
        for piece, _, kind in pieces
        if kind == 1
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    joined = [pair for *_, pair in sorted(merges)]
    raw = Tokenizer(models.BPE(vocabulary, joined, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    raw.add_special_tokens([AddedToken(piece, normalized=False) for piece, _, kind in pieces if kind in (2, 3)])
    return _mistral(raw, " ")


def tekken() -> PreTrainedTokenizerFast:
    """Tekken: byte pairs by rank, behind a thousand special tokens."""
    told = json.loads(place("mistral/tekken.json").read_bytes())
    special = told["config"]["default_num_special_tokens"]
    named = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]"]
    named += ["[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]"]
    named += ["[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"]
    named += [f"<SPECIAL_{n}>" for n in range(len(named), special)]
    kept = told["vocab"][: told["config"]["default_vocab_size"] - special]
    letters = bytes_to_unicode()
    ranked = [("".join(letters[b] for b in base64.b64decode(token["token_bytes"])), token["rank"]) for token in kept]
    ranks = dict(ranked)
    merges = [_halves(piece, ranks, rank) for piece, rank in ranked if len(piece) > 1]
    vocabulary = {token: n for n, token in enumerate(named)} | {piece: special + rank for piece, rank in ranked}
    raw = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(told["config"]["pattern"]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, normalized=False) for token in named])
    return _mistral(raw, "")


def _halves(piece: str, ranks: dict[str, int], rank: int) -> tuple[str, str]:
    """The two pieces that are joined last on the way to a piece."""
    parts = list(piece)
    while len(parts) > 2:
        joined = [ranks.get(a + b, rank) for a, b in pairwise(parts)]
        at = min(range(len(joined)), key=joined.__getitem__)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


def smollm2() -> PreTrainedTokenizerFast:
    told = json.loads(place("smollm2/gguf.json").read_bytes())
    tokens, control = told["ggml.tokens"], 3
    vocabulary = {token: n for n, token in enumerate(tokens)}
    raw = Tokenizer(models.BPE(vocabulary, [tuple(pair.split(" ")) for pair in told["ggml.merges"]]))
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    raw.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, told["ggml.token_type"], strict=True) if kind == control]
    raw.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    begin, end = (tokens[told[f"ggml.{which}_token_id"]] for which in ("bos", "eos"))
    made = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token=begin, eos_token=end)
    made.chat_template = told["chat_template"]
    return made


def _mistral(raw: Tokenizer, blank: str) -> PreTrainedTokenizerFast:
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    made.chat_template = MISTRAL.format(blank)
    return made


def _pieces(model: bytes) -> Iterator[tuple[str, float, int]]:
    """Yield (piece, score, kind) of a SentencePiece model: a protocol buffer whose field 1 are the pieces."""
    for number, value in _fields(model):
        if number == 1:
            piece = dict(_fields(value))
            yield piece[1].decode(), piece.get(2, 0.0), piece.get(3, 1)


def _fields(message: bytes) -> Iterator[tuple[int, object]]:
    """Yield the fields of a protocol buffer: numbers, 32-bit floats, and bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        kind = key & 7
        if kind == 0:
            yield key >> 3, number()
            continue
        size = number() if kind == 2 else {5: 4, 1: 8}[kind]
        value, at = message[at : at + size], at + size
        yield key >> 3, struct.unpack("<f", value)[0] if kind == 5 else value


#: Family -> its tokenizer with the chat template, and the token that ends a turn.
FAMILIES: dict[str, tuple[Callable[[], PreTrainedTokenizerFast], str]] = {
    "Llama 2": (lambda: packaged("llama2"), "</s>"),
    "Llama 2 (generic)": (generic_llama2, "</s>"),
    "Llama 3.1": (lambda: packaged("llama3_1", "llama3_1"), "<|eot_id|>"),
    "Llama 3.2": (lambda: packaged("llama3_1", "llama3_2"), "<|eot_id|>"),
    "Qwen 3": (lambda: packaged("qwen3", "qwen3"), "<|im_end|>"),
    "Gemma 3": (lambda: packaged("gemma3", "gemma3"), "<end_of_turn>"),
    "gpt-oss": (lambda: packaged("gptoss", "gptoss"), "<|return|>"),
    "DeepSeek V3": (lambda: packaged("deepseek_v3", "deepseekv3"), "<｜end▁of▁sentence｜>"),
    "Mistral v3": (mistral_v3, "</s>"),
    "Mistral Tekken": (tekken, "</s>"),
    "SmolLM2": (smollm2, "<|im_end|>"),
}


@cache
def tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A family's tokenizer; it is shared, so leave it as it is."""
    return FAMILIES[family][0]()
