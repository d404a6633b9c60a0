"""Several criteria in one set: numbers that compare items with each other are computed per criterion, then averaged.

If most ratings of one criterion are high and most of another low, a judge that reads only the criterion's name orders
the pooled items well. Means over items (accuracy, MAE, log-likelihood, ...) are still pooled, because their baselines
know the criterion too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rationem.tasks.choices import SUBJECT
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction


def criterion(example: Example) -> str:
    """Return the name of an example's criterion, or of its subject; "" without a name."""
    return example.fields.get("criterion") or example.fields.get(SUBJECT, "")


def rated_parts(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Return criterion -> its examples, ignoring subjects: ratings depend on the criterion.

    The right letter does not depend on the subject, and a subject with few examples would only add noise.
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


def on_own_levels(predictions: Iterable[Prediction], scale: Scale, own: Scale) -> list[Prediction]:
    """Return a criterion's predictions with probabilities over its own levels; the others have none.

    Args:
        predictions: of items of this criterion.
        scale: the levels of all criteria, those of the probabilities.
        own: the criterion's, ``scale.of(criterion)``.
    """
    places = [scale.rank(level) for level in own.levels]
    return [replace(one, probabilities=tuple(one.probabilities[at] for at in places)) for one in predictions]


def places(names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return name -> its indices, in order of appearance."""
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
    """Return the mean over criteria of each criterion's number; a criterion without one is left out.

    Args:
        names: the criterion of each item, length N.
        number: places of one criterion's items -> its number, or None.
    """
    return mean(number(at) for at in places(names).values())
