"""Agreement from counts of verdicts by target: the one place of each formula, for many tables at once.

A run's own numbers are those of one table (:func:`rationem.metrics.agreement`, which defines each number); the
bootstrap computes those of a table per resample. Undefined numbers are NaN here, because they are elements of an array;
no NaN leaves the package.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rationem.metrics.correlation import Floats
from rationem.tasks.scale import Scale

#: A variance below this share of the squared range is rounding.
_ROUNDING = 1e-12


def verdict_table(said_N: NDArray[np.int64], true_N: NDArray[np.int64], scale: Scale) -> Floats:
    """Return the number of pairs by target and verdict, shape (1, L, L + 1).

    Args:
        said_N: ranks of the verdicts, a missing one being L, shape (N,).
        true_N: ranks of the targets, shape (N,).
        scale: the levels.
    """
    levels = len(scale.levels)
    counts = np.bincount(true_N * (levels + 1) + said_N, minlength=levels * (levels + 1)).astype(np.float64)
    return counts.reshape(1, levels, levels + 1)


def statistics(table_RLC: Floats, scale: Scale) -> dict[str, Floats]:
    """Return name -> number per table, shape (R,).

    Args:
        table_RLC: number of pairs with target l and verdict c, where the last c is a missing verdict; shape (R, L, L +
            1).
        scale: the levels. Without an order there are only accuracy, kappa and macro-F1; if criteria have their own
            scales no macro-F1, because one level has several meanings.
    """
    levels = len(scale.levels)
    parsed_RLL, total_R = table_RLC[:, :, :levels], table_RLC.sum(axis=(1, 2))
    hits_RL = np.diagonal(parsed_RLL, axis1=1, axis2=2)
    true_RL, said_RL = table_RLC.sum(axis=2), parsed_RLL.sum(axis=1)
    found = {
        "accuracy": hits_RL.sum(axis=1) / total_R,
        "accuracy_parsed": ratio(hits_RL.sum(axis=1), parsed_RLL.sum(axis=(1, 2))),
    }
    if not scale.parts:
        found["macro_f1"] = mean_over_existing(ratio(2 * hits_RL, true_RL + said_RL))
    distances = _distances(table_RLC, parsed_RLL, total_R, scale) if scale.ordered else {}
    return found | distances | comparisons(table_RLC, scale)


def recalls(table_RLC: Floats, scale: Scale) -> Floats:
    """Return the share of each level's targets that were met, shape (R, L); NaN for a level that no target has."""
    return ratio(np.diagonal(table_RLC[:, :, : len(scale.levels)], axis1=1, axis2=2), table_RLC.sum(axis=2))


def comparisons(table_RLC: Floats, scale: Scale) -> dict[str, Floats]:
    """Return the numbers of :func:`statistics` that compare items with each other; NaN for an empty table."""
    levels = len(scale.levels)
    parsed_RLL, total_R = table_RLC[:, :, :levels], table_RLC.sum(axis=(1, 2))
    met_R = np.diagonal(parsed_RLL, axis1=1, axis2=2).sum(axis=1)
    chance_R = (table_RLC.sum(axis=2) * parsed_RLL.sum(axis=1)).sum(axis=1)
    found = {"kappa": _kappa(met_R, chance_R, total_R)}
    return found | _orders(table_RLC, parsed_RLL, total_R, scale) if scale.ordered else found


