"""Accuracy at matched length: is a model better, or does it only write longer (or shorter) rationales?

By direct standardisation: the accuracy of an iteration's draws in each bin of rationale length, weighted by how often
the *base* model writes such lengths,

    sum_b w_b a_b / sum_b w_b,    w_b = share of the base's rationales in bin b,    over the bins that have draws.

If accuracy depends on length alone, this number does not change when the lengths do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rationem.metrics.correlation import Floats


@dataclass(frozen=True, slots=True)
class LengthBin:
    """Rationales of low < length <= high; the first bin has its low too.

    Args:
        low: in tokens; for the first bin the base's shortest.
        high: in tokens.
        share: w_b, the share of the base's rationales.
        draws: drafts of the iteration.
        accuracy: a_b, of those drafts; None without any.
    """

    low: float
    high: float
    share: float
    draws: int
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class MatchedAccuracy:
    """The accuracy of an iteration's drafts at the lengths of the base model.

    Args:
        accuracy: standardised; None if no draft has a length that the base writes.
        covered: share of the base's rationales in a bin with drafts.
        used: share of the drafts whose length is within the range of the base's; None without drafts.
        bins: from short to long.
    """

    accuracy: float | None
    covered: float
    used: float | None
    bins: tuple[LengthBin, ...]


def accuracy_at_matched_length(
    base_lengths_M: ArrayLike, lengths_M: ArrayLike, correct_M: ArrayLike, *, bins: int = 5
) -> MatchedAccuracy:
    """Return the accuracy of the drafts reweighted to the base model's lengths.

    Args:
        base_lengths_M: length of each of the base model's rationales, in tokens, shape (M0,).
        lengths_M: of each draft of the iteration, shape (M,).
        correct_M: whether its verdict is y*, or its reward, shape (M,).
        bins: the number of bins with equally many base rationales; fewer if equal lengths cannot be separated.

    Raises:
        ValueError: no base rationale, shapes that differ, or no bin.
    """
    base, lengths = np.asarray(base_lengths_M, dtype=np.float64), np.asarray(lengths_M, dtype=np.float64)
    correct = np.asarray(correct_M, dtype=np.float64)
    if lengths.ndim != 1 or lengths.shape != correct.shape:
        raise ValueError(f"Every draw needs a length and whether it is right; found {lengths.shape}, {correct.shape}.")
    edges = quantile_edges(base, bins)
    inside = (lengths >= base.min()) & (lengths <= base.max())
    base_bin, bin_of = np.searchsorted(edges, base), np.searchsorted(edges, lengths[inside])
    shares = np.bincount(base_bin, minlength=len(edges)) / len(base)
    counts = np.bincount(bin_of, minlength=len(edges))
    right = np.bincount(bin_of, weights=correct[inside], minlength=len(edges))
    lows = [float(base.min()), *edges.tolist()]
    accuracies = [float(met / count) if count else None for met, count in zip(right, counts, strict=True)]
    found = tuple(
        LengthBin(lows[b], float(edge), float(shares[b]), int(counts[b]), accuracies[b]) for b, edge in enumerate(edges)
    )
    met = [(one.share, one.accuracy) for one in found if one.accuracy is not None]
    covered = math.fsum(share for share, _ in met)
    weighted = math.fsum(share * accuracy for share, accuracy in met)
    used = float(inside.mean()) if len(lengths) else None
    return MatchedAccuracy(weighted / covered if met else None, covered, used, found)


def quantile_edges(values_N: ArrayLike, bins: int) -> Floats:
    """Return the upper edges of bins of equally many values, increasing and distinct; the last is the largest value.

    The edge of bin b of B is the ceil(b N / B)-th smallest value, so equal values are never separated, and there may be
    fewer than B bins. ``numpy.searchsorted(edges, value)`` is a value's bin.

    Args:
        values_N: shape (N,).
        bins: B.

    Raises:
        ValueError: no value, one that is not finite, or no bin.
    """
    values = np.sort(np.asarray(values_N, dtype=np.float64))
    if values.ndim != 1 or not values.size or not np.isfinite(values).all() or bins < 1:
        raise ValueError(f"Quantiles need at least one finite value and one bin; found {values.size} and {bins}.")
    places = [-(-b * values.size // bins) - 1 for b in range(1, bins + 1)]
    edges: Floats = np.unique(values[[place for place in places if place >= 0]])
    return edges
