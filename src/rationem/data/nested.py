"""Values inside cells, by paths: ``annotations[].result[0].value.rating``.

===========================  ================================================================================
``annotation.rating``        the key "rating" of the object in the column "annotation"
``ratings[0]``, ``[-1]``     the first, the last element of a list
``messages[:-1]``            all elements but the last, as a list even of one
``ratings[]``                all elements of a list, or all values of an object, as a list
``scores[name=tone]``        those elements whose key "name" is "tone"
``ratings[].~key``           of an object: the keys of its values
===========================  ================================================================================

A column, or a key, with exactly the name takes precedence at every depth. A text that is JSON, or a list or dictionary
as Python prints it, is read as such. A list of one element that a path selects is that element.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from rationem.data.records import Row
from rationem.errors import DataError

#: The longest text that is read as JSON or Python.
_LONGEST = 1 << 22
_BRACKET = re.compile(r"\[(?P<at>-?[0-9]{1,9}|:-1)?(?:(?P<key>[^\[\]=]+)=(?P<value>[^\[\]]*))?\]")
_KEY = "~key"
_BUT_LAST = ":-1"
_ENDS = re.compile(r"[.\[]")
#: Numpy's array(...); and a text in quotation marks, which stays, np.int64(1), or nan.
_ARRAY = re.compile(r"(?:np\.|numpy\.)?array\((\[.*\])(?:,\s*dtype=[\w.]+)?\)", re.DOTALL)
_OF_NUMPY = re.compile(
    r"""(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\b(?:np|numpy)\.\w+\((?P<number>[^()'"]*)\)|(?P<nan>\b[nN]a[nN]\b)"""
)


def is_path(name: str) -> bool:
    """Say whether a column's name may lead into a cell.

    >>> is_path("annotation.rating"), is_path("ratings[0]"), is_path("rating")
    (True, True, False)
    """
    return "." in name or "[" in name


def opened(row: Row, names: Iterable[str]) -> Row:
    """Return the row with an additional cell for every path that leads to a value."""
    found = {
        name: value
        for name in names
        if is_path(name) and name not in row.cells
        for value in list(_found(row.cells, name))[:1]
    }
    return replace(row, cells={**row.cells, **found}) if found else row


def reaches(cells: Mapping[str, object], name: str) -> bool:
    """Say whether a name is a column, or a path that leads to a value."""
    return name in cells or (is_path(name) and any(True for _ in _found(cells, name)))


def apart(row: Row, several: Sequence[str], one: str) -> list[Row]:
    """Return a row for every rater of a list of raters, with that rater's own ratings; else the row alone.

    The list is that of a path with brackets, ``annotations[].by``, or a list in a cell. Of the other names, those
    below the same brackets are read in the same element, ``annotations[].result[0]``; lists in cells are read element
    by element.

    Args:
        row: a row, before :func:`opened`.
        several: names that differ between raters: of ratings and the like.
        one: the name of the rater.

    Raises:
        DataError: a list has another length than the raters.
    """
    start = _start(one)
    if start is not None and one not in row.cells:
        elements = list(_each(None, row.cells, start))
        below = [name for name in (*several, one) if name.startswith(start) and name not in row.cells]
        found = [{name: _below(key, value, name[len(start) :]) for name in below} for key, value in elements]
        return [replace(row, cells={**row.cells, **cells}) for cells in found] or [row]
    row = opened(row, (*several, one))
    raters = structure(row.cells.get(one))
    if not isinstance(raters, list) or not raters:
        return [row]
    lists = {name: cell for name in several if isinstance(cell := structure(row.cells.get(name)), list)}
    for name, cell in lists.items():
        if len(cell) != len(raters):
            raise DataError(
                f"{row.source}: {one!r} has {len(raters)} raters and {name!r} has {len(cell)} values. Both lists must "
                "have the same length, in the same order."
            )
    return [
        replace(row, cells={**row.cells, one: rater, **{name: cell[at] for name, cell in lists.items()}})
        for at, rater in enumerate(raters)
    ]


def structure(cell: object) -> object:
    """Return a text that is JSON, or a list or dictionary as Python prints it, as that; anything else unchanged.

    >>> structure('[1, null]'), structure("['a', None]"), structure("[sic] he said")
    ([1, None], ['a', None], '[sic] he said')
    >>> structure("[nan, 4.0]"), structure("array([2, 4])"), structure("[np.int64(1), 2]"), structure("[nan bread]")
    ([None, 4.0], [2, 4], [1, 2], '[nan bread]')
    >>> structure("['a nan b', nan, np.float64(nan), np.int64(3)]")
    ['a nan b', None, None, 3]
    """
    if not isinstance(cell, str) or len(cell) > _LONGEST:
        return cell
    text = cell.strip()
    if (array := _ARRAY.fullmatch(text)) is not None:
        text = array[1]
    if text[:1] + text[-1:] not in ("[]", "{}"):
        return cell
    for read in (json.loads, ast.literal_eval, _of_numpy):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list | dict):
            return found
    return cell


def _of_numpy(text: str) -> object:
    """Read a list with numbers as numpy prints them; nan is no number."""
    return ast.literal_eval(_OF_NUMPY.sub(_usual, text))


def _usual(found: re.Match[str]) -> str:
    number = found["number"] if found["text"] is None else None
    return found["text"] or ("None" if number is None or number.lower() == "nan" else number)


def spread(content: object, path: str) -> Iterator[Mapping[str, object]]:
    """Yield the objects at the end of a path, each with the other keys of the objects that it lies in.

    A list on the way, or at the end, stands for its elements. Brackets behind an object stand for its values, and their
    keys become the cells "key", "key2", ...

    >>> list(spread({"topic": "a", "items": [{"x": 1}, {"x": 2}]}, "items"))
    [{'topic': 'a', 'x': 1}, {'topic': 'a', 'x': 2}]
    """
    yield from _spread(content, path, {})


def _spread(value: object, path: str, outer: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    value = structure(value)
    if path == "" and isinstance(value, Mapping):
        yield {**outer, **value}
    elif match := _BRACKET.match(path):
        if (elements := _selected(value, match)) is not None:
            for key, inner in elements:
                more = {_key(outer): key} if isinstance(value, Mapping) else {}
                yield from _spread(inner, _after(path, match), {**outer, **more})
    elif isinstance(value, list):
        for inner in value:
            yield from _spread(inner, path, outer)
    elif isinstance(value, Mapping):
        for key, rest in _keys(value, path):
            others = {name: cell for name, cell in value.items() if name != key}
            yield from _spread(value[key], rest, {**outer, **others})
            return
    elif path == "" and value is not None:
        yield {**outer, "value": value}


def _key(outer: Mapping[str, object]) -> str:
    """Return the name for the key of an object whose values are records: "key", inside another one "key2"."""
    return "key" if "key" not in outer else next(name for n in count(2) if (name := f"key{n}") not in outer)


def column_names(cells: Mapping[str, object]) -> list[str]:
    """Return all names of a row's cells: its columns and the paths inside their objects and lists of objects.

    >>> column_names({"id": 1, "annotation": {"rating": 4, "by": {"name": "ann"}}, "scores": [{"value": 1}]})
    ['id', 'annotation', 'annotation.rating', 'annotation.by', 'annotation.by.name', 'scores', 'scores[].value']
    """
    names = []
    for name, value in cells.items():
        names.append(name)
        inner, start = value, name
        if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            inner = {key: cell for one in value if isinstance(one, Mapping) for key, cell in one.items()}
            start = f"{name}[]"
        if isinstance(inner, Mapping):
            names += [f"{start}.{below}" for below in column_names(inner)]
    return names


def deepest(cells: Mapping[str, object], name: str) -> tuple[str, list[str]] | None:
    """Return the longest prefix of a path that is an object, and its keys; None if there is none.

    >>> deepest({"annotation": {"rating": 4}}, "annotation.ratng")
    ('annotation', ['rating'])
    >>> deepest({"scores": [{"name": "tone", "value": 4}]}, "scores[].rating")
    ('scores[]', ['name', 'value'])
    """
    for end in sorted({match.start() for match in _ENDS.finditer(name)} | {len(name)}, reverse=True):
        start = name[:end]
        for value in [cells[start]] if start in cells else _found(cells, start):
            inner = structure(value)
            first = inner[0] if start.endswith("]") and isinstance(inner, list) and inner else inner
            if isinstance(first, Mapping):
                return start, [str(key) for key in first]
    return None


def _found(value: object, path: str) -> Iterator[object]:
    """Yield the values that a path can mean, trying the longest key first at every depth."""
    value = structure(value) if path else value
    if path == "":
        yield value
    elif match := _BRACKET.match(path):
        if (elements := _selected(value, match)) is not None:
            rest = _after(path, match)
            if match["at"] == _BUT_LAST and not rest:
                yield [inner for _, inner in elements] or None
            elif match["at"] not in (None, _BUT_LAST):
                yield from (found for _, inner in elements for found in list(_found(inner, rest))[:1])
            else:
                parts = [_below(key, inner, rest) for key, inner in elements]
                if any(part is not None for part in parts) or not parts:
                    yield _together(parts)
    elif isinstance(value, Mapping):
        for key, rest in _keys(value, path):
            yield from _found(value[key], rest)


def _each(key: object, value: object, path: str) -> Iterator[tuple[object, object]]:
    """Yield (key, value) of every element that a path selects."""
    value = structure(value) if path else value
    if path == "":
        yield key, value
    elif match := _BRACKET.match(path):
        for inner_key, inner in _selected(value, match) or ():
            yield from _each(inner_key, inner, _after(path, match))
    elif isinstance(value, Mapping):
        for inner_key, rest in list(_keys(value, path))[:1]:
            yield from _each(inner_key, value[inner_key], rest)


def _below(key: object, value: object, path: str) -> object:
    """Return what a path means inside an element of a list, None if nothing."""
    rest = path.removeprefix(".")
    return key if rest == _KEY else next(_found(value, rest), None)


def _together(parts: Sequence[object]) -> object:
    """Return lists of lists as one list, and one element as itself."""
    flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    return flat[0] if len(flat) == 1 else flat or None


def _selected(value: object, match: re.Match[str]) -> list[tuple[object, object]] | None:
    """Return (key, value) of the elements that brackets select; None where there is no list or object."""
    elements = _elements(value)
    if elements is None:
        return None
    if match["at"] == _BUT_LAST:
        return elements[:-1]
    if match["at"] is not None:
        at = int(match["at"])
        return elements[at:][:1] if at >= -len(elements) else []
    if match["key"] is None:
        return elements
    name, wanted = match["key"].strip(), match["value"].strip()
    return [(key, inner) for key, inner in elements if str(next(_found(inner, name), None)).strip() == wanted]


def _elements(value: object) -> list[tuple[object, object]] | None:
    value = structure(value)
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else None


def _keys(value: Mapping[Any, object], path: str) -> Iterator[tuple[str, str]]:
    """Yield (key, rest of the path), the longest key first."""
    ends = sorted({match.start() for match in _ENDS.finditer(path)} | {len(path)}, reverse=True)
    for end in ends:
        if path[:end] in value:
            yield path[:end], path[end:].removeprefix(".")


def _after(path: str, match: re.Match[str]) -> str:
    return path[match.end() :].removeprefix(".")


def _start(path: str) -> str | None:
    """Return a path up to its last brackets that select several elements, or None.

    >>> _start("annotations[].by.name"), _start("by[0].name")
    ('annotations[]', None)
    """
    ends = [match.end() for match in _BRACKET.finditer(path) if match["at"] is None]
    return path[: ends[-1]] if ends else None
