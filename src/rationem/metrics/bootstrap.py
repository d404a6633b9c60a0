"""Intervals: a seeded bootstrap over groups, because items of one group are not independent.

A resample draws as many groups as there are, with replacement. Every number depends on sums per group only (of scores,
of a table of verdict by target, of the reliability bins), so a resample is a row of counts W and every number is
computed from W @ sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rationem.metrics.calibration_error import CalibrationSums, calibration_sums
from rationem.metrics.correlation import Floats
from rationem.metrics.criteria import criterion, places
from rationem.metrics.levels import ranks
from rationem.metrics.per_item import Items, confidences
from rationem.metrics.scores import group_numbers, matched
from rationem.metrics.table import ROWS, means
from rationem.metrics.tables import comparisons, mean_over_existing, statistics
from rationem.seeds import generator
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction

#: There is no interval if the number is undefined in more than this share of the resamples.
_MISSING = 0.1

#: With fewer groups there is no interval: a bootstrap over so few covers the truth far less often than it says.
FEWEST_GROUPS = 10

#: Most numbers in memory at once, for any number of groups and levels.
_CHUNK = 4_000_000

#: The numbers with an interval.
HEADLINE = tuple(row.name for row in ROWS if row.resampled)

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class GroupedCounts:
    """Counts of (target, verdict) per group.

    Args:
        cells: the (target, verdict) that occur, as target * (L + 1) + verdict, shape (C,).
        counts: their counts, shape (G, C).
    """

    cells: NDArray[np.int64]
    counts: Floats


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums over the items of each group.

    Args:
        means: name -> sum of per-item scores, shape (G,), for means over items.
        items: number of items, shape (G,).
        calibration: of right minus confidence, by reliability bin.
        table: the counts of all items.
        by_criterion: the counts of each criterion's items; empty if there is only one.
    """

    means: dict[str, Floats]
    items: Floats
    calibration: CalibrationSums
    table: GroupedCounts
    by_criterion: tuple[GroupedCounts, ...]


