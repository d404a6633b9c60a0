"""Small tokenizers that put a mark in front of every text they are given, as SentencePiece's do: " 3" is "▁ 3"."""

import json
from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from checkpoints import TEXT

#: Llama 2's own conversation; its prompt ends with "[/INST]", which is no token, and its answers begin with a blank.
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
#: How the mark gets there: by a normalizer (the file format of Llama 2), or by a pre-tokenizer, always or once.
KINDS = ("prepend", "always", "first")


@cache
def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The pieces of the tests' text, each with and without a mark, and how they are joined; bytes for all others."""
    raw = Tokenizer(models.BPE())
    words = [word for word in TEXT.replace("\n", " \n ").split(" ") if word]
    trainer = trainers.BpeTrainer(vocab_size=240, show_progress=False)
    raw.train_from_iterator([text for word in words for text in (word, f"▁{word}", "▁▁")], trainer)
    learned = json.loads(raw.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), *learned["vocab"]]
    return {piece: n for n, piece in enumerate(pieces)}, [tuple(pair) for pair in learned["merges"]]


@cache
def tokenizer(kind: str, *, begins: bool = True, template: str | None = None) -> PreTrainedTokenizerFast:
    vocabulary, merges = _vocabulary()
    raw = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    if kind == "prepend":
        raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        raw.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=kind, split=False)
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    if begins:
        raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    made.chat_template = template
    return made
