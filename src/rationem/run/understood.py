"""The sentences that say how the data was read, before a run starts."""

from __future__ import annotations

from rationem.report.reading import LEFT_OUT, LEFT_OUT_OF_TEST, written
from rationem.types import Splits


def understood(splits: Splits) -> list[str]:
    """Return sentences that say which columns were used and which rows were left out."""
    notes, lines = splits.notes, []
    if guessed := notes.get("guessed"):
        lines.append("Columns taken: " + ", ".join(f"{name!r} as the {role}" for role, name in guessed.items()) + ".")
    for name in ("shape", "values"):
        lines += dict.fromkeys([*notes.get(name, ()), *notes.get("test", {}).get(name, ())])
    lines += [sentence for _, sentence in written([notes, notes.get("test", {})])]
    if weights := notes.get("weights"):
        lines.append(weights)
    if left := notes.get(LEFT_OUT):
        lines.append(
            f"Measured in every iteration: {len(splits.validation)} of {len(splits.validation) + left} validation "
            "examples (--measure full: all)."
        )
    if left := notes.get(LEFT_OUT_OF_TEST):
        lines.append(f"Measured at the end: {len(splits.test)} of {len(splits.test) + left} test examples.")
    if skipped := notes.get("skipped"):
        lines.append(f"Rows left out because they cannot be used: {skipped}. {notes['skipped_because'][0]}")
    return lines
