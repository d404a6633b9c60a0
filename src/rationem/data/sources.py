"""A name -> rows: a file, a folder, or a data set of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rationem.data import hub
from rationem.data.file_format import FOUND, FileFormat
from rationem.data.lines import kind_of, stem_of
from rationem.data.readers import READERS, scan_file
from rationem.data.records import Row
from rationem.errors import DataError


def iter_rows(name: str | Path, given: FileFormat = FOUND) -> Iterator[Row]:
    """Yield the rows of a file, a folder or a hub data set, in order and in constant memory.

    Raises:
        DataError: it is missing, of an unknown kind, not UTF-8, or malformed; the message names the place.
    """
    return _strict(scan_rows(name, given))


def read_rows(name: str | Path) -> list[Row]:
    """Return the rows of a file, a folder or a hub data set, in order.

    Raises:
        DataError: see :func:`iter_rows`.
    """
    return list(iter_rows(name))


def scan_rows(name: str | Path, given: FileFormat = FOUND) -> Iterator[Row | DataError]:
    """Yield the rows in order, and an error instead of each unreadable row; see :func:`iter_rows`.

    Args:
        name: of a file, a folder or a hub data set.
        given: what the user says about the files.
    """
    if hub.is_folder_name(str(name)):
        return hub.scan_folder(str(name), given)
    if hub.is_hub_name(str(name)):
        return hub.scan_hub(str(name))
    return scan_file(Path(name), given)


def labels(names: Sequence[str | Path]) -> list[str]:
    """Return a short name for each source, with as much of its path as needed to be unique.

    Raises:
        DataError: a source is named twice.
    """
    places = [_place(str(name)) for name in names]
    for position, place in enumerate(places):
        if place in places[:position]:
            raise DataError(f"{names[position]} is given twice. Name every data file once.")

    def label(place: tuple[str, ...], depth: int) -> str:
        last = Path(place[-1])
        plain = stem_of(last) if kind_of(last) in READERS else place[-1]
        return "/".join(place[-depth:]) if depth else plain

    def shortest(place: tuple[str, ...]) -> str:
        deepest = max(map(len, places))
        named = (
            label(place, depth)
            for depth in range(deepest + 1)
            if [label(other, depth) for other in places].count(label(place, depth)) == 1
        )
        return next(named, "/".join(place))

    return [shortest(place) for place in places]


def _place(name: str) -> tuple[str, ...]:
    if hub.is_hub_name(name):
        return hub.parse_name(name).place()
    path, _, split = name.partition("#") if hub.is_folder_name(name) and not Path(name).exists() else (name, "", "")
    return (*Path(path).resolve().parts, *([split] if split else []))


def _strict(rows: Iterator[Row | DataError]) -> Iterator[Row]:
    for row in rows:
        if isinstance(row, DataError):
            raise row
        yield row
