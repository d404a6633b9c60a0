"""Runs with several seeds on the same items: intervals over both, paired differences, and multiple tests.

Seeds and groups of items are crossed: every run has a number t_s for the same G groups. With effects of groups, of
seeds, and of both together (cell noise), the mean over S seeds has the variance

    Var = A + B - C
    A = Var_r mean_s t_s(G_r)    B = s^2(t_s) / S    C = mean_s Var_r(t_s(G_r) - mean_s t_s(G_r)) / (S - 1)

A: over resamples r of the groups (``bootstrap``), times G / (G - 1) as C is; it holds the groups' share and the cells'.
B: between seeds, the seeds' share and the cells' a second time; C is the cells' share. Where B < C the seeds' share is
taken as 0 and Var = A. The interval is t_bar -+ t_{.975, d} sqrt(Var) with Satterthwaite's degrees of freedom

    d = Var^2 / (A^2 / (G - 1) + B^2 / (S - 1) + C^2 / ((G - 1)(S - 1))),    G - 1 where Var = A.

For a mean of scores these are the mean squares of a two-way layout; A and C of other statistics are bootstrap estimates
of the same. Three seeds are the fewest: of two, the variance between seeds has one degree of freedom. Simulated
coverage and width: docs/decisions/038-two-way-intervals.md.

Sources: Satterthwaite 1946, Biometrics Bulletin 2(6); Owen 2007, Annals of Applied Statistics 1(2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rationem.metrics.bootstrap import FEWEST_GROUPS, Interval, Resampled, percentiles
from rationem.metrics.correlation import Floats

#: With fewer seeds there is no interval over seeds; one seed has the interval of its run.
FEWEST_SEEDS = 3


@dataclass(frozen=True, slots=True)
class Crossed:
    """A number over seeds and groups of items.

    Args:
        of_seed_S: the number of every seed's run, shape (S,).
        drawn_SR: the same on every resample of the groups, with the same groups for all seeds, shape (S, R).
        groups: G; None if the number has no items, such as tokens spent.
    """

    of_seed_S: Floats
    drawn_SR: Floats
    groups: int | None

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(self.of_seed_S.mean())

    def error(self) -> tuple[float, float] | None:
        """Return the standard error over seeds and groups, and its degrees of freedom.

        Returns:
            None with fewer than three seeds or ten groups, if a tenth of the resamples lack the number, or if nothing
            varies.
        """
        seeds = len(self.of_seed_S)
        if seeds < FEWEST_SEEDS or (self.groups is not None and self.groups < FEWEST_GROUPS):
            return None
        between = float(self.of_seed_S.var(ddof=1)) / seeds
        if self.groups is None:
            return (between**0.5, seeds - 1.0) if between > 0 else None
        if percentiles(self.drawn_SR.mean(axis=0)) is None:
            return None
        known_SR = self.drawn_SR[:, np.isfinite(self.drawn_SR).all(axis=0)]
        unbiased = self.groups / (self.groups - 1)
        mean_R = known_SR.mean(axis=0)
        of_items = unbiased * float(mean_R.var())
        of_cells = unbiased * float((known_SR - mean_R).var(axis=1).mean()) / (seeds - 1)
        variance = of_items + max(0.0, between - of_cells)
        if variance <= (1e-9 * max(1.0, abs(self.value))) ** 2:
            return None
        if between <= of_cells:
            return variance**0.5, self.groups - 1.0
        spread = (
            of_items**2 / (self.groups - 1) + between**2 / (seeds - 1) + of_cells**2 / ((self.groups - 1) * (seeds - 1))
        )
        return variance**0.5, variance**2 / spread

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the interval over seeds and groups; with one seed, that of its run, over groups alone."""
        if len(self.of_seed_S) == 1:
            few = self.groups is None or self.groups < FEWEST_GROUPS
            return None if few or _is_constant(self.drawn_SR) else percentiles(self.drawn_SR[0], level)
        if (found := self.error()) is None:
            return None
        half = float(_student().ppf((1 + level) / 2, found[1])) * found[0]
        return self.value - half, self.value + half

    def p_value(self) -> float | None:
        """Return the two-sided p-value of "the mean is 0"; None without a standard error."""
        if (found := self.error()) is None:
            return None
        return float(2 * _student().sf(abs(self.value) / found[0], found[1]))

    def detectable(self, power: float = 0.8, level: float = 0.95) -> float | None:
        """Return the mean that can be distinguished from 0 with this power; None without a standard error."""
        if (found := self.error()) is None:
            return None
        return float(_student().ppf((1 + level) / 2, found[1]) + _student().ppf(power, found[1])) * found[0]


def _student() -> Any:
    """Return Student's t; scipy's distributions take a second to import, which most commands need not pay."""
    from scipy.stats import t

    return t


def crossed(runs: Sequence[Resampled | None]) -> Crossed | None:
    """Return a number over seeds.

    Args:
        runs: one per seed, with resamples over the same draws of groups; None if the number does not exist.

    Returns:
        None if one of the runs lacks the number: a mean over the others would be of other seeds.
    """
    known = [one for one in runs if one is not None]
    if not known or len(known) < len(runs):
        return None
    values_S = np.array([one.value for one in known])
    return Crossed(values_S, np.stack([one.drawn_R for one in known]), known[0].groups)


def constant(value: float, resamples: int = 1) -> Resampled:
    """Return a number of one run that has no items, such as its tokens: the same in every resample."""
    return Resampled(value, np.full(resamples, value), None)


def difference(one: Crossed | None, other: Crossed | None) -> Crossed | None:
    """Return one minus the other, paired by seed and by group; None if one of them does not exist."""
    if one is None or other is None:
        return None
    return Crossed(one.of_seed_S - other.of_seed_S, one.drawn_SR - other.drawn_SR, one.groups)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for multiple tests (Holm 1979), in their order.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, n in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[n]))
        adjusted[n] = largest
    return adjusted


def _is_constant(values: Floats) -> bool:
    return bool(np.isfinite(values).all()) and float(np.ptp(values)) <= 1e-9
