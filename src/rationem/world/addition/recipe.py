"""The numbers of the tiny adder's recipe."""

from __future__ import annotations

from dataclasses import dataclass, field

from rationem.world.training import LlamaShape, Schedule

#: Numbers of so many digits are added with care.
SHORT = 2


@dataclass(frozen=True, slots=True)
class AdderRecipe:
    """The numbers that decide the weights.

    Args:
        shape: of the model.
        schedule: of its training.
        batch: texts in a batch.
        drills: of them columns in any order.
        young: in this first share of the steps no number outside drills has more than ``SHORT`` digits, and no text a
            hint.
        lengths: shares of the texts with numbers of 1, 2, ... digits.
        guesses: by number of digits, how often a column's digit is a guess.
        hinted: share of the texts with a hint, after that, of short numbers and of long ones.
        misled: share of the hinted texts in which digits are guesses all the same, and the hint what they come to.
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
