"""Several criteria in one set: what compares items with each other is taken within a criterion, then averaged.

Where most ratings of one criterion are high and most of another low, whoever reads nothing but the criterion's name
puts the pooled items in a good order. Means over items (accuracy, MAE, log-likelihood, ...) are pooled all the same:
the baselines that they stand beside know the criterion too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rationem.tasks.choices import SUBJECT
from rationem.types import Example

#: The numbers of an agreement that compare items with each other.
COMPARING = ("pearson", "spearman", "kendall", "pearson_unrounded", "kappa", "quadratic_kappa")


def criterion(example: Example) -> str:
    """Return the name of what an example is rated for, or of its subject; "" where that has none."""
    return example.fields.get("criterion") or example.fields.get(SUBJECT, "")


def rated_parts(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Return criterion -> its examples, subjects aside: what people say depends on what they rate.

    Which letter is right does not depend on the subject, and a subject of few examples would only seem to tell.
    """
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(example.fields.get("criterion", ""), []).append(example)
    return found


def parts(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Return criterion -> its examples, in order of appearance."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(criterion(example), []).append(example)
    return found


def places(names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return name -> where it stands, in order of appearance."""
    found: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        found.setdefault(name, []).append(at)
    return {name: np.array(at, dtype=np.int64) for name, at in found.items()}


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the numbers that exist; None without any.

    >>> mean([1.0, None, 2.0]), mean([None])
    (1.5, None)
    """
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def within(names: Sequence[str], number: Callable[[NDArray[np.int64]], float | None]) -> float | None:
    """Return the mean over criteria of a criterion's own number; a criterion without one is left out.

    Args:
        names: the criterion of each item, length N.
        number: places of one criterion's items -> its number, or None.
    """
    return mean(number(at) for at in places(names).values())
