"""File -> rows: csv, tsv, json, jsonl, parquet and SAF's xml, each row with the place a person would look for it.

Text files are UTF-8, with or without a byte order mark, plain or gzip (``.csv.gz``). Rows come one by one: a file of
any length takes the memory of its longest row; json and xml are read whole.
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

# Of a csv cell that goes on over lines.
_MAX_CELL = LONGEST
# Of parquet: rows at once, and bytes.
_BATCH, _BUFFER = 256, 2**18
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it stands in the file.

    Args:
        cells: column name -> value; None where the file says null.
        source: file and number, e.g. ``"ratings.csv:12"``.
        number: as a person counts: for csv, tsv and jsonl the line (a csv header is line 1), else the record
            from 1; in a folder, the place among the rows of all its files.
    """

    cells: Mapping[str, object]
    source: str
    number: int


#: A record with its number, or what is wrong with it where the records behind it can still be read.
_Records = Iterator[tuple[int, Mapping[str, object] | DataError]]


def scan_file(path: Path) -> Iterator[Row | DataError]:
    """Yield the rows of a file in order, and an error in the place of each that cannot be read.

    Raises:
        DataError: at once where the file is missing or of an unknown kind; on the way where nothing behind the place
            can be read (not UTF-8, not well-formed). The message names file and place.
    """
    reader = READERS.get(kind_of(path))
    if not path.is_file():
        siblings = [entry.name for entry in path.parent.glob("*")]
        raise DataError(f"{path}: there is no such file.{closest(path.name, siblings)}")
    if reader is None or (path.suffix.lower() == GZIP and reader is _parquet):
        kinds, table = ", ".join(READERS), kind_of(path) in _SPREADSHEETS
        raise DataError(
            f"{path}: cannot read {path.suffix or 'a file without a suffix'}; rationem reads {kinds}, and "
            f"all but parquet with {GZIP} behind it."
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
        raise DataError(f"{path}: the file takes more memory to read than there is. Split it.") from error


def delimiter_of(path: Path) -> str | None:
    """Return what parts the cells of a csv or tsv file; None for other formats.

    A spreadsheet program in a country of decimal commas writes semicolons into a .csv, others write tabs: a header
    without a comma and with one of these, quoted names aside, is read so.
    """
    kind = kind_of(path)
    if kind != ".csv":
        return "\t" if kind == ".tsv" else None
    header = next((line for line in text_lines(path, newline="") if line.strip("\r\n")), "")
    marks = set(re.sub(r'"[^"]*"', "", header)) & set(",;\t")
    return marks.pop() if len(marks) == 1 else ","


def unusual_delimiters(paths: Iterable[Path]) -> dict[str, str]:
    """Return name -> delimiter of the .csv files that are not parted by commas."""
    files = [path for path in paths if kind_of(path) == ".csv" and path.is_file()]
    return {path.name: mark for path in files if (mark := delimiter_of(path)) not in (None, ",")}


def _delimited(path: Path) -> _Records:
    delimiter = delimiter_of(path) or ","
    # strict: a quotation mark that is never closed would swallow the rest of the file as one cell.
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
    # The limit of a cell is one of the whole process: it is lifted while a row is read, and never in between.
    before = csv.field_size_limit(_MAX_CELL)
    try:
        return next(reader, None)
    except csv.Error as error:
        raise DataError(
            f"{path}:{line}: not well-formed: {error}. A cell that holds a quotation mark, a line break or "
            'the delimiter stands in quotation marks, and each mark inside it is doubled ("").'
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
            f"{path}:{line}: the row has {len(cells)} cells, the header {len(header)}. Put cells that "
            "hold the delimiter in quotation marks."
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
        return "".join(text_lines(path, newline="\n"))  # says in which line


def _jsonl(path: Path) -> _Records:
    # Lines end at "\n" alone: U+2028 and its like are legal inside a JSON string.
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
        # Without a buffer of its own size a reader holds the columns of a whole row group, often the whole file.
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
