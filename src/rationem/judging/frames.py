"""DataFrames in and out; pandas is imported only where one is made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rationem.errors import ConfigError
from rationem.judging.table import layout
from rationem.judging.verdicts import Rating
from rationem.ledger import write_text
from rationem.tasks.protocol import Task

#: A column that is called an id.
_ID = re.compile(r"(?i:(.*[\W_])?u?id)|[a-z]+Id")


class Frame(Protocol):
    """A table such as pandas.DataFrame."""

    columns: Any

    def to_json(self, *arguments: Any, **settings: Any) -> Any:
        """Return it as JSON."""
        ...


def pandas() -> Any:
    """Return pandas.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pandas as found
    except ImportError as error:
        raise ConfigError("A DataFrame needs pandas, which is not installed: pip install pandas.") from error
    return found


def is_frame(value: object) -> bool:
    """Return whether a value is a pandas DataFrame."""
    return type(value).__name__ == "DataFrame" and type(value).__module__.partition(".")[0] == "pandas"


def records(frame: Any) -> list[dict[str, Any]]:
    """Return the rows as mappings; a missing cell is None.

    Raises:
        ConfigError: two columns have the same name, or one has a name that is no text.
    """
    names = list(frame.columns)
    if odd := [name for name in names if not isinstance(name, str)]:
        raise ConfigError(f"The DataFrame has a column named {odd[0]!r}: name every column by a text.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"The DataFrame has two columns named {twice!r}: rename one.")
    plain = frame.astype(object)
    return list(plain.where(plain.notna(), None).to_dict("records"))


def ids(frame: Any) -> list[str]:
    """Return the columns that are called an id and whose cells all differ."""
    return [name for name in frame.columns if _ID.fullmatch(str(name)) and frame[name].astype(str).is_unique]


def write_frame(frame: Any, path: Path) -> Path:
    """Write the rows as JSON lines, for the reader of files; return the path.

    Raises:
        ConfigError: see :func:`records`; or there is no row.
    """
    if not records(frame):
        raise ConfigError("The DataFrame has no rows.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, frame.to_json(orient="records", lines=True, force_ascii=False, double_precision=15))
    return path


def with_ratings(
    frame: Any, task: Task, criteria: Sequence[str], ratings: Sequence[Rating], *, fast: bool, sets: bool
) -> Any:
    """Return the frame with the columns that ``rationem judge`` adds to a file; its index is kept.

    Args:
        criteria: the names of the criteria, of which every row has one rating.
        ratings: of the rows in order, each with all criteria.
    """
    added = layout(list(frame.columns), task, criteria, fast=fast, sets=sets)
    wide = len(criteria)
    rows: list[Mapping[str, object]] = [
        added.cells(ratings[n * wide : (n + 1) * wide]) for n in range(len(ratings) // wide)
    ]
    new = pandas().DataFrame(
        rows, index=frame.index, columns=[name for name in added.names if name not in frame.columns]
    )
    return frame.join(new)
