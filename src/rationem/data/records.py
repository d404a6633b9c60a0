"""One record: a row of cells with its place, and the shapes that make several rows out of one object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rationem.errors import DataError


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


#: Records with their numbers, or an error where later records can still be read.
Records = Iterator[tuple[int, Mapping[str, object] | DataError]]
