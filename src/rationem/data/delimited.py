"""csv, tsv and txt -> records, in the dialect that the whole file shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

from rationem.data.dialects import dialect_of, fitted, records_of
from rationem.data.file_format import FileFormat
from rationem.data.records import Records
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
    header = first[1] if given.header else [str(number) for number in range(1, len(first[1]) + 1)]
    rows = islice(records, dialect.more, None) if given.header else chain([first], records)
    names = named(header)
    for line, cells in rows:
        row = fitted(cells, header)
        if len(row) == len(names):
            yield line, dict(zip(names, row, strict=True))
        else:
            yield (
                line,
                DataError(
                    f"{path}:{line}: the row has {len(row)} cells, the header {len(names)}. Put cells with the "
                    "delimiter in quotation marks."
                ),
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
