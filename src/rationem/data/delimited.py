"""csv, tsv and txt -> records, in the dialect that the whole file shows."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path

from rationem.data.dialects import dialect_of, fitted, records_of
from rationem.data.file_format import FileFormat
from rationem.data.gaps import note_below
from rationem.data.headers import Header, named
from rationem.data.records import Records
from rationem.data.texts import LEAVE_OUT
from rationem.errors import DataError


def read_delimited(path: Path, given: FileFormat) -> Records:
    """Yield (line, cells by name) of a file, and an error for a row with another number of cells than the header.

    Raises:
        DataError: header and rows do not fit, or nothing behind a place can be read.
    """
    dialect = dialect_of(path, given)
    records = records_of(path, given, dialect)
    first = next(records, None)
    if first is None:
        return
    header = dialect.header or Header((tuple(str(number) for number in range(1, len(first[1]) + 1)),))
    rows = islice(records, header.size - 1, None) if given.header else chain([first], records)
    columns = dialect.columns or header.columns
    names = named(columns)
    alone: list[int] = []  # the lines of rows of one cell, of which it is open whether they stand below the table
    for line, cells in rows:
        row = fitted(cells, columns)
        if given.header and header.repeats(row):
            continue
        if len(row) < len(names) and sum(bool(cell.strip()) for cell in row) == 1:
            alone.append(line)
            continue
        yield from ((at, DataError(_misfit(path, at, 1, len(names)))) for at in alone)
        alone.clear()
        if len(row) == len(names):
            yield line, dict(zip(names, row, strict=True))
        else:
            yield line, DataError(_misfit(path, line, len(row), len(names)))
    for line in alone:
        yield line, DataError(f"{path}:{line}: the row has 1 cell, the header {len(names)}. {note_below(LEAVE_OUT)}")


def _misfit(path: Path, line: int, found: int, wanted: int) -> str:
    told = f"{path}:{line}: the row has {found} cell{'s' * (found > 1)}, the header {wanted}."
    if found < wanted:
        return f"{told} A line break inside a cell may have cut it: put such cells in quotation marks, {LEAVE_OUT}."
    return f"{told} Put cells with the delimiter in quotation marks."
