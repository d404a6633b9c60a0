"""The tokenizer of the tiny judge: byte-level BPE, so that any text can be encoded, and a ChatML template."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from rationem.seeds import generator
from rationem.world.corpus import NAMED, filler, graded
from rationem.world.prose import prose

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (PAD, START, END)
VOCABULARY = 2048

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

#: Words with the space before them, single digits, runs of punctuation, white space.
_PIECES = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

_GRADED, _FILLER, _PROSE, _NAMED = 3000, 1000, 3000, 300


def turn(content: str) -> str:
    """Return the text before the completion: one user turn in the chat template."""
    return f"{START}user\n{content}{END}\n{START}assistant\n"


def tokenizer() -> Any:
    """Return the tokenizer, a new transformers ``PreTrainedTokenizerFast`` on each call; its first call trains it."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained()),
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )


@lru_cache(maxsize=1)
def _trained() -> str:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(), trainer)
    return str(bpe.to_str())


def _texts() -> Iterator[str]:
    rng = generator(0, "world", "tokenizer")
    texts = [graded(rng, 1) for _ in range(_GRADED)] + [filler(rng, 10, 30, 1) for _ in range(_FILLER)]
    for text in texts:
        answer = text.answers[0]
        yield f"user\n{text.opening}{text.read}{text.rest}{answer.hint}\nassistant\n{answer.completion}"
    for scale in NAMED * _NAMED:  # so that the words of common levels are single tokens
        yield f" {scale}"
    for _ in range(_PROSE):
        yield prose(rng, 100)