def intervals(
    predictions: Iterable[Prediction],
    examples: Sequence[Example],
    scale: Scale,
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> dict[str, Interval | None]:
    """Return name -> percentile interval of the headline numbers, named as in :class:`rationem.metrics.Metrics`.

    With several criteria, correlations and kappas are means over criteria in every resample, as in the sample. None:
    fewer than ten groups, or the number does not exist, in the sample or in a tenth of the resamples (those that lack
    it are left out of the percentiles).

    Args:
        predictions: one per example.
        examples: their groups are resampled.
        scale: the levels.
        seed: equal seeds give equal intervals.
        resamples: the number of resamples.
        level: the share of resamples inside.

    Raises:
        ValueError: no example, or predictions that are not one per example.
    """
    if len({example.group for example in examples}) < FEWEST_GROUPS:
        return dict.fromkeys(HEADLINE)
    drawn = resampled(predictions, examples, scale, seed=seed, resamples=resamples)
    return {name: interval(drawn[name], level) if name in drawn else None for name in HEADLINE}


@dataclass(frozen=True, slots=True)
class Resampled:
    """A number and its value in each resample, shape (R,); undefined values are not finite.

    ``groups`` is the number of resampled groups; None if the number has no items.
    """

    value: float
    drawn_R: Floats
    groups: int | None


def interval(one: Resampled, level: float = 0.95) -> Interval | None:
    """Return the percentile interval of one number; None where :func:`intervals` has none."""
    few = one.groups is None or one.groups < FEWEST_GROUPS
    return None if few else percentiles(one.drawn_R, level)


def resampled(
    predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale, *, seed: int, resamples: int
) -> dict[str, Resampled]:
    """Return the defined headline numbers with their values in resamples of the groups.

    Equal seeds draw equal groups for any predictions: two judges' numbers of one resample are on the same items.
    """
    sums = _sums(matched(predictions, examples), examples, scale)
    groups, width = len(sums.items), len(scale.levels) * (len(scale.levels) + 1)
    values = {name: value[0] for name, value in _statistics(np.ones((1, groups)), sums, scale).items()}
    parts = [_statistics(counts_RG, sums, scale) for counts_RG in resamples_of(seed, groups, resamples, width)]
    # Resamples of this number are centred on the plug-in estimate; the interval is to be around the debiased one.
    shifts = {"squared_calibration_error": values["squared_calibration_error"] - sums.calibration.plug_in()}
    drawn = {name: np.concatenate([part[name] for part in parts]) + shifts.get(name, 0.0) for name in parts[0]}
    return {
        name: Resampled(float(values[name]), drawn[name], groups)
        for name in HEADLINE
        if name in values and np.isfinite(values[name])
    }


def resampled_mean(
    scores: Mapping[str, float], group_of: Mapping[str, str], *, seed: int, resamples: int
) -> Resampled | None:
    """Return the mean of a score per item with its values in resamples of the groups; None without items.

    Args:
        scores: id -> score.
        group_of: id -> group, for all items; those without a score are left out of the means.
        seed: see :func:`resampled`.
        resamples: the number of resamples.
    """
    known = [name for name in group_of if name in scores]
    if not known:
        return None
    groups, group_N = np.unique(list(group_of.values()), return_inverse=True)
    place = dict(zip(group_of, group_N, strict=True))
    at_N, score_N = [place[name] for name in known], np.array([scores[name] for name in known])
    sum_G, count_G = (np.bincount(at_N, weights=w, minlength=len(groups)) for w in (score_N, np.ones(len(known))))
    parts = [
        np.divide(c @ sum_G, c @ count_G, out=np.full(len(c), np.nan), where=c @ count_G > 0)
        for c in resamples_of(seed, len(groups), resamples, 1)
    ]
    return Resampled(float(score_N.mean()), np.concatenate(parts), len(groups))


def resamples_of(seed: int, groups: int, resamples: int, width: int) -> Iterator[Floats]:
    """Yield the counts of each group in the resamples, in chunks of rows, shape (R, G)."""
    draw = generator(seed, "bootstrap")
    rows = max(1, _CHUNK // max(groups, width))
    shares = np.full(groups, 1 / groups)
    for start in range(0, resamples, rows):
        yield draw.multinomial(groups, shares, size=min(rows, resamples - start)).astype(np.float64)


def percentiles(values: Floats, level: float = 0.95) -> Interval | None:
    """Return the ends of the interval that holds the middle ``level`` of resamples; None if a tenth lack a value."""
    known = values[np.isfinite(values)]
    if len(known) < (1 - _MISSING) * len(values):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _sums(predictions: Sequence[Prediction], examples: Sequence[Example], scale: Scale) -> _Sums:
    group_N = group_numbers(examples)
    groups = int(group_N.max()) + 1
    said, true = _RANKS[scale.measured](predictions, examples, scale)
    confidence, correct = confidences(predictions, examples)
    # A number that is infinite in the sample does not exist.
    scores_N = {name: one for name, one in means(Items(predictions, examples, scale)).items() if np.isfinite(one).all()}
    correct = scores_N.get("reward", correct)
    cell_N = true * (len(scale.levels) + 1) + said

    def total(scores: Floats) -> Floats:
        return np.bincount(group_N, weights=scores, minlength=groups).astype(np.float64)

    return _Sums(
        {name: total(scores) for name, scores in scores_N.items()},
        total(np.ones(len(examples))),
        calibration_sums(confidence, correct, group_N),
        table_of(cell_N, group_N, groups),
        tables_by_criterion([criterion(example) for example in examples], cell_N, group_N, groups),
    )


def _both_ranks(
    predictions: Sequence[Prediction], examples: Sequence[Example], scale: Scale
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return ranks([p.predicted for p in predictions], scale), ranks([x.answer for x in examples], scale)


def _no_ranks(
    predictions: Sequence[Prediction], _: Sequence[Example], __: Scale
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    nothing_N = np.zeros(len(predictions), dtype=np.int64)
    return nothing_N, nothing_N


_RANKS = {"levels": _both_ranks, "texts": _no_ranks}


def tables_by_criterion(
    names: Sequence[str], cell_N: NDArray[np.int64], group_N: NDArray[np.int64], groups: int
) -> tuple[GroupedCounts, ...]:
    """Return the table of each criterion's items; empty if there is only one criterion."""
    several = list(places(names).values())
    return tuple(table_of(cell_N[at], group_N[at], groups) for at in several) if len(several) > 1 else ()


def table_of(cell_N: NDArray[np.int64], group_N: NDArray[np.int64], groups: int) -> GroupedCounts:
    """Return the counts of cells by group.

    Args:
        cell_N: target * (L + 1) + verdict of each item, no verdict being L, shape (N,).
        group_N: its group, from 0, shape (N,).
        groups: G.
    """
    cells, place_N = np.unique(cell_N, return_inverse=True)
    counts = np.zeros((groups, len(cells)))
    np.add.at(counts, (group_N, place_N), 1)
    return GroupedCounts(cells, counts)


def _statistics(counts_RG: Floats, sums: _Sums, scale: Scale) -> dict[str, Floats]:
    """Return name -> number per resample, shape (R,); an undefined number is not finite."""
    items_R = counts_RG @ sums.items
    found = {name: counts_RG @ total / items_R for name, total in sums.means.items()}
    found["squared_calibration_error"] = sums.calibration.debiased(counts_RG)
    return found | _OF_TABLE[scale.measured](counts_RG, sums, scale)


def _of_levels(counts_RG: Floats, sums: _Sums, scale: Scale) -> dict[str, Floats]:
    """Return the numbers computed from the table of verdict by target."""
    return of_tables(counts_RG, sums.table, sums.by_criterion, scale)


def of_tables(
    counts_RG: Floats, table: GroupedCounts, by_criterion: Sequence[GroupedCounts], scale: Scale
) -> dict[str, Floats]:
    """Return name -> number per resample, shape (R,), of tables of verdict by target; kappas and correlations are means
    over criteria.
    """
    found = statistics(_resampled(counts_RG, table, scale), scale)
    if not by_criterion:
        return found
    each = [comparisons(_resampled(counts_RG, one, scale), scale) for one in by_criterion]
    return found | {name: mean_over_existing(np.stack([one[name] for one in each], axis=1)) for name in each[0]}


def _of_texts(_: Floats, __: _Sums, ___: Scale) -> dict[str, Floats]:
    return {}


_OF_TABLE = {"levels": _of_levels, "texts": _of_texts}


def _resampled(counts_RG: Floats, table: GroupedCounts, scale: Scale) -> Floats:
    levels = len(scale.levels)
    table_RLC = np.zeros((len(counts_RG), levels * (levels + 1)))
    table_RLC[:, table.cells] = counts_RG @ table.counts
    return table_RLC.reshape(-1, levels, levels + 1)
