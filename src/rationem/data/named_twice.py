"""A column that is named twice would be read twice, so each rating would count double: it is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rationem.errors import ConfigError

if TYPE_CHECKING:
    from rationem.data.columns import Columns

#: Roles that the column of the ratings cannot have too.
_NO_RATING = ("id", "rater", "criterion")


def parts(names: str) -> tuple[str, ...]:
    """Return the names between commas."""
    return tuple(name.strip() for name in names.split(","))


def check_once(columns: Columns) -> None:
    """Raise a ConfigError if a flag names a column twice, or a rating column has another role too."""
    _check("--response-col", parts(columns.response))
    _check("--choices-col", parts(columns.choices or ""))
    _check("--inputs-col", (column for _, column in (*columns.inputs, *columns.optional)))
    rated = [column for _, column in columns.criteria] or [columns.rating]
    flag = "--criterion" if columns.criteria else "--rating-col"
    if columns.criterion is None:
        _check(flag, (part for column in rated for part in parts(column)))
    for role in _NO_RATING:
        name = getattr(columns, role)
        if name is not None and name in {*rated, *(part for column in rated for part in parts(column))}:
            raise ConfigError(
                f"The column {name!r} is named as the rating and as --{role}-col. Name another column, or omit one."
            )


def _check(flag: str, names: Iterable[str]) -> None:
    counts = Counter(name for name in names if name)
    for name, count in counts.items():
        if count > 1:
            raise ConfigError(f"{flag} names the column {name!r} {_often(count)}. Name each column once.")


def _often(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"
