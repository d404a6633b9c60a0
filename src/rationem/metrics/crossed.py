"""Runs with several seeds on the same items: intervals over both, paired differences, and what to say of many of them.

Seeds and groups of items are crossed: every run has a score for every group. A resample draws groups (the same for all
runs, ``bootstrap``) and, independently of them, seeds; its number is the mean over the drawn seeds of the number on the
drawn groups (the pigeonhole bootstrap: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2)). Of S
seeds S - 1 are drawn, so that the variance of a mean over seeds is not too small by (S - 1) / S (McCarthy and Snowden
1985, Rao and Wu 1988). Percentiles of so few seeds would still be too near each other (of three, the smallest and the
largest); so what the seeds add to a resample is stretched by how much wider Student's t with S - 1 degrees of freedom
is than a normal distribution, at the ends of a 95 % interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm, t

from rationem.metrics.bootstrap import Resampled
from rationem.metrics.correlation import Floats
from rationem.seeds import generator


def crossed(runs: Sequence[Resampled | None], *, seed: int) -> Resampled | None:
    """Return the mean of a number over seeds, and what it is when seeds and groups are drawn again.

    Args:
        runs: one per seed, their resamples over the same draws of groups; None where the number does not exist.
        seed: equal seeds draw equal seeds of runs, so that two arms' resamples are paired.

    Returns:
        None where one of the runs lacks the number: a mean over the others would be of other seeds.
    """
    known = [one for one in runs if one is not None]
    if not known or len(known) < len(runs):
        return None
    drawn_SR = np.stack([one.drawn_R for one in known])
    shares_RS = _shares(len(known), drawn_SR.shape[1], seed)
    drawn_R = np.einsum("rs,sr->r", shares_RS, np.where(shares_RS.T > 0, drawn_SR, 0.0))
    if len(known) > 1:
        items_R = drawn_SR.mean(axis=0)
        drawn_R = items_R + stretch(len(known)) * (drawn_R - items_R)
    return Resampled(float(np.mean([one.value for one in known])), drawn_R)


def stretch(seeds: int) -> float:
    """Return t / z: how much further the ends of a 95 % interval lie for so few seeds, at least two.

    >>> round(stretch(3), 2), round(stretch(30), 2)
    (2.2, 1.04)
    """
    return float(t.ppf(0.975, seeds - 1) / norm.ppf(0.975))


def constant(value: float, resamples: int) -> Resampled:
    """Return a number of one run that has no items, such as its tokens: the same in every resample."""
    return Resampled(value, np.full(resamples, value))


def difference(one: Resampled | None, other: Resampled | None) -> Resampled | None:
    """Return one minus the other, resample by resample; None where one of them does not exist."""
    if one is None or other is None:
        return None
    return Resampled(one.value - other.value, one.drawn_R - other.drawn_R)


def two_sided(drawn_R: Floats) -> float:
    """Return the two-sided p-value of "there is no difference": twice the smaller tail beyond 0, the sample included.

    Raises:
        ValueError: a resample without a number.
    """
    if not np.isfinite(drawn_R).all():
        raise ValueError("A p-value needs a difference in every resample.")
    tail = min(int((drawn_R <= 0).sum()), int((drawn_R >= 0).sum()))
    return min(1.0, 2 * (1 + tail) / (1 + len(drawn_R)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several (Holm 1979), in their order.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, n in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[n]))
        adjusted[n] = largest
    return adjusted


def _shares(seeds: int, resamples: int, seed: int) -> Floats:
    """Return how much of each resample every seed makes up, shape (R, S), rows summing to 1."""
    if seeds == 1:
        return np.ones((resamples, 1))
    counts = generator(seed, "bootstrap seeds").multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=resamples)
    shares: Floats = counts / (seeds - 1)
    return shares
