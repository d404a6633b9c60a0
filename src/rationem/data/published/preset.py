"""What a preset says of a published set: its keys, its scale, its criteria, and how a row becomes named cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rationem.data.columns import Columns
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale

Cells = Mapping[str, Any]


def _any_shape(_: Cells) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the rows of a published set count in training.

    Args:
        weights: one per row, positive.
        reading: how the cells were read.
        unknown: rows whose cell holds no number; they count as much as the others on average.
    """

    weights: list[float]
    reading: str
    unknown: int


def _as_they_are(cells: Sequence[object]) -> Weighed:
    return Weighed([float(str(cell)) for cell in cells], "as it stands", 0)


#: The layout of items -> the name of the task that asks for them.
TASK_OF = {"responses": "judge", "choices": "choice"}


@dataclass(frozen=True, slots=True)
class Preset:
    """How to read the rows of one published set.

    Args:
        name: what the user calls it.
        schema: one sentence on the keys that its rows have, for error messages.
        scale: the levels of its ratings; None for multiple choice, whose letters the items decide, and open answers.
        columns: the names in the rows that ``flatten`` returns.
        inputs: the keys that a row must have to be judged.
        labels: the keys that it must have besides to be learned from.
        flatten: a published row -> a row with one cell for every named column, and nothing else; a rating that is
            not there becomes None, and what cannot be one a ``ValueError`` that says so in a sentence.
        shaped: whether the inputs have the shape of this set, where the keys alone do not tell.
        extras: keys that are read where a row has them.
        criteria: what was rated; one without a name where there is only one.
        empty: what stands for a response without text, which people rated too; "" where there is none.
        named_only: it is never recognised, for another preset reads the same rows.
        nullable: a rating may be missing; such an item is left out and counted, also where one criterion is asked.
        lenient: the same rater's second rating of an item is left out and counted: nobody can mend published data.
        task: the task with open answers that it is for; "" for judging and multiple choice.
        once: of a task with open answers, items that say the same are kept once and counted.
        weights: what ``--weight-col`` can name -> the key that it is read from.
        weigh: the cells of all rows of a weight -> the weights.
    """

    name: str
    schema: str
    scale: Scale | None
    columns: Columns
    inputs: tuple[str, ...]
    labels: tuple[str, ...]
    flatten: Callable[[Cells], dict[str, object]]
    shaped: Callable[[Cells], bool] = _any_shape
    extras: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = (Criterion(),)
    empty: str = ""
    named_only: bool = False
    nullable: bool = False
    lenient: bool = False
    task: str = ""
    once: bool = False
    weights: Mapping[str, str] = field(default_factory=dict)
    weigh: Callable[[Sequence[object]], Weighed] = _as_they_are

    @property
    def for_task(self) -> str:
        """The name of the task that it is for."""
        return self.task or TASK_OF[self.columns.items]

    @property
    def reads(self) -> tuple[str, ...]:
        """All keys that are ever looked at."""
        return (*self.inputs, *self.labels, *self.extras)

    def can_be_judged(self, cells: Cells) -> bool:
        """Say whether a row has the inputs of this set."""
        return all(key in cells for key in self.inputs) and self.shaped(cells)

    def matches(self, cells: Cells) -> bool:
        """Say whether a row has the inputs and the ratings of this set."""
        return all(key in cells for key in self.labels) and self.can_be_judged(cells)


def coded(value: object, levels: Mapping[str, str]) -> object:
    """Return the level that a code stands for, ``1`` or ``"1"`` or ``1.0``; what is no code stays as it is."""
    return levels.get(str(value).removesuffix(".0"), value)


def inner(cells: Cells, *keys: str) -> Cells:
    """Return the object below these keys, an empty one where there is none."""
    for key in keys:
        value = cells.get(key)
        cells = value if isinstance(value, Mapping) else {}
    return cells
