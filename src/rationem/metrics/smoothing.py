"""The likelihood of a human rating given the item's other ratings, smoothed by the training marginal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rationem.metrics.correlation import Floats
from rationem.metrics.criteria import criterion
from rationem.tasks.scale import Scale
from rationem.types import Example


def human_log_likelihood(
    examples: Sequence[Example], scale: Scale, marginals: Mapping[str, Sequence[float]], alpha: float
) -> float | None:
    """Return the mean log-probability of a rating given its item's other m ratings; None without any.

    p(y | others) = (count of y among the others + alpha * marginal_y) / (m + alpha)

    This is the posterior mean under a Dirichlet prior around the training marginal. As in :func:`score`, the
    mean over items of the mean over raters.

    Args:
        examples: items with fewer than two ratings are left out.
        scale: the levels.
        marginals: criterion -> its training marginal, shape (L,); see :func:`rationem.metrics.marginals`.
        alpha: > 0, the weight of the marginal in ratings; see :func:`fit_alpha`.
    """
    table = _others(examples, scale, marginals)
    return None if table is None else _dirichlet(*table, alpha)


def fit_alpha(examples: Sequence[Example], scale: Scale, marginals: Mapping[str, Sequence[float]]) -> float | None:
    """Return the alpha in [1e-3, 1e3] (a grid with steps of 2 %) that maximises :func:`human_log_likelihood` on the
    training items.

    None if no item has two raters.
    """
    table = _others(examples, scale, marginals)
    if table is None:
        return None
    grid: list[float] = np.geomspace(1e-3, 1e3, 701).tolist()
    return max(grid, key=lambda alpha: _dirichlet(*table, alpha))


def _others(
    examples: Sequence[Example], scale: Scale, marginals: Mapping[str, Sequence[float]]
) -> tuple[Floats, Floats, Floats, Floats] | None:
    """Return one row per (item, rater): count of the rating among the others, m, its marginal, its weight."""
    rated = [example for example in examples if len(example.ratings) > 1]
    rows = [
        (
            example.ratings.count(rating) - 1,
            len(example.ratings) - 1,
            marginals[criterion(example)][scale.rank(rating)],
            1 / (len(rated) * len(example.ratings)),
        )
        for example in rated
        for rating in example.ratings
    ]
    if not rows:
        return None
    same_P, others_P, marginal_P, weight_P = np.array(rows, dtype=np.float64).T
    return same_P, others_P, marginal_P, weight_P


def _dirichlet(same_P: Floats, others_P: Floats, marginal_P: Floats, weight_P: Floats, alpha: float) -> float:
    return float(weight_P @ np.log((same_P + alpha * marginal_P) / (others_P + alpha)))
