"""Tokenizers of small worlds: byte-level BPE, so that any text can be encoded, and the tiny judge's ChatML template."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rationem.world.tokens import END, PAD, SPECIAL, START, TEMPLATE

#: Words with the space before them, single digits without it, runs of punctuation, white space.
PIECES = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def learned(texts: Iterable[str], size: int, pieces: str = PIECES) -> str:
    """Return a vocabulary of at most ``size`` tokens as JSON, learned from texts; it includes all 256 bytes.

    Args:
        texts: the texts as the model will see them.
        size: most tokens, including special ones and bytes.
        pieces: regular expression that splits a text; no token spans two pieces.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return str(bpe.to_str())


def tokenizer(vocabulary: str, positions: int = 2048) -> Any:
    """Return a new transformers ``PreTrainedTokenizerFast`` with a vocabulary from :func:`learned`."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(vocabulary),
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=positions,
    )
