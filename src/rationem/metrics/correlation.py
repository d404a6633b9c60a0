"""Correlations that are None, never NaN, where they are undefined: for a constant, or fewer than two pairs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: Numbers that differ by less than this share of their size do not vary: what remains is rounding.
_ROUNDING = 1e-9


def varies(numbers: ArrayLike) -> bool:
    """Return whether two of the numbers differ by more than rounding."""
    array = np.asarray(numbers, dtype=np.float64)
    return array.size > 1 and float(np.ptp(array)) > _ROUNDING * float(np.abs(array).max())


def pearson(one_N: ArrayLike, other_N: ArrayLike) -> float | None:
    """Return Pearson's correlation of two arrays of shape (N,); None if one of them does not vary."""
    from scipy.stats import pearsonr

    one, other = np.asarray(one_N, dtype=np.float64), np.asarray(other_N, dtype=np.float64)
    return float(pearsonr(one, other).statistic) if varies(one) and varies(other) else None


def grouped_pearson(one_N: ArrayLike, other_N: ArrayLike, groups: Sequence[Hashable]) -> tuple[float | None, int]:
    """Return the mean over groups of the correlation within the group, and the number of groups that have one.

    A group counts if it has at least two items and both arrays vary in it; None without such a group. Pooled
    correlation also rewards distinguishing easy groups from hard ones; this one does not.
    """
    one, other = np.asarray(one_N, dtype=np.float64), np.asarray(other_N, dtype=np.float64)
    members: dict[Hashable, list[int]] = {}
    for at, group in enumerate(groups):
        members.setdefault(group, []).append(at)
    found = [pearson(one[at], other[at]) for at in members.values() if len(at) > 1]
    within = [value for value in found if value is not None]
    return (sum(within) / len(within) if within else None), len(within)
