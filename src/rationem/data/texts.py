"""One cell as text, or as empty."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rationem.errors import DataError

#: Advice for rows that cannot be corrected; ``rationem judge`` reads the same cells, and leaves none out.
LEAVE_OUT = "or leave such rows out (in training: --skip-unusable)"


class EmptyText(DataError):
    """A text that is missing in the column ``column`` of the row at ``source``."""

    def __init__(self, message: str, source: str, column: str) -> None:
        super().__init__(message)
        self.source = source
        self.column = column


def text_of(value: object, source: str, column: str) -> str:
    """Return a value as unchanged text; ``source`` and ``column`` give its place for errors.

    Raises:
        DataError: it is empty or white space, a list or an object, or not valid text.
    """
    if is_blank(value):
        message = f"{source}: the text in column {column} is empty. Fill it in, {LEAVE_OUT}."
        raise EmptyText(message, source, column)
    if isinstance(value, list | bytes | Mapping):
        told = f"{source}: column {column} holds a {type(value).__name__}; a text is expected."
        raise DataError(f"{told}{_inside(value, column)}")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{source}: column {column} contains a lone surrogate character at {error.start}.") from error
    return text


def _inside(value: object, column: str) -> str:
    """Return a sentence on the keys of an object that hold texts, with the path to the first of them."""
    cells = value if isinstance(value, Mapping) else {}
    keys = sorted((str(key) for key, cell in cells.items() if isinstance(cell, str)), key=lambda key: key != "content")
    if not keys or not column.endswith(("'", '"')):
        return ""
    return f" Its keys with texts are {keys}; name one: {column[:-1]}.{keys[0]}{column[-1]}."


def is_blank(value: object) -> bool:
    """Say whether a cell is empty: null, white space, or a data frame's NaN for a missing cell."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )
