"""One row of the user's file -> one example, through the columns that the user names and no other."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rationem.data.readers import Row
from rationem.errors import ConfigError, DataError, closest
from rationem.scale import Scale
from rationem.types import Example


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the user's columns. ``Example.fields`` is built from ``prompt`` and ``response`` alone.

    Args:
        prompt: the question, or what the response answers.
        response: the text that is rated.
        rating: the human rating; a cell may hold a list of ratings, or several columns are named "r1,r2,r3".
        id: a unique name for the row; None numbers the rows.
        group: rows of one group never fall into different splits; None groups by the prompt.

    Raises:
        ConfigError: a rating column is also named as an input, which would show the model its answer.
    """

    prompt: str = "prompt"
    response: str = "response"
    rating: str = "rating"
    id: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        leaked = {self.prompt, self.response} & {self.rating, *self._several()}
        if leaked:
            raise ConfigError(f"The rating column {leaked.pop()!r} is also named as an input: a model would read it.")

    def ratings(self, available: Collection[str]) -> tuple[str, ...]:
        """Return the rating columns: the name as it is where there is such a column, else split at commas."""
        return (self.rating,) if self.rating in available else self._several()

    def needed(self, available: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Return (role, column name) of everything that a row must have."""
        roles = [("prompt", self.prompt), ("response", self.response)]
        roles += [("rating", name) for name in self.ratings(available)]
        roles += [("id", self.id)] if self.id is not None else []
        roles += [("group", self.group)] if self.group is not None else []
        return tuple(roles)

    def _several(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.rating.split(","))


def check_columns(row: Row, columns: Columns) -> None:
    """Raise DataError where a row lacks a named column, with the closest name and all names that it has."""
    for role, name in columns.needed(row.cells):
        if name not in row.cells:
            raise DataError(
                f"{row.source}: there is no column {name!r} for the {role}.{closest(name, row.cells)} The "
                f"columns are {list(row.cells)}. Name the one that holds the {role}: `--{role}-col NAME`."
            )


def rating_cells(row: Row, columns: Columns) -> list[object]:
    """Return the rating cells of a row, lists opened; None for every empty one."""
    cells: list[object] = []
    for name in columns.ratings(row.cells):
        value = row.cells[name]
        cells += value if isinstance(value, list) else [value]
    return [None if _is_blank(cell) else cell for cell in cells]


def read_ratings(row: Row, columns: Columns, scale: Scale) -> tuple[str, ...]:
    """Return the levels that a row's raters gave; a rater's empty cell is left out while another has rated.

    Raises:
        DataError: nobody rated the row, or a rating is not a level of the scale.
    """
    levels = []
    for cell in rating_cells(row, columns):
        if cell is None:
            continue
        level = scale.level(cell)
        if level is None:
            raise DataError(f"{row.source}: in column {columns.rating!r}, {scale.unknown(cell)}")
        levels.append(level)
    if not levels:
        raise DataError(
            f"{row.source}: the rating ({columns.rating!r}) is empty. Rate the row on the scale "
            f"{scale.sentence()!r}, or leave it out."
        )
    return tuple(levels)


def read_text(row: Row, column: str) -> str:
    """Return one text cell, exactly as it stands; numbers become text, null counts as empty.

    Raises:
        DataError: the cell is empty or white, a list or an object, or not valid text.
    """
    value = row.cells[column]
    if _is_blank(value):
        raise DataError(f"{row.source}: the text in column {column!r} is empty. Fill it in, or leave the row out.")
    if isinstance(value, list | bytes | Mapping):
        raise DataError(f"{row.source}: column {column!r} holds a {type(value).__name__}; a text is expected.")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{row.source}: column {column!r} holds half a character (a surrogate) at {error.start}."
        ) from error
    return text


def to_example(row: Row, columns: Columns, scale: Scale, default_id: str) -> Example:
    """Return the example of a row: y* is the mean of its ratings, by rank, rounded half up.

    Raises:
        DataError: see :func:`check_columns`, :func:`read_text`, :func:`read_ratings`.
    """
    check_columns(row, columns)
    fields = {"prompt": read_text(row, columns.prompt), "response": read_text(row, columns.response)}
    ratings = read_ratings(row, columns, scale)
    return Example(
        id=default_id if columns.id is None else read_text(row, columns.id),
        fields=fields,
        answer=scale.mean(ratings),
        group=fields["prompt"] if columns.group is None else read_text(row, columns.group),
        ratings=ratings if len(ratings) > 1 else (),
        source=row.source,
    )


def _is_blank(value: object) -> bool:
    # A missing cell that went through a data frame comes back as NaN.
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )
