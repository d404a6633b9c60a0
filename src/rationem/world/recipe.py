"""The numbers of the tiny judge's recipe."""

from __future__ import annotations

from dataclasses import dataclass, field

from rationem.world.training import LlamaShape, Schedule


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers that determine the weights.

    Args:
        shape: the model's dimensions.
        schedule: the training schedule.
        graded: graded texts in a batch, each with ``graders`` answers.
        short: filler texts of at most ``short_words`` words in the same batch, each with ``graders`` answers.
        long_from: share of the steps before the first batch of long filler texts.
        long_every: from then on, steps between two such batches.
        long_tokens: most tokens in such a batch.
        read: loss weight of a graded response up to its sum; with 0 the model never learns to check a sum.
        hint: loss weight of a filler text's hint, which names one of the levels.
        say: loss weights of a filler text's reason, which is noise, and of its verdict, which must be copied.
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
