"""Why a text is missing: a note below the table, or cells that are filled only where a block begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

from rationem.data.records import Row
from rationem.data.texts import LEAVE_OUT, EmptyText, is_blank
from rationem.errors import DataError

#: Fewest empty cells, and their least share of all rows, that look like merged ones; fewest blocks with an empty cell.
_FEW, _SHARE, _BLOCKS = 3, 0.2, 2


def explained(report: Callable[[DataError], None], rows: Sequence[Row]) -> Callable[[DataError], None]:
    """Return a report that says of a missing text why it is missing, if all rows show it."""
    notes = cache(lambda: _notes(rows))
    merged = cache(lambda name: _merged(rows, name))

    def tell(error: DataError) -> None:
        if not isinstance(error, EmptyText):
            report(error)
        elif error.source in notes():
            report(DataError(f"{error.source}: the row has one filled cell. {note_below(LEAVE_OUT)}"))
        else:
            report(DataError(told) if (told := _told(error, merged(error.column), len(rows))) else error)

    return tell


def note_below(or_else: str) -> str:
    """Return a sentence on a row below a table."""
    return f"It seems to be a note below the table: remove it, {or_else}."


def _told(error: EmptyText, empty: int, rows: int) -> str:
    if not empty:
        return ""
    return (
        f"{error.source}: the text in column {error.column} is empty, as in {empty} of {rows} rows, each below a "
        "filled one. The column seems to be filled only in the first row of a block, as merged cells are: fill it "
        "down in your spreadsheet program. Leaving such rows out would lose them."
    )


def _notes(rows: Sequence[Row]) -> frozenset[str]:
    """Return the places of the last rows that have one filled cell, while the row before them has more."""
    found: list[str] = []
    for row in reversed(rows):
        if len(row.cells) < _FEW or sum(not is_blank(cell) for cell in row.cells.values()) != 1:
            return frozenset(found)
        found.append(row.source)
    return frozenset()


def _merged(rows: Sequence[Row], column: str) -> int:
    """Return the number of empty cells of a column if they look merged with the one above, else 0."""
    cells = [is_blank(next((cell for name, cell in row.cells.items() if repr(name) == column), None)) for row in rows]
    empty = sum(cells)
    blocks = sum(below and not above for above, below in pairwise(cells))
    merges = bool(cells) and not cells[0] and empty >= max(_FEW, _SHARE * len(rows)) and blocks >= _BLOCKS
    return empty if merges else 0