def mean_over_existing(values_RL: Floats) -> Floats:
    """Return the mean of the finite numbers of each row, shape (R,); NaN if a row has none."""
    exists = np.isfinite(values_RL)
    return ratio(np.where(exists, values_RL, 0).sum(axis=1), exists.sum(axis=1))


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Return numerator / denominator; NaN if the denominator is 0 or less."""
    over, under = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    quotient: Floats = np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0)
    return quotient


def _distances(table_RLC: Floats, parsed_RLL: Floats, total_R: Floats, scale: Scale) -> dict[str, Floats]:
    values = np.array(scale.values)
    levels = len(values)
    apart_LL = values[None, :] - values[:, None]
    worst_L = np.abs(apart_LL).max(axis=1, keepdims=True)
    apart_LC = np.hstack([np.abs(apart_LL), worst_L])
    near_LL = np.abs(np.subtract.outer(np.arange(levels), np.arange(levels))) <= 1.0
    return {
        "within_one": _sum(parsed_RLL, near_LL.astype(np.float64)) / total_R,
        "mae": _sum(table_RLC, apart_LC) / total_R,
        "mae_parsed": ratio(_sum(parsed_RLL, np.abs(apart_LL)), parsed_RLL.sum(axis=(1, 2))),
        "rmse": np.sqrt(_sum(table_RLC, apart_LC**2) / total_R),
        "signed_error_parsed": ratio(_sum(parsed_RLL, apart_LL), parsed_RLL.sum(axis=(1, 2))),
    }


def _orders(table_RLC: Floats, parsed_RLL: Floats, total_R: Floats, scale: Scale) -> dict[str, Floats]:
    values = np.array(scale.values)
    levels = len(values)
    apart_LL = values[None, :] - values[:, None]
    filled_RLL = parsed_RLL + table_RLC[:, :, levels:] * np.eye(levels)[np.abs(apart_LL).argmax(axis=1)]
    true_RL, said_RL = parsed_RLL.sum(axis=2), parsed_RLL.sum(axis=1)
    return {
        "pearson": _correlation(parsed_RLL, *[np.broadcast_to(values, true_RL.shape)] * 2),
        "spearman": _correlation(parsed_RLL, _midranks(true_RL), _midranks(said_RL)),
        "kendall": _kendall(parsed_RLL, true_RL, said_RL),
        "quadratic_kappa": _quadratic_kappa(filled_RLL, apart_LL**2, total_R),
    }


def _sum(table: Floats, weights: Floats) -> Floats:
    total: Floats = np.tensordot(table, weights, axes=([1, 2], [0, 1]))
    return total


def _correlation(table_RLL: Floats, true_RL: Floats, said_RL: Floats) -> Floats:
    """Return Pearson's correlation of the values of targets and verdicts, per table."""
    count_R = table_RLL.sum(axis=(1, 2))
    first_RL, second_RL = table_RLL.sum(axis=2), table_RLL.sum(axis=1)
    one = true_RL - ratio((first_RL * true_RL).sum(axis=1), count_R)[:, None]
    other = said_RL - ratio((second_RL * said_RL).sum(axis=1), count_R)[:, None]
    together = np.einsum("rij,ri,rj->r", table_RLL, one, other, optimize=True)
    spread = [
        np.where(square > _ROUNDING * count_R * np.ptp(numbers, axis=1) ** 2, square, 0)
        for square, numbers in (
            ((first_RL * one**2).sum(axis=1), true_RL),
            ((second_RL * other**2).sum(axis=1), said_RL),
        )
    ]
    return ratio(together, np.sqrt(spread[0] * spread[1]))


def _midranks(count_RL: Floats) -> Floats:
    """Return the mean rank of the items of each level, from 1/2."""
    ranks: Floats = count_RL.cumsum(axis=1) - count_RL / 2
    return ranks


def _kendall(table_RLL: Floats, true_RL: Floats, said_RL: Floats) -> Floats:
    """Return tau-b: (concordant - discordant) / sqrt((pairs - ties of one) (pairs - ties of the other))."""
    count_R = table_RLL.sum(axis=(1, 2))
    better = np.zeros_like(table_RLL)  # number of pairs with a higher target and a higher verdict than (l, m)
    worse = np.zeros_like(table_RLL)  # and with a higher target and a lower verdict
    from_above = table_RLL[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    better[:, :-1, :-1] = from_above[:, :, ::-1].cumsum(axis=2)[:, :, ::-1][:, :, 1:]
    worse[:, :-1, 1:] = from_above.cumsum(axis=2)[:, :, :-1]
    untied = [(count_R**2 - (margin**2).sum(axis=1)) / 2 for margin in (true_RL, said_RL)]
    return ratio((table_RLL * (better - worse)).sum(axis=(1, 2)), np.sqrt(untied[0] * untied[1]))


def _kappa(met_R: Floats, chance_R: Floats, total_R: Floats) -> Floats:
    """Return 1 - (1 - observed agreement) / (1 - agreement by chance); ``chance_R`` is that share times the squared
    total."""
    return 1 - ratio((total_R - met_R) * total_R, total_R**2 - chance_R)


def _quadratic_kappa(table_RLL: Floats, weights_LL: Floats, total_R: Floats) -> Floats:
    expected = np.einsum("ri,rj,ij->r", table_RLL.sum(axis=2), table_RLL.sum(axis=1), weights_LL, optimize=True)
    return 1 - ratio(_sum(table_RLL, weights_LL) * total_R, expected)
