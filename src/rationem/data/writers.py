"""Examples -> a CSV file that ``load`` reads back."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from rationem.errors import writing
from rationem.types import Example


def write_csv(path: Path, examples: Sequence[Example]) -> None:
    """Write id, inputs and rating, one row per example; the file is complete or does not exist."""
    rows = ([x.item, *x.fields.values(), x.answer] for x in examples)
    write_rows(path, ["id", *examples[0].fields, "rating"], rows)


def write_rows(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file; it is complete or does not exist.

    Raises:
        DiskError: it cannot be written.
    """
    draft = path.with_name(f"{path.name}.partial")
    with writing(path):
        with draft.open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file)
            out.writerow(head)
            out.writerows(rows)
        draft.replace(path)
