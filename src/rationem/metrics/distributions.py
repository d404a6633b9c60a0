"""Scores of the probabilities p~(level | x): mean, spread and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rationem.metrics.correlation import Floats

#: Reliability is counted in this many bins of equal width over [0, 1].
BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Items whose confidence lies in (low, high]; the first bin has 0 too. Means are None if it is empty.

    Args:
        low: exclusive.
        high: inclusive.
        count: items in the bin.
        confidence: their mean confidence.
        accuracy: the share of them whose verdict is right.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def entropy(probabilities_L: Sequence[float]) -> float:
    """Return -sum_k p_k log p_k in nats, where 0 log 0 is 0.

    >>> entropy((1.0, 0.0)), round(entropy((0.5, 0.5)), 4)
    (0.0, 0.6931)
    """
    from scipy.special import entr

    return float(entr(np.asarray(probabilities_L, dtype=np.float64)).sum())


def brier(probabilities_NL: ArrayLike, truth_N: ArrayLike) -> Floats:
    """Return sum_k (p_k - 1[k = y*])^2 per item, shape (N,), in [0, 2]; ``truth_N`` are ranks."""
    probabilities = np.asarray(probabilities_NL, dtype=np.float64)
    errors: Floats = ((probabilities - _one_hot(truth_N, probabilities.shape[1])) ** 2).sum(axis=1)
    return errors


def ranked_probability(probabilities_NL: ArrayLike, truth_N: ArrayLike) -> Floats:
    """Return sum_k (F_k - O_k)^2 / (L - 1) per item, shape (N,), in [0, 1].

    F and O are cumulative over the ranks: of p~, and of the truth. A near miss costs less than a far one.
    """
    probabilities = np.asarray(probabilities_NL, dtype=np.float64)
    levels = probabilities.shape[1]
    distance = (probabilities - _one_hot(truth_N, levels)).cumsum(axis=1)[:, :-1]
    scores: Floats = (distance**2).sum(axis=1) / (levels - 1)
    return scores


def bin_of(confidence_N: ArrayLike) -> NDArray[np.int64]:
    """Return the number of the bin of each confidence, from 0."""
    edges = np.linspace(0, 1, BINS + 1)
    return np.searchsorted(edges[1:-1], np.asarray(confidence_N, dtype=np.float64))


def reliability(confidence_N: ArrayLike, correct_N: ArrayLike) -> tuple[Bin, ...]:
    """Return mean confidence and accuracy, bin by bin."""
    confidence, correct = np.asarray(confidence_N, dtype=np.float64), np.asarray(correct_N, dtype=np.float64)
    place = bin_of(confidence)
    bins = []
    for at in range(BINS):
        inside = place == at
        count = int(inside.sum())
        means = (float(confidence[inside].mean()), float(correct[inside].mean())) if count else (None, None)
        bins.append(Bin(at / BINS, (at + 1) / BINS, count, *means))
    return tuple(bins)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error: sum over bins of count / N * |accuracy - confidence|."""
    total = sum(one.count for one in bins)
    gaps = [
        one.count * abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    ]
    return sum(gaps) / total


def _one_hot(truth_N: ArrayLike, levels: int) -> Floats:
    return np.eye(levels)[np.asarray(truth_N, dtype=np.int64)]
