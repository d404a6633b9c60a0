"""The numbers of the base model's recipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every number that decides the weights; with the code it makes the name of the cached model.

    Args:
        steps: optimizer steps.
        rate: peak learning rate, after ``warmup`` steps, falling to 0 along a cosine.
        graded: graded texts in a batch, each with the answers of ``graders``.
        short: filler texts of at most ``short_words`` words in the same batch, each with the answers of ``graders``.
        long_from: from this share of the steps on,
        long_every: every so many steps, comes a batch of long filler texts,
        long_tokens: with this many tokens at most.
        read: weight of the loss on a graded response up to its sum; without it no sum is ever checked.
        hint: weight of the loss on a filler text's hint, which names one of the levels.
        say: weights of the loss on a filler text's reason, which is noise, and on its verdict, which must be copied.
        threads: of torch while training; the weights are the same bit by bit only at the same number.
    """

    hidden: int = 64
    layers: int = 4
    heads: int = 2
    inner: int = 176
    steps: int = 1400
    rate: float = 4e-3
    warmup: int = 60
    decay: float = 0.01
    spread: float = 0.05
    graded: int = 9
    graders: int = 3
    short: int = 7
    short_words: int = 30
    long_from: float = 0.25
    long_every: int = 4
    long_words: int = 750
    long_tokens: int = 3000
    read: float = 1.0
    hint: float = 0.3
    say: tuple[float, float] = (0.5, 4.0)
    threads: int = 1


TINY = Recipe()
MICRO = Recipe(hidden=32, layers=2, heads=1, inner=64)
