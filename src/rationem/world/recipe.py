"""The numbers of the tiny judge's recipe."""

from __future__ import annotations

from dataclasses import dataclass, field

from rationem.world.training import LlamaShape, Schedule


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers that decide the weights.

    Args:
        shape: of the model.
        schedule: of its training.
        graded: graded texts in a batch, each with the answers of ``graders``.
        short: filler texts of at most ``short_words`` words in the same batch, each with the answers of ``graders``.
        long_from: from this share of the steps on,
        long_every: every so many steps, comes a batch of long filler texts,
        long_tokens: with this many tokens at most.
        read: weight of the loss on a graded response up to its sum; without it no sum is ever checked.
        hint: weight of the loss on a filler text's hint, which names one of the levels.
        say: weights of the loss on a filler text's reason, which is noise, and on its verdict, which must be copied.
    """

    shape: LlamaShape = field(default_factory=lambda: LlamaShape(layers=4))
    schedule: Schedule = field(default_factory=lambda: Schedule(1400))
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


TINY = Recipe()
MICRO = Recipe(LlamaShape(hidden=32, layers=2, heads=1, inner=64))
