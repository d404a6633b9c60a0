"""The squared calibration error, without the upward bias of the expected calibration error.

Bins of confidence b = 1 ... 10 of equal width; d = right - confidence of an item. The target and its estimate are

    sum_b P(b) E[d | b]^2,        sum_b n_b / n * mu_b,    mu_b = sum_{i, j} d_i d_j / (number of such pairs)

over pairs of items of the bin that belong to different groups, and so are independent: mu_b is unbiased for E[d | b]^2
and may be negative. With every item a group of its own, mu_b = mean(d)^2 - s^2(d) / n_b. A bin with items of one group
only counts 0: the estimate is too low by sum_b P(such a bin holds the item) E[d | b]^2, less than (bins / n) in all.
The mean of |mean(d)| (``distributions.calibration_error``) is about .06 for a calibrated judge at 256 items, and never
below 0; this is 0 on average.

Source: Kumar, Liang, Ma 2019, "Verified Uncertainty Calibration", section 4 (there for single items).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rationem.metrics.correlation import Floats
from rationem.metrics.distributions import BINS, bin_of


@dataclass(frozen=True, slots=True)
class CalibrationSums:
    """Sums over the items of each group and bin.

    Args:
        gaps_GB: sum of right minus confidence, shape (G, BINS).
        items_GB: number of items, shape (G, BINS).
    """

    gaps_GB: Floats
    items_GB: Floats

    def debiased(self, counts_RG: Floats) -> Floats:
        """Return the estimate in each resample, shape (R,).

        Copies of a group are different groups there, as draws from a population are. In expectation over resamples it
        is :meth:`plug_in`.

        Args:
            counts_RG: how often each group was drawn, shape (R, G).
        """
        gaps_RB, items_RB = counts_RG @ self.gaps_GB, counts_RG @ self.items_GB
        pairs_RB = items_RB**2 - counts_RG @ self.items_GB**2
        products_RB = gaps_RB**2 - counts_RG @ self.gaps_GB**2
        squares_RB = np.divide(products_RB, pairs_RB, out=np.zeros_like(pairs_RB), where=pairs_RB > 0.5)
        return _weighted(items_RB, squares_RB)

    def plug_in(self) -> float:
        """Return sum_b n_b / n * mean(d)^2: the squared error of the sample taken as the population."""
        gaps_B, items_B = self.gaps_GB.sum(axis=0), self.items_GB.sum(axis=0)
        means_B = np.divide(gaps_B, items_B, out=np.zeros(BINS), where=items_B > 0)
        return float(_weighted(items_B, means_B**2))


def calibration_sums(confidence_N: ArrayLike, correct_N: ArrayLike, group_N: NDArray[np.int64]) -> CalibrationSums:
    """Return the sums of N items.

    Args:
        confidence_N: probabilities of what was said, shape (N,).
        correct_N: whether it was right, or its reward, shape (N,).
        group_N: numbers of the items' groups from 0, shape (N,).
    """
    confidence, correct = np.asarray(confidence_N, dtype=np.float64), np.asarray(correct_N, dtype=np.float64)
    shape = (int(group_N.max()) + 1, BINS)
    gaps_GB, items_GB = np.zeros(shape), np.zeros(shape)
    place = (group_N, bin_of(confidence))
    np.add.at(gaps_GB, place, correct - confidence)
    np.add.at(items_GB, place, 1)
    return CalibrationSums(gaps_GB, items_GB)


def squared_calibration_error(confidence_N: ArrayLike, correct_N: ArrayLike, group_N: NDArray[np.int64]) -> float:
    """Return the debiased squared calibration error of N items; arguments as :func:`calibration_sums`.

    >>> of = np.arange(2)
    >>> squared_calibration_error([0.75, 0.75], [1, 1], of), squared_calibration_error([0.75, 0.75], [1, 0], of)
    (0.0625, -0.1875)
    """
    sums = calibration_sums(confidence_N, correct_N, group_N)
    return float(sums.debiased(np.ones((1, len(sums.items_GB))))[0])


def _weighted(items: Floats, squares: Floats) -> Floats:
    mean: Floats = (items * squares).sum(axis=-1) / items.sum(axis=-1)
    return mean
