"""Rows of a task with open answers -> examples: inputs from their columns, y* from the answer's column.

Only the inputs can reach a prompt. Only y* of the answer's cell is kept, as the task reads it: "She sold 48 / 2 = 24
clips. #### 24" becomes "24", and the solution before it is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from rationem.data.cells import read_text, shortened, to_fields, weight_of
from rationem.data.columns import Columns, check_columns, flag_of
from rationem.data.conversations import conversation
from rationem.data.examples import Report, unique
from rationem.data.records import Row
from rationem.data.texts import is_blank
from rationem.errors import DataError
from rationem.tasks.protocol import Task
from rationem.types import Example

#: The role of the column of y*.
ANSWER = "answer"
#: Task -> role -> default column names, in order of preference.
OPEN_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "math": {"prompt": ("question", "problem", "prompt"), ANSWER: ("answer", "solution")},
    "summarize": {
        "prompt": ("text", "document", "article", "post", "dialogue", "prompt"),
        ANSWER: ("summary", "highlights", "answer"),
    },
}
_ADVICE = (
    "Omit --id-col to number the rows, or use the id's column as the group (`--group-col NAME`) instead of the id."
)


def unnamed(task: Task) -> Columns:
    """Return a task's columns without any named by the user; "" marks a column to be found."""
    return Columns(rating="", inputs=tuple((field, "") for field in task.inputs))


def found(columns: Columns, task: Task, names: Collection[str]) -> tuple[Columns, dict[str, str]]:
    """Return the columns with every missing one filled in, and (role, column) of the guessed ones.

    A field's column has the field's name, or for built-in tasks one of the default names. If no column fits, the first
    default name is used and leads to an error later. Optional fields are read if a column has their name.

    Raises:
        DataError: several columns fit.
    """
    usual = OPEN_NAMES.get(task.name, {})
    taken = {column for _, column in (*columns.inputs, *columns.optional)} | {columns.rating}
    free = [name for name in names if name not in taken]

    def column(role: str, given: str) -> str:
        return given or _only(role, free, usual.get(role, (role,)))

    inputs = tuple((field, column(field, given)) for field, given in columns.inputs)
    rating = column(ANSWER, columns.rating)
    named = dict(columns.optional)
    used = {rating, *named.values(), *(column for _, column in inputs)}
    more = tuple((field, field) for field in task.optional if field not in named and field in set(free) - used)
    guessed = {role: one for (role, one), (_, given) in zip(inputs, columns.inputs, strict=True) if not given}
    guessed |= {} if columns.rating else {ANSWER: rating}
    filled = replace(columns, inputs=inputs, rating=rating, optional=(*columns.optional, *more))
    there = {role: one for role, one in guessed.items() if one in names and one != role}
    return filled, there | dict(more)


def _only(role: str, names: Collection[str], usual: Sequence[str]) -> str:
    """Return the only column with a default name, ignoring case; the first default name if there is none."""
    folded = {name.strip().casefold(): name for name in names}
    there = [name for name in usual if name.casefold() in folded]
    fitting = [name if name in names else folded[name.casefold()] for name in there]
    if len(fitting) > 1:
        raise DataError(
            f"Several columns could be the {role}: {', '.join(map(repr, fitting))}. Name the correct one: "
            f"`{flag_of(role)}`."
        )
    return fitting[0] if fitting else usual[0]


def to_examples(
    rows: Sequence[tuple[str, Row]],
    columns: Columns,
    task: Task,
    report: Report,
    counts: Counter[str],
    *,
    once: bool = False,
    nullable: bool = False,
) -> tuple[Example, ...]:
    """Return the examples of the rows, ids unique; count what :func:`rationem.data.load` notes.

    Args:
        rows: (default id, row).
        columns: the columns of a task with open answers.
        task: reads y*.
        report: receives the error of a row, which is then left out.
        counts: the counts to update.
        once: keep equal items once, with the mean of their weights.
        nullable: rows without an answer are left out and counted instead of being errors.
    """
    examples = []
    for name, row in rows:
        try:
            check_columns(row, [one for one in columns.needed(row.cells) if one not in columns.optional])
            if nullable and is_blank(row.cells[columns.rating]):
                counts["unrated"] += 1
                continue
            examples.append(_example(row, columns, task, name))
        except DataError as error:
            report(error)
            continue
        asked = {column for _, column in (*columns.inputs, *columns.optional)}
        counts["conversations"] += sum(conversation(row.cells.get(column)) is not None for column in asked)
    return unique(_merged(examples, counts) if once else examples, report, counts, _ADVICE)


def _example(row: Row, columns: Columns, task: Task, default_id: str) -> Example:
    fields = to_fields(row, columns)
    question = "\n".join(fields[field] for field in task.inputs)
    return Example(
        default_id if columns.id is None else read_text(row, columns.id),
        fields,
        _answer(row, columns.rating, task),
        question if columns.group is None else read_text(row, columns.group),
        source=row.source,
        weight=1.0 if columns.weight is None else weight_of(row, columns.weight),
    )


def _answer(row: Row, column: str, task: Task) -> str:
    """Return y*.

    Raises:
        DataError: the cell has none; the message shows the place and the cell.
    """
    cell = read_text(row, column)
    answer = task.read(cell)
    if answer is None:
        raise DataError(
            f"{row.source}: the answer (column {column!r}) holds no {_wanted(task)}. Found: {shortened(cell)}. Correct "
            "the row, name another column (--answer-col), or leave such rows out (--skip-unusable)."
        )
    return answer


def _wanted(task: Task) -> str:
    """Return a description of the task's answers, for messages."""
    return task.reads or f"answer that the task {task.name!r} can read"


def _merged(examples: Sequence[Example], counts: Counter[str]) -> list[Example]:
    """Return equal items once, with the mean of their weights, in order of first occurrence."""
    together: dict[object, list[Example]] = {}
    for x in examples:
        together.setdefault((x.group, *sorted(x.fields.items()), ANSWER, x.answer), []).append(x)
    counts["identical_duplicates"] += len(examples) - len(together)
    return [replace(several[0], weight=fmean(x.weight for x in several)) for several in together.values()]
