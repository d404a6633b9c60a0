"""A preset: a published set's keys, scale and criteria, and the conversion of a row into named cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rationem.data.columns import Columns
from rationem.data.nested import spread
from rationem.data.records import Row
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale

Cells = Mapping[str, Any]


def _any_shape(_: Cells) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Weighed:
    """The training weights of a published set's rows.

    Args:
        weights: one per row, positive.
        reading: how the cells were interpreted.
        unknown: the number of rows whose cell is not a number; they get the average weight.
    """

    weights: list[float]
    reading: str
    unknown: int


def _as_they_are(cells: Sequence[object]) -> Weighed:
    return Weighed([float(str(cell)) for cell in cells], "as given", 0)


#: The layout of items -> the name of the task that asks for them.
TASK_OF = {"responses": "judge", "choices": "choice"}


@dataclass(frozen=True, slots=True)
class Preset:
    """How to read the rows of one published set.

    Args:
        name: its name for the user.
        schema: the keys of its rows, for error messages.
        scale: the levels of its ratings; None for multiple choice, whose letters the items decide, and open answers.
        columns: the names in the rows that ``flatten`` returns.
        inputs: the keys that judging a row needs.
        labels: the further keys that training on a row needs.
        flatten: a published row -> a row with one cell for every named column, and no others; a missing rating becomes
            None, and an invalid one a ``ValueError`` with a readable message.
        shaped: whether the inputs have the shape of this set, if its keys are ambiguous.
        extras: optional keys.
        criteria: the rated criteria; a single one may have no name.
        empty: the replacement of a response without text, which people rated too; "" if there is none.
        named_only: never recognised automatically, because another preset reads the same rows.
        nullable: a rating may be missing; such an item is left out and counted, even with one criterion.
        lenient: the same rater's second rating of an item is left out and counted: users cannot correct published data.
        task: its task with open answers; "" for judging and multiple choice.
        once: for a task with open answers, equal items are kept once and counted.
        records: the path from a row of the file to its records, see :func:`.nested.spread`; "" if a row is a record.
        weights: name for ``--weight-col`` -> the key that it is read from.
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
    records: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)
    weigh: Callable[[Sequence[object]], Weighed] = _as_they_are

    @property
    def for_task(self) -> str:
        """The name of the task that it is for."""
        return self.task or TASK_OF[self.columns.items]

    @property
    def reads(self) -> tuple[str, ...]:
        """All keys that are read."""
        return (*self.inputs, *self.labels, *self.extras)

    def apart(self, row: Row) -> list[Row]:
        """Return the records of a row of the file."""
        if not self.records:
            return [row]
        return [
            Row(cells, f"{row.source}#{number}", row.number)
            for number, cells in enumerate(spread(row.cells, self.records), 1)
        ]

    def can_be_judged(self, cells: Cells) -> bool:
        """Say whether a row has the inputs of this set."""
        return all(key in cells for key in self.inputs) and self.shaped(cells)

    def matches(self, cells: Cells) -> bool:
        """Say whether a row has the inputs and the ratings of this set."""
        return all(key in cells for key in self.labels) and self.can_be_judged(cells)


def coded(value: object, levels: Mapping[str, str]) -> object:
    """Return the level of a code, ``1`` or ``"1"`` or ``1.0``; other values stay unchanged."""
    return levels.get(str(value).removesuffix(".0"), value)


def inner(cells: Cells, *keys: str) -> Cells:
    """Return the object below these keys; an empty one if there is none."""
    for key in keys:
        value = cells.get(key)
        cells = value if isinstance(value, Mapping) else {}
    return cells
