"""File -> rows, each with its file and line: the table of readers by suffix.

Text files are UTF-8 unless another encoding is named, plain or gzip (``.csv.gz``). Rows are read one by one, so the
memory does not grow with the file; json, xml and workbooks are read whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rationem.data.binary import read_arrow, read_parquet
from rationem.data.delimited import read_delimited
from rationem.data.dialects import KINDS, notes_of_text
from rationem.data.file_format import FOUND, FileFormat
from rationem.data.jsons import read_json, read_jsonl
from rationem.data.lines import GZIP, kind_of
from rationem.data.nested import spread
from rationem.data.records import Records, Row
from rationem.data.saf_xml import read_xml
from rationem.data.workbooks import UNREAD, WORKBOOKS, notes_of_workbook, read_workbook
from rationem.errors import DataError, closest

__all__ = ["READERS", "Row", "scan_file"]

Reader = Callable[[Path, FileFormat], Records]

#: Suffix -> reader.
READERS: dict[str, Reader] = {
    **dict.fromkeys(KINDS, read_delimited),
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
    **dict.fromkeys(WORKBOOKS, read_workbook),
    ".xml": read_xml,
}
#: Those that need a file that can be read in any order, so not a compressed one.
_BINARY = (read_parquet, read_arrow, read_workbook)
#: What is unusual about a file, by its reader.
_NOTES: dict[Reader, Callable[[Path, FileFormat], dict[str, Any]]] = {
    read_delimited: notes_of_text,
    read_workbook: notes_of_workbook,
}
#: Those that apply ``FileFormat.records`` themselves.
_OWN_RECORDS = (read_json, read_workbook)


def scan_file(path: Path, given: FileFormat = FOUND) -> Iterator[Row | DataError]:
    """Yield the rows of a file in order, and an error instead of each unreadable row.

    Args:
        path: the file.
        given: what the user says about it.

    Raises:
        DataError: immediately, if the file is missing or of an unknown kind; later, if nothing after a place can be
            read (not UTF-8, not well-formed). The message names file and place.
    """
    reader = READERS.get(kind_of(path))
    if not path.is_file():
        siblings = [entry.name for entry in path.parent.glob("*")]
        raise DataError(f"{path}: there is no such file.{closest(path.name, siblings)}")
    if reader is None or (path.suffix.lower() == GZIP and reader in _BINARY):
        kinds = ", ".join(READERS)
        packed = ", ".join(kind for kind, one in READERS.items() if one not in _BINARY)
        raise DataError(
            f"{path}: cannot read {path.suffix or 'a file without a suffix'}; rationem reads {kinds}, and "
            f"{packed} also compressed ({GZIP})."
            + (" Save the sheet as .xlsx in your spreadsheet program." if kind_of(path) in UNREAD else "")
        )
    return _rows(path, reader, given)


def notes_of(path: Path, given: FileFormat = FOUND) -> dict[str, Any]:
    """Return what is unusual about how a file is written, see :mod:`rationem.report.reading`."""
    notes = _NOTES.get(READERS.get(kind_of(path), read_json))
    return notes(path, given) if notes and path.is_file() else {}


def _rows(path: Path, reader: Reader, given: FileFormat) -> Iterator[Row | DataError]:
    number = 0
    try:
        for place, cells in reader(path, given):
            if isinstance(cells, DataError):
                yield cells
            elif not given.records or reader in _OWN_RECORDS:
                yield Row(cells, f"{path}:{place}", place)
            else:
                for at, inner in enumerate(spread(cells, given.records), 1):
                    number += 1
                    yield Row(inner, f"{path}:{place}#{at}", number)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the file cannot be read: {error}") from error
    except MemoryError as error:
        raise DataError(f"{path}: reading the file needs more memory than there is. Split it.") from error
