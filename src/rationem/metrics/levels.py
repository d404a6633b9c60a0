"""Levels against levels: one function for models, baselines and humans.

Unparsed items are part of every headline number. They are wrong, not within one level, and as far off as their target
allows; only the numbers whose name ends in ``parsed`` and the correlations leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rationem.metrics.correlation import Floats, kendall, pearson, spearman
from rationem.metrics.criteria import COMPARING, mean, places
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
        recall: level -> share of its targets that were met; None for a level that no target has.
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
    macro_f1: float
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
    parsed = said < len(scale.levels)
    equal = said == true
    macro_f1, recall = _by_level(said, true, scale)
    distance = _distances(said, true, parsed, scale) if scale.ordered else {}
    means = None if unrounded is None else np.asarray(unrounded, dtype=np.float64)
    several = [
        _comparisons(said[at], true[at], None if means is None else means[at], scale)
        for at in places(criteria if criteria is not None else [""] * len(true)).values()
    ]
    compared = {name: mean(one[name] for one in several) for name in COMPARING}
    return Agreement(
        count=len(true),
        unparsed=int((~parsed).sum()),
        accuracy=float(equal.mean()),
        accuracy_parsed=float(equal[parsed].mean()) if parsed.any() else None,
        within_one=distance.get("within_one"),
        mae=distance.get("mae"),
        mae_parsed=distance.get("mae_parsed"),
        rmse=distance.get("rmse"),
        signed_error_parsed=distance.get("signed_error_parsed"),
        macro_f1=macro_f1,
        recall=recall,
        pearson=compared["pearson"],
        spearman=compared["spearman"],
        kendall=compared["kendall"],
        pearson_unrounded=compared["pearson_unrounded"],
        kappa=compared["kappa"],
        quadratic_kappa=compared["quadratic_kappa"],
    )


def ranks(levels: Sequence[str | None], scale: Scale) -> _Ranks:
    """Return the levels' ranks, shape (N,); no verdict is L, one after the last."""
    known = {level: rank for rank, level in enumerate(scale.levels)}
    return np.array([len(known) if level is None else known[level] for level in levels], dtype=np.int64)


def farthest(said_N: _Ranks, true_N: _Ranks, scale: Scale) -> _Ranks:
    """Return the verdicts' ranks; a missing verdict gets the level farthest from the target (the lower of two)."""
    values = np.array(scale.values)
    return np.where(said_N < len(values), said_N, np.abs(values[:, None] - values).argmax(axis=0)[true_N])


def quadratic_kappa(one_N: _Ranks, other_N: _Ranks, values_L: Sequence[float]) -> float | None:
    """Return 1 - sum w O / sum w E, w the squared difference of the values, E of independent marginals.

    None if all pairs have the same level: then no disagreement is expected.

    Args:
        one_N: ranks, shape (N,).
        other_N: ranks, shape (N,).
        values_L: the values of the ranks. Evenly spaced ones go to scikit-learn, which takes no other weights.
    """
    if len(set(one_N) | set(other_N)) == 1:
        return None
    steps = np.diff(values_L)
    if np.allclose(steps, steps[0]):
        return _sklearn_kappa(one_N, other_N, len(values_L), "quadratic")
    values = np.array(values_L)
    one, other = values[one_N], values[other_N]
    # The mean of (u - v)^2 over independent u and v is var u + var v + (mean u - mean v)^2.
    expected = one.var() + other.var() + (one.mean() - other.mean()) ** 2
    return float(1 - ((one - other) ** 2).mean() / expected)


def _distances(said: _Ranks, true: _Ranks, parsed: NDArray[np.bool_], scale: Scale) -> dict[str, float | None]:
    values = np.array(scale.values)
    errors: Floats = values[farthest(said, true, scale)] - values[true]
    near = parsed & (np.abs(said - true) <= 1)
    return {
        "within_one": float(near.mean()),
        "mae": float(np.abs(errors).mean()),
        "mae_parsed": float(np.abs(errors[parsed]).mean()) if parsed.any() else None,
        "rmse": math.sqrt(float((errors**2).mean())),
        "signed_error_parsed": float(errors[parsed].mean()) if parsed.any() else None,
    }


def _comparisons(said: _Ranks, true: _Ranks, unrounded: Floats | None, scale: Scale) -> dict[str, float | None]:
    """Return the numbers that compare the items of one criterion with each other."""
    found: dict[str, float | None] = {**dict.fromkeys(COMPARING), "kappa": _kappa(said, true, len(scale.levels) + 1)}
    if not scale.ordered:
        return found
    parsed, values = said < len(scale.levels), np.array(scale.values)
    verdicts, targets = values[said[parsed]], values[true[parsed]]
    return found | {
        "pearson": pearson(verdicts, targets),
        "spearman": spearman(verdicts, targets),
        "kendall": kendall(verdicts, targets),
        "pearson_unrounded": None if unrounded is None else pearson(verdicts, unrounded[parsed]),
        "quadratic_kappa": quadratic_kappa(farthest(said, true, scale), true, scale.values),
    }


def _kappa(said: _Ranks, true: _Ranks, classes: int) -> float | None:
    return None if len(set(said) | set(true)) == 1 else _sklearn_kappa(said, true, classes, None)


def _sklearn_kappa(one: _Ranks, other: _Ranks, classes: int, weights: str | None) -> float:
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(one, other, labels=range(classes), weights=weights))


def _by_level(said: _Ranks, true: _Ranks, scale: Scale) -> tuple[float, dict[str, float | None]]:
    """Return macro-F1 and the recall of each level."""
    from sklearn.metrics import precision_recall_fscore_support

    occurring = sorted((set(said.tolist()) | set(true.tolist())) - {len(scale.levels)})
    # A level that occurs only in verdicts has precision 0 and no recall; its placeholder 0 is not used.
    _, recall, f1, support = precision_recall_fscore_support(true, said, labels=occurring, zero_division=0)
    found = {rank: float(share) for rank, share, count in zip(occurring, recall, support, strict=True) if count}
    return float(f1.mean()), {level: found.get(rank) for rank, level in enumerate(scale.levels)}
