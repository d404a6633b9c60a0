"""Examples -> a CSV file that ``load`` reads back."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from rationem.types import Example


def write_csv(path: Path, examples: Sequence[Example]) -> None:
    """Write id, the inputs, and the rating, one row per example."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", *examples[0].fields, "rating"])
        rows.writerows([x.id, *x.fields.values(), x.answer] for x in examples)
