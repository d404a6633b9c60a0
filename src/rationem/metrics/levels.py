"""Levels against levels: one function for models, baselines and humans.

Unparsed items are part of every headline number. They are wrong, not within one level, and as far off as their target
allows; only the numbers whose name ends in ``parsed`` and the correlations leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rationem.metrics.correlation import pearson
from rationem.metrics.criteria import mean, places
from rationem.metrics.tables import comparisons, mean_over_existing, recalls, statistics, verdict_table
from rationem.tasks.scale import Scale

_Ranks = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two sequences of levels. Distances are in the values of the scale (named levels: 1, 2, 3, ...).

    None: the number is undefined, because the scale has no order, nothing was parsed or nothing varies. With several
    criteria, correlations and kappas are means over the criteria that have one; everything else is over all pairs.

    Args:
        count: the number of pairs.
        unparsed: pairs without a verdict.
        accuracy: share of equal levels.
        accuracy_parsed: the same over the pairs with a verdict.
        within_one: share at most one rank apart.
        mae: mean absolute difference; without a verdict the largest that the target allows.
        mae_parsed: the same over the pairs with a verdict.
        rmse: root of the mean squared difference, the unparsed as in ``mae``.
        signed_error_parsed: mean of verdict minus target over the pairs with a verdict; positive is too kind, and of
            a comparison in degrees too kind to the second response.
        pearson: correlation of the values over the pairs with a verdict: no verdict has no place among them.
        spearman: rank correlation over the same pairs.
        kendall: tau-b over the same pairs.
        pearson_unrounded: as ``pearson``, against targets that were not rounded to a level; None without them.
        kappa: Cohen's, unweighted; no verdict is a class of its own.
        quadratic_kappa: Cohen's with squared differences of the values as weights; no verdict stands at the level
            farthest from its target, the lower of two.
        macro_f1: mean of the levels' F1, over levels that occur among verdicts or targets; no verdict is a miss.
        recall: level -> share of its targets that were met; None for a level that no target has. This and ``macro_f1``
            are left out if criteria have their own scales: one level then has several meanings.
        untargeted: pairs not compared because their target is undefined (a tie of raters).
    """

    count: int
    unparsed: int
    accuracy: float
    accuracy_parsed: float | None
    within_one: float | None
    mae: float | None
    mae_parsed: float | None
    rmse: float | None
    signed_error_parsed: float | None
    pearson: float | None
    spearman: float | None
    kendall: float | None
    pearson_unrounded: float | None
    kappa: float | None
    quadratic_kappa: float | None
    macro_f1: float | None
    recall: Mapping[str, float | None]
    untargeted: int = 0


def agreement(
    predicted: Sequence[str | None],
    targets: Sequence[str],
    scale: Scale,
    *,
    unrounded: Sequence[float] | None = None,
    criteria: Sequence[str] | None = None,
) -> Agreement:
    """Compare levels pair by pair; see :class:`Agreement` for the treatment of None (no verdict).

    Args:
        predicted: levels or None, length N.
        targets: levels, length N.
        scale: the levels' order and values.
        unrounded: the numbers that ``targets`` were rounded from, length N.
        criteria: the criterion of each pair, length N; None means a single one.

    Raises:
        ValueError: nothing to compare, or lengths that differ.
    """
    if not targets:
        raise ValueError("There is nothing to compare.")
    said, true = ranks(predicted, scale), ranks(targets, scale)
    if said.shape != true.shape:
        raise ValueError(f"There must be one verdict per target; found {len(said)} for {len(true)}.")
    about = list(places(criteria if criteria is not None else [""] * len(true)).values())
    table = verdict_table(said, true, scale)
    whole = statistics(table, scale)
    found = {name: _known(value) for name, value in whole.items()}
    each = comparisons(np.concatenate([verdict_table(said[at], true[at], scale) for at in about]), scale)
    found |= {name: _known(mean_over_existing(value_C[None])) for name, value_C in each.items()}
    recall = {} if scale.parts else dict(zip(scale.levels, map(_known, recalls(table, scale)[0]), strict=True))
    return Agreement(
        count=len(true),
        unparsed=int((said == len(scale.levels)).sum()),
        accuracy=float(whole["accuracy"][0]),
        macro_f1=found.get("macro_f1"),
        recall=recall,
        pearson_unrounded=_unrounded(said, unrounded, about, scale),
        accuracy_parsed=found["accuracy_parsed"],
        within_one=found.get("within_one"),
        mae=found.get("mae"),
        mae_parsed=found.get("mae_parsed"),
        rmse=found.get("rmse"),
        signed_error_parsed=found.get("signed_error_parsed"),
        pearson=found.get("pearson"),
        spearman=found.get("spearman"),
        kendall=found.get("kendall"),
        kappa=found["kappa"],
        quadratic_kappa=found.get("quadratic_kappa"),
    )


def _known(value: ArrayLike) -> float | None:
    """Return the only number of an array; None if it does not exist."""
    number = float(np.asarray(value).item())
    return number if math.isfinite(number) else None


def _unrounded(said: _Ranks, unrounded: Sequence[float] | None, about: Sequence[_Ranks], scale: Scale) -> float | None:
    """Return the correlation with targets that were not rounded, which is not in the table."""
    if unrounded is None or not scale.ordered:
        return None
    parsed, values, means = said < len(scale.levels), np.array(scale.values), np.asarray(unrounded, dtype=np.float64)
    return mean(pearson(values[said[at][parsed[at]]], means[at][parsed[at]]) for at in about)


def ranks(levels: Sequence[str | None], scale: Scale) -> _Ranks:
    """Return the levels' ranks, shape (N,); no verdict is L, one after the last."""
    known = {level: rank for rank, level in enumerate(scale.levels)}
    return np.array([len(known) if level is None else known[level] for level in levels], dtype=np.int64)
