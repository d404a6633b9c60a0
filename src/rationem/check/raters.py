"""The raters: their number, their agreement with each other, and what that means for a judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rationem import metrics
from rationem.check.findings import Finding, note, warning
from rationem.metrics.criteria import rated_parts
from rationem.report.plain import plain
from rationem.tasks.scale import Scale
from rationem.types import Example

_CEILING = ("count", *metrics.titles("people"), "untargeted")


def raters(examples: Sequence[Example], scale: Scale) -> dict[str, Any]:
    """Return the numbers of ratings, the human ceiling, and Krippendorff's alpha.

    Returns:
        ``per_item`` (number of ratings -> items), ``ratings``, ``ceiling`` (one person against the others' pooled
        label; None if no item has two ratings) and ``alpha``.
    """
    counts = Counter(max(len(x.ratings), 1) for x in examples)
    ceiling = metrics.human_ceiling(examples, scale)
    numbers = None if ceiling is None else asdict(ceiling)
    return {
        "per_item": {str(number): counts[number] for number in sorted(counts)},
        "ratings": sum(number * count for number, count in counts.items()),
        "ceiling": None if numbers is None else {name: numbers[name] for name in _CEILING},
        "alpha": metrics.alpha(examples, scale),
    }


def warnings(train: Sequence[Example], test: Sequence[Example], scale: Scale, *, each: bool) -> list[Finding]:
    """Find low agreement of the raters of one criterion, and labels shifted by rounding."""
    return [warning("raters", sentence) for sentence in metrics.rater_warnings(train, test, scale, each=each)]


def single(examples: Sequence[Example]) -> list[Finding]:
    """Find criteria whose items all have one rating."""
    parts = rated_parts(examples)
    alone = [name for name, part in parts.items() if not any(len(x.ratings) > 1 for x in part)]
    if not alone:
        return []
    whose = "Every item" if len(alone) == len(parts) else f"Every item of {', '.join(map(plain, alone))}"
    text = (
        f"{whose} has one rating, so the agreement between people, the ceiling for a judge, cannot be estimated from "
        "this data."
    )
    return [note("single_ratings", text, sum(len(parts[name]) for name in alone))]
