"""One row of the user's file -> its texts and its ratings, read from the user's named columns only."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rationem.data.columns import Columns, check_columns
from rationem.data.conversations import conversation
from rationem.data.lettered import read_choices
from rationem.data.nested import opened
from rationem.data.records import Row
from rationem.data.texts import is_blank, text_of
from rationem.errors import DataError
from rationem.tasks.choices import SUBJECT
from rationem.tasks.pairs import fields_of
from rationem.tasks.scale import Scale

#: Most characters of a cell shown in an error.
_LONG = 80


class UnknownRating(DataError):
    """A rating that is not a level of its ``criterion``'s scale; ``value`` is the cell as text."""

    def __init__(self, message: str, value: str, criterion: str = "") -> None:
        super().__init__(message)
        self.value = value
        self.criterion = criterion


def to_fields(row: Row, columns: Columns, criterion: str = "") -> dict[str, str]:
    """Return the named inputs x of a row; it needs no rating.

    Args:
        row: a row of the user's file, or a published one after :func:`rationem.data.flatten_row`.
        columns: the column names.
        criterion: the criterion to rate, "" if it has no name.

    Returns:
        "prompt" if there is one, and "response" or "response_a", "response_b", ...; "reference", "context" and
        "criterion" where the row has them. Of multiple choice "choice_a", "choice_b", ... and "labels", and "subject"
        where it has one. Of a task with open answers its own inputs, and the optional ones that the row has.

    Raises:
        DataError: a named column is missing, or a cell is empty or not a text.
    """
    row = opened(row, columns.dotted)
    if columns.inputs:
        return _open_fields(row, columns)
    optional = (("reference", columns.reference), ("context", columns.context), (SUBJECT, columns.subject))
    more = [(role, name) for role, name in optional if name]
    check_columns(row, [*columns.asks(row.cells), *more])
    asked = {"prompt": read_text(row, columns.prompt)} if columns.prompt else {}
    fields = {**asked, **_answers(row, columns)}
    for role, name in more:
        if not is_blank(row.cells[name]):
            fields[role] = read_text(row, name)
    return fields | ({"criterion": criterion} if criterion else {})


def _open_fields(row: Row, columns: Columns) -> dict[str, str]:
    check_columns(row, columns.inputs)
    there = [(field, name) for field, name in columns.optional if not is_blank(row.cells.get(name))]
    return {field: read_text(row, name) for field, name in (*columns.inputs, *there)}


def weight_of(row: Row, column: str) -> float:
    """Return a row's weight in training.

    Raises:
        DataError: the cell is not a positive, finite number.
    """
    cell = row.cells[column]
    try:
        weight = math.nan if isinstance(cell, bool) else float(str(cell).strip())
    except ValueError:
        weight = math.nan
    if not (0 < weight < math.inf):
        raise DataError(
            f"{row.source}: the weight (column {column!r}) is not a positive number. Found: {shortened(cell)}. Give "
            "the row's weight relative to others, such as 0.5 or 2, or leave such rows out (--skip-unusable)."
        )
    return weight


def shortened(cell: object) -> str:
    """Return a cell as shown in an error: quoted, with the middle of a long text left out."""
    text = str(cell)
    return repr(text if len(text) <= _LONG else f"{text[: _LONG // 2]} ... {text[-_LONG // 2 :]}")


def _answers(row: Row, columns: Columns) -> dict[str, str]:
    """Return the response, the compared responses, or the choices."""
    if columns.choices is not None:
        return read_choices(row, columns).fields
    names = columns.responses(row.cells)
    return {role: read_text(row, name) for role, name in zip(fields_of(len(names)), names, strict=True)}


def rating_cells(row: Row, columns: Columns, criterion: str = "") -> list[object]:
    """Return the rating cells of a row, with lists expanded; None for every empty one."""
    cells: list[object] = []
    for name in columns.ratings(row.cells, criterion):
        value = row.cells[name]
        cells += value if isinstance(value, list) else [value]
    return [None if is_blank(cell) else cell for cell in cells]


def read_ratings(
    row: Row, columns: Columns, scale: Scale, criterion: str = "", *, required: bool = True
) -> tuple[str, ...]:
    """Return the levels given by a row's raters; empty cells are ignored if another rater has rated.

    Returns:
        At least one level; or none, if the row has no rating on this criterion and ``required`` is False.

    Raises:
        DataError: the row has no rating, but one is ``required``.
        UnknownRating: a rating is not a level of the scale.
    """
    name, scale = ",".join(columns.ratings(row.cells, criterion)), scale.of(criterion)
    given = []
    for cell in rating_cells(row, columns, criterion):
        if cell is None:
            continue
        level = scale.level(cell)
        if level is None:
            level = _by_column(cell, columns.responses(row.cells), scale)
        if level is None:
            message = f"{row.source}: in column {name!r}, {scale.unknown(cell)}"
            raise UnknownRating(message, str(cell).strip(), criterion)
        given.append(level)
    if not given and required and columns.choices is not None:
        raise DataError(
            f"{row.source}: the row has no answer. Name the correct choice, or leave such rows out (--skip-unusable)."
        )
    if not given and required:
        raise DataError(
            f"{row.source}: the rating ({name!r}) is empty. Rate the row on the scale "
            f"{scale.sentence()!r}, or leave such rows out (--skip-unusable)."
        )
    return tuple(given)


def _by_column(cell: object, responses: Sequence[str], scale: Scale) -> str | None:
    """Return the level of the response whose column a cell names, if the levels have other names."""
    same = [at for at, name in enumerate(responses) if name.casefold() == str(cell).strip().casefold()]
    by_place = len(responses) > 1 and not scale.ordered and len(same) == 1
    return scale.levels[same[0]] if by_place and same[0] < len(scale.levels) else None


def read_text(row: Row, column: str) -> str:
    """Return one text cell unchanged; numbers become text, null counts as empty.

    A list of chat messages becomes one paragraph "Role: content" per message: see :mod:`.conversations`.

    Raises:
        DataError: the cell is empty or white space, another list or an object, or not valid text.
    """
    value = row.cells[column]
    return text_of(conversation(value) or value, row.source, repr(column))
