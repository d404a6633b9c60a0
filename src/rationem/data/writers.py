"""Examples -> a CSV file that ``load`` reads back."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from rationem.errors import writing
from rationem.types import Example


def write_csv(path: Path, examples: Sequence[Example]) -> None:
    """Write id, inputs and rating, one row per example; the file is complete or does not exist."""
    draft = path.with_name(f"{path.name}.partial")
    with writing(path):
        with draft.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", *examples[0].fields, "rating"])
            rows.writerows([x.item, *x.fields.values(), x.answer] for x in examples)
        draft.replace(path)
