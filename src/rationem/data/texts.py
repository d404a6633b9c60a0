"""One cell as text, or as empty."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rationem.errors import DataError

#: Advice for rows that cannot be corrected; ``rationem judge`` reads the same cells, and leaves none out.
LEAVE_OUT = "or leave such rows out (in training: --skip-unusable)"


def text_of(value: object, source: str, column: str) -> str:
    """Return a value as unchanged text; ``source`` and ``column`` give its place for errors.

    Raises:
        DataError: it is empty or white space, a list or an object, or not valid text.
    """
    if is_blank(value):
        raise DataError(f"{source}: the text in column {column} is empty. Fill it in, {LEAVE_OUT}.")
    if isinstance(value, list | bytes | Mapping):
        raise DataError(f"{source}: column {column} holds a {type(value).__name__}; a text is expected.")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{source}: column {column} contains a lone surrogate character at {error.start}.") from error
    return text


def is_blank(value: object) -> bool:
    """Say whether a cell is empty: null, white space, or a data frame's NaN for a missing cell."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )
