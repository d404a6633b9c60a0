"""Nested cells: ``annotation.rating`` names the key "rating" of the object in the column "annotation".

A column with exactly that name takes precedence, at every depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from rationem.data.readers import Row


def opened(row: Row, names: Iterable[str]) -> Row:
    """Return the row with an additional cell for every dotted name of a nested value."""
    found = {
        name: value
        for name in names
        if "." in name and name not in row.cells
        for value in list(_walk(row.cells, name))[:1]
    }
    return replace(row, cells={**row.cells, **found}) if found else row


def column_names(cells: Mapping[str, object]) -> list[str]:
    """Return all names of a row's cells: its columns and the dotted names inside their objects.

    >>> column_names({"id": 1, "annotation": {"rating": 4, "by": {"name": "ann"}}})
    ['id', 'annotation', 'annotation.rating', 'annotation.by', 'annotation.by.name']
    """
    names = []
    for name, value in cells.items():
        names.append(name)
        if isinstance(value, Mapping):
            names += [f"{name}.{inner}" for inner in column_names(value)]
    return names


def deepest(cells: Mapping[str, object], name: str) -> tuple[str, list[str]] | None:
    """Return the longest prefix of a dotted name that is an object, and its keys; None if there is none.

    >>> deepest({"annotation": {"rating": 4}}, "annotation.ratng")
    ('annotation', ['rating'])
    """
    parts = name.split(".")
    for size in range(len(parts) - 1, 0, -1):
        start = ".".join(parts[:size])
        for value in [cells[start]] if start in cells else _walk(cells, start):
            if isinstance(value, Mapping):
                return start, [str(key) for key in value]
    return None


def _walk(cells: Mapping[str, object], name: str) -> Iterator[object]:
    """Yield the values of a dotted name, trying the longest key first at every depth."""
    if name in cells:
        yield cells[name]
    parts = name.split(".")
    for size in range(len(parts) - 1, 0, -1):
        inner = cells.get(".".join(parts[:size]))
        if isinstance(inner, Mapping):
            yield from _walk(inner, ".".join(parts[size:]))
