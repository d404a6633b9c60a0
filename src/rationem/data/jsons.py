"""json and jsonl -> records: lists of objects, one object per line, and the usual ways to wrap either."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from rationem.data.file_format import FileFormat
from rationem.data.lines import MARK, open_bytes, text_lines, whole, wide_encoding
from rationem.data.nested import spread
from rationem.data.records import Records
from rationem.errors import DataError

_KEY = "key"
#: Longest text of a value in an error.
_SHOWN = 40


def read_json(path: Path, given: FileFormat) -> Records:
    """Yield the records of a file that is one JSON value; of several values, each is a record.

    Raises:
        DataError: it is not well-formed, or holds no records.
    """
    text = _text(path, given)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        if (several := _several(text)) is None:
            raise DataError(f"{path}: not well-formed JSON: {error}.") from error
        content = several
    if given.records:
        yield from _inside(path, content, given.records)
        return
    for number, record in enumerate(_records(path, content), 1):
        yield number, _object(path, number, record)


def read_jsonl(path: Path, given: FileFormat) -> Records:
    """Yield the records of a file of one object per line; a file that is one JSON value is read as that."""
    # Lines end only at "\n": U+2028 and similar characters are legal inside a JSON string.
    lines = ((number, line) for number, line in enumerate(text_lines(path, "\n", given.encoding), 1) if line.strip())
    first = next(lines, None)
    if first is None:
        return
    if first[1].lstrip()[:1] == "[" or first[1].strip() == "{":
        yield from read_json(path, replace(given, records=""))  # they are looked for in each record
        return
    for number, line in chain([first], lines):
        yield number, _decoded(path, number, line)


def _inside(path: Path, content: object, records: str) -> Records:
    number = 0
    for number, record in enumerate(spread(content, records), 1):
        yield number, record
    if not number:
        raise DataError(f"{path}: --records {records!r} leads to no objects. {_found(content)}")


def _several(text: str) -> list[object] | None:
    """Return the objects of a text that is several of them, one after the other; None if it is not."""
    decoder, at, found = json.JSONDecoder(), _blank(text, 0), []
    try:
        while at < len(text):
            record, at = decoder.raw_decode(text, at)
            found.append(record)
            at = _blank(text, at)
    except (ValueError, RecursionError):
        return None
    return found if found and all(isinstance(record, dict) for record in found) else None


def _blank(text: str, at: int) -> int:
    """Return the place of the next character that is no white space."""
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _records(path: Path, content: object) -> Sequence[object]:
    """Return the records of a JSON value: a list; an object of objects or of columns; or the only list inside.

    Raises:
        DataError: there is none, or there are several.
    """
    if isinstance(content, list):
        return content
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        return list(content["data"])
    if isinstance(content, dict):
        inside = list(_lists(content))
        if len(inside) == 1:
            return list(spread(content, inside[0]))
        if len(inside) > 1:
            raise DataError(f"{path}: it has several lists of objects. Name one: `--records {inside[0]}`; {inside}.")
        if (table := _columns(content)) is not None:
            return table
    wanted = 'a list of objects, or an object with one, such as {"data": [...]}'
    raise DataError(f"{path}: expected {wanted}. {_found(content)}")


def _lists(content: Mapping[str, object]) -> Iterator[str]:
    """Yield the keys of an object that hold lists of objects."""
    for name, value in content.items():
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            yield name


def _columns(content: Mapping[str, object]) -> list[object] | None:
    """Return the rows of an object of columns, as pandas writes them, or of an object of objects."""
    values = list(content.values())
    if values and all(isinstance(value, list) for value in values):
        if values[0] and len({len(value) for value in values if isinstance(value, list)}) == 1:
            return [dict(zip(content, row, strict=True)) for row in zip(*values, strict=True)]
        return None
    objects = [value for value in values if isinstance(value, dict)]
    if not objects or len(objects) < len(values):
        return None
    numbers = objects[0].keys()
    if all(key.isdigit() for key in numbers) and all(value.keys() == numbers for value in objects):
        return [{name: value[key] for name, value in zip(content, objects, strict=True)} for key in numbers]
    return [{_KEY: key, **value} for key, value in zip(content, objects, strict=True)]


def _found(content: object) -> str:
    if isinstance(content, dict):
        return f"Found an object with the keys {list(content)[:20]}."
    if isinstance(content, list):
        first = next((one for one in content if isinstance(one, dict)), None)
        return (
            f"Found a list of objects with the keys {list(first)[:20]}." if first else "Found a list without objects."
        )
    return f"Found {repr(content)[:_SHOWN]}."


def _text(path: Path, given: FileFormat) -> str:
    with open_bytes(path) as file:
        start = file.peek(2)
        plain = not given.encoding and start[:2] not in (b"\xff\xfe", b"\xfe\xff") and not wide_encoding(start)
    data = whole(path) if plain else b""
    try:
        return data.decode().lstrip(MARK) if plain else "".join(text_lines(path, "\n", given.encoding))
    except UnicodeDecodeError:
        return "".join(text_lines(path, "\n"))  # its error names the line


def _decoded(path: Path, number: int, line: str) -> Mapping[str, object] | DataError:
    try:
        return _object(path, number, json.loads(line.lstrip(MARK)))
    except (ValueError, RecursionError) as error:
        return DataError(f"{path}:{number}: the line is not well-formed JSON: {error}.")


def _object(path: Path, number: int, record: object) -> Mapping[str, object] | DataError:
    if not isinstance(record, dict):
        return DataError(f"{path}:{number}: expected an object with named values; found {type(record).__name__}.")
    return record
