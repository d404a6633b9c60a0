"""The numbers of the tiny adder's recipe."""

from __future__ import annotations

from dataclasses import dataclass, field

from rationem.world.training import LlamaShape, Schedule

#: Numbers of at most this many digits are added without guesses.
SHORT = 2


@dataclass(frozen=True, slots=True)
class AdderRecipe:
    """The numbers that determine the weights.

    Args:
        shape: the model's dimensions.
        schedule: the training schedule.
        batch: texts in a batch.
        drills: the drills among them.
        young: in this first share of the steps numbers outside drills have at most ``SHORT`` digits, without hints.
        lengths: shares of the texts with numbers of 1, 2, ... digits.
        guesses: by number of digits, the probability that a column's digit is a guess.
        hinted: after ``young``, the share of texts with a hint, for short and for long numbers.
        misled: share of the hinted texts with guesses, whose hint is the guessed result.
    """

    shape: LlamaShape = field(default_factory=LlamaShape)
    schedule: Schedule = field(default_factory=lambda: Schedule(1200))
    batch: int = 28
    drills: int = 9
    young: float = 0.35
    lengths: tuple[float, ...] = (0.1, 0.35, 0.15, 0.2, 0.2)
    guesses: tuple[float, ...] = (0.0, 0.0, 0.6, 0.75, 0.85)
    hinted: tuple[float, float] = (0.3, 0.6)
    misled: float = 0.2


TINY = AdderRecipe()
