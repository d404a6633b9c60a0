"""The header of a table: its rows, the names that they give to columns, and the same header further down."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rationem.data.lines import MARK
from rationem.errors import DataError

#: Records behind the header that may explain it, and those that show whether the header has a second row.
FEW, BELOW = 3, 20
#: What SurveyMonkey writes in its second header row where a question has one column.
_OPEN, _ANSWER = "open-ended response", "response"
#: A number, a date or a time.
_NUMERIC = re.compile(r"[\d\s.,:/+%TZ-]*\d[\d\s.,:/+%TZ-]*([AP]M)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Header:
    """The records that name the columns of a table.

    Args:
        rows: their texts; one row, or several that are joined column by column.
        explaining: records behind them that explain the columns, as Qualtrics writes them.
    """

    rows: tuple[tuple[str, ...], ...]
    explaining: tuple[tuple[str, ...], ...] = ()

    @property
    def size(self) -> int:
        """The number of records before the first row of data."""
        return len(self.rows) + len(self.explaining)

    @property
    def columns(self) -> list[str]:
        """The text above each column: "Rate it - Clarity". A cell of an upper row spans the empty ones behind it."""
        width = max(map(len, self.rows))
        rows = [[*(text.strip() for text in row), *[""] * (width - len(row))] for row in self.rows]
        for at, row in enumerate(rows[:-1]):
            for column in range(1, width):
                if not row[column] and any(below[column] for below in rows[at + 1 :]):
                    row[column] = row[column - 1]
        return [" - ".join(dict.fromkeys(text for text in texts if text)) for texts in zip(*rows, strict=True)]

    def notes(self, repeated: int) -> dict[str, int]:
        """Return what is unusual about the header, which is repeated ``repeated`` times further down."""
        found = {
            "explained_header": len(self.explaining),
            "joined_header": len(self.rows) if len(self.rows) > 1 else 0,
            "repeated_header": repeated,
        }
        return {name: count for name, count in found.items() if count}

    def repeats(self, cells: Sequence[object]) -> bool:
        """Say whether a record is one of the header's, as in files that were put one behind the other."""
        return any(same(row, cells) for row in (*self.rows, *self.explaining))


def header_of(records: Sequence[Sequence[object]], rows: int = 0) -> Header:
    """Return the header of a table.

    Args:
        records: the first ones, the header's own included.
        rows: of the header; 0 finds it: one, unless the second record clearly goes on with the first.
    """
    texts = [tuple(map(_text, record)) for record in records[: BELOW + 1]]
    size = rows or (2 if _continues(texts) else 1)
    behind = texts[size : size + FEW]
    return Header(tuple(texts[:size]), tuple(behind[: _explaining(behind)]))


def check_title(path: Path, records: Sequence[tuple[int, Sequence[object]]]) -> None:
    """Raise DataError if the first record has a cell in the table's first column only: it is a title."""
    filled = [[at for at, cell in enumerate(cells) if _text(cell).strip()] for _, cells in records[: FEW + 1]]
    counts = list(map(len, filled))
    if len(records) > 1 and counts[0] == 1 < min(counts[1:]) and filled[0][0] == min(map(min, filled)):
        raise DataError(
            f"{path}:{records[0][0]}: this row has one cell, those below have up to {max(counts[1:])}. If it is a "
            f"title above the header, add `--skip-lines {records[1][0] - 1}`; if it is the header, name its other "
            "columns; if there is none, `--no-header`."
        )


def same(header: Sequence[str], cells: Sequence[object]) -> bool:
    """Say whether a record has the texts of a header's row, at least two."""
    if len(cells) != len(header) or sum(bool(text.strip()) for text in header) < 2:
        return False
    return all(
        _bare(text) == _bare("" if cell is None else str(cell)) for text, cell in zip(header, cells, strict=True)
    )


def named(cells: Sequence[str]) -> list[str]:
    """Return a name for every column, all different.

    >>> named(["id", "Comment ", "Comment", "", ""])
    ['id', 'Comment (1)', 'Comment (2)', 'column 4', 'column 5']
    """
    header = [cell.strip() for cell in cells]
    often, seen = Counter(header), Counter[str]()
    taken, names = {name for name, count in often.items() if count == 1}, []
    for at, name in enumerate(header, 1):
        own = name
        if often[name] > 1:
            seen[name] += 1
            own = f"{name} ({seen[name]})" if name else f"column {at}"
            while own in taken:
                own += "'"
            taken.add(own)
        names.append(own)
    return names


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).lstrip(MARK)


def _bare(text: str) -> str:
    """Return a text as compared: a second file begins with a byte order mark, before a quotation mark too."""
    text = text.strip()
    return text.lstrip(MARK).strip('"') if text.startswith(MARK) else text


def _continues(records: Sequence[Sequence[str]]) -> bool:
    """Say whether the second record of a table goes on with its header, as SurveyMonkey writes it.

    It must have no number or date, though columns that it leaves empty or fills with words hold only those below. And
    it must stand where the first record leaves columns without a name, or say what such tools say.
    """
    if len(records) < 3:
        return False
    first, second, below = records[0], [text.strip() for text in records[1]], records[2:]
    if sum(bool(name.strip()) for name in first) < 2:
        return False  # a title
    filled = {text.casefold() for text in second if text}
    if not filled or any(map(_NUMERIC.fullmatch, filled)) or len(second) != len(first):
        return False
    if _OPEN in filled:
        return True
    unnamed = any(text and not name.strip() for name, text in zip(first, second, strict=True))
    columns = [[row[at].strip() for row in below if len(row) > at and row[at].strip()] for at in range(len(first))]
    numeric = [bool(column) and all(map(_NUMERIC.fullmatch, column)) for column in columns]
    whole = [len(column) == len(below) for column in columns]
    differs = any(is_numeric and (text or full) for text, is_numeric, full in zip(second, numeric, whole, strict=True))
    return (unnamed or _ANSWER in filled) and differs


def _explaining(records: Sequence[Sequence[str]]) -> int:
    """Return how many records behind the header explain it: Qualtrics writes the questions and its own ids there."""
    for at, cells in enumerate(records, 1):
        filled = [cell for cell in cells if cell.strip()]
        if filled and all(map(_is_import_id, filled)):
            return at
    return 0


def _is_import_id(cell: str) -> bool:
    try:
        return cell.lstrip().startswith('{"ImportId"') and isinstance(json.loads(cell), dict)
    except ValueError:
        return False
