"""What a number must be compared with: knowing the training labels alone, or nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rationem.metrics.levels import ranks
from rationem.metrics.scores import Metrics, score, single_ratings
from rationem.scale import Scale
from rationem.types import Example, Prediction

#: Observations that every level is given in advance, so that no marginal is ever 0 (Jeffreys' prior).
PSEUDO_COUNT = 0.5


@dataclass(frozen=True, slots=True)
class Constant:
    """One level said of everything, and what that scores.

    Args:
        level: the level.
        accuracy: share of the scored labels that are it.
        mae: mean absolute distance of the scored labels from it, in the values of the scale.
    """

    level: str
    accuracy: float
    mae: float


def marginal(examples: Sequence[Example], scale: Scale) -> tuple[float, ...]:
    """Return the distribution of the single ratings over the levels: (n_l + 1/2) / (n + L/2), never 0.

    An example without single ratings contributes its answer.
    """
    counts = Counter(rating for example in examples for rating in single_ratings(example))
    total = sum(counts.values()) + PSEUDO_COUNT * len(scale.levels)
    return tuple((counts[level] + PSEUDO_COUNT) / total for level in scale.levels)


def majority(train: Sequence[Example], test: Sequence[Example], scale: Scale) -> Metrics:
    """Return the metrics of knowing the training labels alone, reading nothing.

    It predicts the most frequent ``answer`` of the training set (ties: the lower rank) with the training
    :func:`marginal` as p~; nothing is drawn, and its p_hat is the marginal of y*.
    """
    counts = Counter(example.answer for example in train)
    level = max(scale.levels, key=lambda level: counts[level])
    probabilities = marginal(train, scale)
    constant = [
        Prediction(test_item.id, level, probabilities, probabilities[scale.rank(test_item.answer)], 0, 0)
        for test_item in test
    ]
    return score(constant, test, scale)


def best_constant(train: Sequence[Example], test: Sequence[Example], scale: Scale) -> Constant | None:
    """Return the level with the smallest mean absolute error on the training answers, scored on test.

    Ties go to the lower level. None without an order.

    Raises:
        ValueError: one of the sets is empty.
    """
    if not scale.ordered:
        return None
    if not train or not test:
        raise ValueError("A constant needs labels to be chosen by and labels to be scored on.")
    values = np.array(scale.values)
    known, scored = (values[ranks([example.answer for example in examples], scale)] for examples in (train, test))
    best = int(np.abs(values[:, None] - known).mean(axis=1).argmin())
    errors = np.abs(scored - values[best])
    return Constant(scale.levels[best], float((errors == 0).mean()), float(errors.mean()))


def uniform_log_likelihood(scale: Scale) -> float:
    """Return -log L, the log-likelihood of knowing nothing."""
    return -math.log(len(scale.levels))


def best_iteration(log_likelihoods: Sequence[float | None]) -> int | None:
    """Return the index of the highest validation log-likelihood, the earlier of equals; None without a number."""
    known = [(value, -k) for k, value in enumerate(log_likelihoods) if value is not None]
    return -max(known)[1] if known else None
