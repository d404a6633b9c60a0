"""Rows of a task with open answers -> examples: its inputs from their columns, y* from the column of the answer.

Nothing but the inputs can reach a prompt. Of an answer's cell only y* is kept, as the task reads it: "She sold 48 / 2 =
24 clips. #### 24" is "24", and the solution before it is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from rationem.data.cells import conversation, read_text, shortened, to_fields, weight_of
from rationem.data.columns import Columns, check_columns, flag_of
from rationem.data.examples import Report, unique
from rationem.data.readers import Row
from rationem.data.texts import is_blank
from rationem.errors import DataError
from rationem.tasks.protocol import Task
from rationem.types import Example

#: The role of the column of y*.
ANSWER = "answer"
#: Task -> role -> the names that are taken for it where the user names none, the first before all others.
OPEN_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "math": {"prompt": ("question", "problem", "prompt"), ANSWER: ("answer", "solution")},
    "summarize": {
        "prompt": ("text", "document", "article", "post", "dialogue", "prompt"),
        ANSWER: ("summary", "highlights", "answer"),
    },
}
_ADVICE = (
    "Leave --id-col out, and rows are numbered; or name the id's column as the group (`--group-col NAME`) instead of "
    "the id."
)


def unnamed(task: Task) -> Columns:
    """Return the columns of a task of which the user named none; "" stands for what is still to be found."""
    return Columns(rating="", inputs=tuple((field, "") for field in task.inputs))


def found(columns: Columns, task: Task, names: Collection[str]) -> tuple[Columns, dict[str, str]]:
    """Return the columns with every open one filled in, and (role, column) of what had to be guessed.

    A field's column has its name, or of a built-in task one of the usual names; where no column has one of these, the
    first stands, and is the error. Optional fields are read where a column has their name.

    Raises:
        DataError: several columns could be meant.
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
    """Return the one column that is called as usual, in other letters too; the first usual name where none is."""
    folded = {name.strip().casefold(): name for name in names}
    there = [name for name in usual if name.casefold() in folded]
    fitting = [name if name in names else folded[name.casefold()] for name in there]
    if len(fitting) > 1:
        raise DataError(
            f"Several columns could be the {role}: {', '.join(map(repr, fitting))}. Name the one that is: "
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
        columns: of a task with open answers.
        task: reads y*.
        report: what is done with the error of a row, which is then left out.
        counts: what is counted.
        once: keep items that say the same once, with the mean of their weights.
        nullable: rows without an answer are left out and counted, and no error.
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
        DataError: the cell holds none; the message shows where and what.
    """
    cell = read_text(row, column)
    answer = task.read(cell)
    if answer is None:
        raise DataError(
            f"{row.source}: the answer (column {column!r}) holds no {_wanted(task)}. Found: {shortened(cell)}. Mend "
            "the row, name another column (--answer-col), or leave such rows out (--skip-unusable)."
        )
    return answer


def _wanted(task: Task) -> str:
    """Return what an answer of the task is, in words."""
    return task.reads or f"answer that the task {task.name!r} can read"


def _merged(examples: Sequence[Example], counts: Counter[str]) -> list[Example]:
    """Return items that say the same once, with the mean of their weights, in the order of the first of each."""
    together: dict[object, list[Example]] = {}
    for x in examples:
        together.setdefault((x.group, *sorted(x.fields.items()), ANSWER, x.answer), []).append(x)
    counts["identical_duplicates"] += len(examples) - len(together)
    return [replace(several[0], weight=fmean(x.weight for x in several)) for several in together.values()]
