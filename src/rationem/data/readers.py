"""File -> rows: csv, tsv, json, jsonl and parquet, each row with the place a person would look for it.

Text files are UTF-8, with or without a byte order mark. A file is read whole: ratings are small, and an error
in the last row must be found before anything is used.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rationem.errors import DataError, closest

# csv keeps its cell limit in a C long, which has 32 bits on Windows.
_MAX_CELL = 2**31 - 1
_USUAL_CELL = 131_072


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it stands in the file.

    Args:
        cells: column name -> value; None where the file says null.
        source: file and number, e.g. ``"ratings.csv:12"``.
        number: as a person counts: for csv, tsv and jsonl the line (a csv header is line 1), else the record
            from 1.
    """

    cells: Mapping[str, object]
    source: str
    number: int


_Numbered = list[tuple[int, Mapping[str, object]]]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file, in order.

    Raises:
        DataError: the file is missing, of an unknown kind, not UTF-8, or malformed; the message names file
        and place.
    """
    reader = READERS.get(path.suffix.lower())
    if path.is_dir():
        raise DataError(f"{path} is a directory. Name the data files in it.")
    if not path.is_file():
        siblings = [entry.name for entry in path.parent.glob("*")]
        raise DataError(f"{path}: there is no such file.{closest(path.name, siblings)}")
    if reader is None:
        kinds = ", ".join(READERS)
        raise DataError(f"{path}: cannot read {path.suffix or 'a file without a suffix'}; rationem reads {kinds}.")
    try:
        numbered = reader(path)
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read: {error}") from error
    return [Row(cells, f"{path}:{number}", number) for number, cells in numbered]


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: byte {error.start} (0x{data[error.start]:02x}) is not UTF-8. Save the file as UTF-8."
        ) from error


def _csv(path: Path) -> _Numbered:
    return _delimited(path, ",")


def _tsv(path: Path) -> _Numbered:
    return _delimited(path, "\t")


def _delimited(path: Path, delimiter: str) -> _Numbered:
    text = _text(path)
    before = csv.field_size_limit(min(max(len(text), _USUAL_CELL), _MAX_CELL))
    try:
        return _records(path, text, delimiter)
    finally:
        csv.field_size_limit(before)


def _records(path: Path, text: str, delimiter: str) -> _Numbered:
    # strict: a quotation mark that is never closed would swallow the rest of the file as one cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    rows: _Numbered = []
    line = 1
    try:
        for cells in reader:
            if cells and header is None:
                header = _header(path, line, cells)
            elif cells and header is not None:
                rows.append((line, _record(path, line, header, cells)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}:{line}: not well-formed: {error}. A cell that holds a quotation mark, a line break or "
            'the delimiter stands in quotation marks, and each mark inside it is doubled ("").'
        ) from error
    return rows


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(f"{path}:{line}: the header names a column twice: {twice}. Rename one of each.")
    return names


def _record(path: Path, line: int, header: list[str], cells: list[str]) -> dict[str, object]:
    if len(cells) != len(header):
        raise DataError(
            f"{path}:{line}: the row has {len(cells)} cells, the header {len(header)}. Put cells that "
            "hold the delimiter in quotation marks."
        )
    return dict(zip(header, cells, strict=True))


def _json(path: Path) -> _Numbered:
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
    return [(number, _object(path, number, record)) for number, record in enumerate(records, 1)]


def _jsonl(path: Path) -> _Numbered:
    # Not splitlines(): U+2028 and its like are legal inside a JSON string.
    lines = [(number, line) for number, line in enumerate(_text(path).split("\n"), 1) if line.strip()]
    return [(number, _object(path, number, _decoded(path, number, line))) for number, line in lines]


def _decoded(path: Path, number: int, line: str) -> object:
    try:
        decoded: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}:{number}: the line is not well-formed JSON: {error}.") from error
    return decoded


def _object(path: Path, number: int, record: object) -> Mapping[str, object]:
    if not isinstance(record, dict):
        raise DataError(f"{path}:{number}: expected an object with named values; found {type(record).__name__}.")
    return record


def _parquet(path: Path) -> _Numbered:
    import pyarrow
    from pyarrow import parquet

    try:
        records = parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: cannot be read as parquet: {error}") from error
    return list(enumerate(records, 1))


#: Suffix -> reader.
READERS: dict[str, Callable[[Path], _Numbered]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".json": _json,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
