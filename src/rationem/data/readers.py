"""File -> rows: csv, tsv, json, jsonl, parquet and SAF's xml, each row with its file and line.

Text files are UTF-8, with or without a byte order mark, plain or gzip (``.csv.gz``). Rows are read one by one, so the
memory does not grow with the file; json and xml are read whole.
"""

from __future__ import annotations

import csv
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem.data.lines import GZIP, LONGEST, kind_of, text_lines, whole
from rationem.data.saf_xml import read_xml
from rationem.errors import DataError, closest

# Most characters of a csv cell, which can span lines.
_MAX_CELL = LONGEST
# For parquet: rows per batch, and bytes of the buffer.
_BATCH, _BUFFER = 256, 2**18
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file.

    Args:
        cells: column name -> value; None for null.
        source: file and number, e.g. ``"ratings.csv:12"``.
        number: from 1: the line of a csv, tsv or jsonl file (a csv header is line 1), else the record; in a folder,
            the index among the rows of all its files.
    """

    cells: Mapping[str, object]
    source: str
    number: int


#: A record with its number, or its error if later records can still be read.
_Records = Iterator[tuple[int, Mapping[str, object] | DataError]]


def scan_file(path: Path) -> Iterator[Row | DataError]:
    """Yield the rows of a file in order, and an error instead of each unreadable row.

    Raises:
        DataError: immediately, if the file is missing or of an unknown kind; later, if nothing after a place can be
            read (not UTF-8, not well-formed). The message names file and place.
    """
    reader = READERS.get(kind_of(path))
    if not path.is_file():
        siblings = [entry.name for entry in path.parent.glob("*")]
        raise DataError(f"{path}: there is no such file.{closest(path.name, siblings)}")
    if reader is None or (path.suffix.lower() == GZIP and reader is _parquet):
        kinds, table = ", ".join(READERS), kind_of(path) in _SPREADSHEETS
        raise DataError(
            f"{path}: cannot read {path.suffix or 'a file without a suffix'}; rationem reads {kinds}, and "
            f"all except parquet also compressed ({GZIP})."
            + (' Save the sheet as "CSV UTF-8" in your spreadsheet program.' if table else "")
        )
    return _rows(path, reader)


def _rows(path: Path, reader: Callable[[Path], _Records]) -> Iterator[Row | DataError]:
    try:
        for number, cells in reader(path):
            yield cells if isinstance(cells, DataError) else Row(cells, f"{path}:{number}", number)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the file cannot be read: {error}") from error
    except MemoryError as error:
        raise DataError(f"{path}: reading the file needs more memory than there is. Split it.") from error


def delimiter_of(path: Path) -> str | None:
    """Return the delimiter of a csv or tsv file; None for other formats.

    Spreadsheet programs in locales with decimal commas write semicolons into a .csv, others write tabs. A header with
    one of these and without a comma (outside quotes) determines the delimiter.
    """
    kind = kind_of(path)
    if kind != ".csv":
        return "\t" if kind == ".tsv" else None
    header = next((line for line in text_lines(path, newline="") if line.strip("\r\n")), "")
    marks = set(re.sub(r'"[^"]*"', "", header)) & set(",;\t")
    return marks.pop() if len(marks) == 1 else ","


def unusual_delimiters(paths: Iterable[Path]) -> dict[str, str]:
    """Return name -> delimiter of the .csv files whose delimiter is not a comma."""
    files = [path for path in paths if kind_of(path) == ".csv" and path.is_file()]
    return {path.name: mark for path in files if (mark := delimiter_of(path)) not in (None, ",")}


def _delimited(path: Path) -> _Records:
    delimiter = delimiter_of(path) or ","
    # strict: otherwise an unclosed quotation mark would make the rest of the file one cell.
    reader = csv.reader(text_lines(path, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    line = 1
    while (cells := _next_cells(path, line, reader)) is not None:
        if cells and header is None:
            header = _header(path, line, cells)
        elif cells and header is not None:
            yield line, _record(path, line, header, cells)
        line = reader.line_num + 1


def _next_cells(path: Path, line: int, reader: Any) -> list[str] | None:
    # The limit of a cell is process-wide: it is raised only while a row is read.
    before = csv.field_size_limit(_MAX_CELL)
    try:
        return next(reader, None)
    except csv.Error as error:
        raise DataError(
            f"{path}:{line}: not well-formed: {error}. A cell with a quotation mark, a line break or "
            'the delimiter must be in quotation marks, with each mark inside it doubled ("").'
        ) from error
    finally:
        csv.field_size_limit(before)


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(f"{path}:{line}: the header names a column twice: {twice}. Rename one of each.")
    return names


def _record(path: Path, line: int, header: list[str], cells: list[str]) -> Mapping[str, object] | DataError:
    if len(cells) != len(header):
        return DataError(
            f"{path}:{line}: the row has {len(cells)} cells, the header {len(header)}. Put cells with the "
            "delimiter in quotation marks."
        )
    return dict(zip(header, cells, strict=True))


def _json(path: Path) -> _Records:
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: not well-formed JSON: {error}. One object per line is the format of .jsonl: rename the file."
        ) from error
    records = content.get("data") if isinstance(content, dict) else content
    if not isinstance(records, list):
        found = f"an object with the keys {list(content)}" if isinstance(content, dict) else repr(content)[:40]
        raise DataError(f'{path}: expected a list of objects, or {{"data": [...]}}; found {found}.')
    for number, record in enumerate(records, 1):
        yield number, _object(path, number, record)


def _text(path: Path) -> str:
    data = whole(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "".join(text_lines(path, newline="\n"))  # its error names the line


def _jsonl(path: Path) -> _Records:
    # Lines end only at "\n": U+2028 and similar characters are legal inside a JSON string.
    for number, line in enumerate(text_lines(path, newline="\n"), 1):
        if line.strip():
            yield number, _decoded(path, number, line)


def _decoded(path: Path, number: int, line: str) -> Mapping[str, object] | DataError:
    try:
        return _object(path, number, json.loads(line))
    except (ValueError, RecursionError) as error:
        return DataError(f"{path}:{number}: the line is not well-formed JSON: {error}.")


def _object(path: Path, number: int, record: object) -> Mapping[str, object] | DataError:
    if not isinstance(record, dict):
        return DataError(f"{path}:{number}: expected an object with named values; found {type(record).__name__}.")
    return record


def _parquet(path: Path) -> _Records:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        # Without an explicit buffer size a reader holds the columns of a whole row group, often the whole file.
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except (
        pyarrow.ArrowException,
        ValueError,
        OverflowError,
    ) as error:  # also text that is not UTF-8
        raise DataError(f"{path}: cannot be read as parquet: {error}") from error


#: Suffix -> reader.
READERS: dict[str, Callable[[Path], _Records]] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".json": _json,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
    ".xml": read_xml,
}
