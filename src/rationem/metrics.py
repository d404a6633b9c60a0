"""Predictions and examples -> numbers. One pair of functions scores models, baselines and humans alike.

Levels are compared by rank. What could not be parsed is never left out of a headline number: it counts as
wrong, as not within one level, and with the largest error that its label allows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rationem.scale import Scale
from rationem.types import Example, Prediction

#: Observations that every level is given in advance, so that no marginal is ever 0 (Jeffreys' prior).
PSEUDO_COUNT = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well one set of levels meets another, over ``count`` pairs.

    Args:
        count: the number of pairs.
        accuracy: share of equal levels.
        within_one: share at most one rank apart.
        mae: mean absolute difference of the ranks.
    """

    count: int
    accuracy: float
    within_one: float
    mae: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """The numbers of one set of predictions; unparsed items count at their worst unless the name says not.

    Args:
        count: items, every one of them scored.
        accuracy: share with the predicted level equal to y*.
        accuracy_se: its standard error sqrt(a (1 - a) / count), items taken as independent.
        within_one: share with the predicted level at most one rank from y*.
        mae: mean absolute error of the rank.
        accuracy_parsed: accuracy over the items that have a predicted level; None where none has.
        log_likelihood: mean over items of log p~(y* | x), nats; for an item with several ratings the mean
            over its ratings. -inf where a rating has probability 0.
        log_likelihood_se: its standard error over items; None for fewer than two items or where it is
            infinite.
        raw_mean: mean over items of p_hat(y* | x).
        raw_zero: items with p_hat(y* | x) = 0, too long ones included.
        log_evidence: mean of log p_hat(y* | x) over the other items; None where there is none. Read with
            raw_zero.
        unparsed_draws: share of the draws that named no level on offer; None where nothing was drawn.
        unparsed_items: items of which not one draw named a level on offer, too long ones apart.
        too_long: items whose prompt did not fit; scored as unparsed.
    """

    count: int
    accuracy: float
    accuracy_se: float
    within_one: float
    mae: float
    accuracy_parsed: float | None
    log_likelihood: float
    log_likelihood_se: float | None
    raw_mean: float
    raw_zero: int
    log_evidence: float | None
    unparsed_draws: float | None
    unparsed_items: int
    too_long: int

    def as_dict(self) -> dict[str, int | float | None]:
        """Return the numbers by name, for JSON, which has no infinity: an infinite number becomes None."""
        values: dict[str, int | float | None] = asdict(self)
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }


def agreement(predicted: Sequence[str | None], targets: Sequence[str], scale: Scale) -> Agreement:
    """Compare levels pair by pair; None (no verdict) is wrong, not within one, and as far off as it can be.

    Args:
        predicted: levels or None, length N.
        targets: levels, length N.
        scale: the levels' ranks.

    Raises:
        ValueError: nothing to compare, or lengths that differ.
    """
    if not targets:
        raise ValueError("There is nothing to compare.")
    errors, near = [], 0
    for guess, target in zip(predicted, targets, strict=True):
        rank = scale.rank(target)
        error = max(rank, len(scale.levels) - 1 - rank) if guess is None else abs(scale.rank(guess) - rank)
        errors.append(error)
        near += guess is not None and error <= 1
    equal = sum(guess == target for guess, target in zip(predicted, targets, strict=True))
    count = len(targets)
    return Agreement(count, equal / count, near / count, sum(errors) / count)


def score(predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale) -> Metrics:
    """Return the metrics of exactly one prediction per example, matched by id.

    Raises:
        ValueError: no example, or predictions that are not one per example: an item must not be lost on the
        way.
    """
    ordered = _matched(predictions, examples)
    labels = [example.answer for example in examples]
    met = agreement([prediction.predicted for prediction in ordered], labels, scale)
    likelihood_N = [_log_likelihood(*pair, scale) for pair in zip(ordered, examples, strict=True)]
    raw_N = [prediction.raw for prediction in ordered]
    draws = sum(prediction.draws for prediction in ordered)
    parsed = sum(prediction.predicted is not None for prediction in ordered)
    return Metrics(
        count=met.count,
        accuracy=met.accuracy,
        accuracy_se=math.sqrt(met.accuracy * (1 - met.accuracy) / met.count),
        within_one=met.within_one,
        mae=met.mae,
        accuracy_parsed=met.accuracy * met.count / parsed if parsed else None,
        log_likelihood=_mean(likelihood_N),
        log_likelihood_se=_standard_error(likelihood_N),
        raw_mean=_mean(raw_N),
        raw_zero=sum(p == 0 for p in raw_N),
        log_evidence=_mean([math.log(p) for p in raw_N if p > 0]) if any(raw_N) else None,
        unparsed_draws=sum(prediction.unparsed for prediction in ordered) / draws if draws else None,
        unparsed_items=sum(item.predicted is None and not item.too_long for item in ordered),
        too_long=sum(item.too_long for item in ordered),
    )


def marginal(examples: Sequence[Example], scale: Scale) -> tuple[float, ...]:
    """Return the distribution of the single ratings over the levels: (n_l + 1/2) / (n + L/2), never 0.

    An example without single ratings contributes its answer.
    """
    counts = Counter(rating for example in examples for rating in _ratings(example))
    total = sum(counts.values()) + PSEUDO_COUNT * len(scale.levels)
    return tuple((counts[level] + PSEUDO_COUNT) / total for level in scale.levels)


def majority(train: Sequence[Example], test: Sequence[Example], scale: Scale) -> Metrics:
    """Return the metrics of knowing the training labels alone, reading nothing.

    It predicts the most frequent ``answer`` of the training set (ties: the lower rank) with the training
    :func:`marginal` as p~; nothing is drawn, and its p_hat is the marginal of y*.
    """
    counts = Counter(example.answer for example in train)
    level = max(scale.levels, key=lambda level: counts[level])
    probabilities = marginal(train, scale)
    constant = [
        Prediction(test_item.id, level, probabilities, probabilities[scale.rank(test_item.answer)], 0, 0)
        for test_item in test
    ]
    return score(constant, test, scale)


def best_iteration(log_likelihoods: Sequence[float | None]) -> int | None:
    """Return the index of the highest validation log-likelihood, the earlier of equals; None without a number."""
    known = [(value, -k) for k, value in enumerate(log_likelihoods) if value is not None]
    return -max(known)[1] if known else None


def uniform_log_likelihood(scale: Scale) -> float:
    """Return -log L, the log-likelihood of knowing nothing."""
    return -math.log(len(scale.levels))


def human_ceiling(examples: Sequence[Example], scale: Scale) -> Agreement | None:
    """Return how well one human meets the others: each rating against the rounded mean of the other ones.

    Pooled over all (item, rater) pairs of the items with two or more raters; ``count`` is the number of
    pairs. None where no item has two raters.
    """
    pairs = [(rating, target) for example in examples for rating, target in _left_out(example, scale)]
    return agreement([one for one, _ in pairs], [other for _, other in pairs], scale) if pairs else None


def beside_humans(predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale) -> Agreement | None:
    """Return how well the predictions meet the targets of :func:`human_ceiling`, once per left-out rater.

    The mean of k raters is steadier than that of k - 1: a model scored on the one and a human on the other
    are not comparable. None where no item has two raters.
    """
    ordered = _matched(predictions, examples)
    pairs = [
        (prediction.predicted, target)
        for prediction, example in zip(ordered, examples, strict=True)
        for _, target in _left_out(example, scale)
    ]
    return agreement([one for one, _ in pairs], [other for _, other in pairs], scale) if pairs else None


def human_log_likelihood(
    examples: Sequence[Example], scale: Scale, marginal_L: Sequence[float], alpha: float
) -> float | None:
    """Return the mean log-probability of a rating given its item's other m ratings; None without any.

    p(y | others) = (count of y among the others + alpha * marginal_y) / (m + alpha)

    This is the posterior mean under a Dirichlet prior around the training marginal. As in :func:`score`, the
    mean over items of the mean over raters.

    Args:
        examples: items with fewer than two ratings are left out.
        scale: the levels.
        marginal_L: the training marginal, shape (L,).
        alpha: > 0, the weight of the marginal in ratings; see :func:`fit_alpha`.
    """
    table = _others(examples, scale, marginal_L)
    return None if table is None else _dirichlet(*table, alpha)


def fit_alpha(examples: Sequence[Example], scale: Scale, marginal_L: Sequence[float]) -> float | None:
    """Return the alpha in [1e-3, 1e3] (a grid with steps of 2 %) that suits the training items best.

    None where no item has two raters.
    """
    table = _others(examples, scale, marginal_L)
    if table is None:
        return None
    grid: list[float] = np.geomspace(1e-3, 1e3, 701).tolist()
    return max(grid, key=lambda alpha: _dirichlet(*table, alpha))


_Floats = NDArray[np.float64]


def _others(
    examples: Sequence[Example], scale: Scale, marginal_L: Sequence[float]
) -> tuple[_Floats, _Floats, _Floats, _Floats] | None:
    """Return one row per (item, rater): count of the rating among the others, m, its marginal, its weight."""
    rated = [example for example in examples if len(example.ratings) > 1]
    rows = [
        (
            example.ratings.count(rating) - 1,
            len(example.ratings) - 1,
            marginal_L[scale.rank(rating)],
            1 / (len(rated) * len(example.ratings)),
        )
        for example in rated
        for rating in example.ratings
    ]
    if not rows:
        return None
    same_P, others_P, marginal_P, weight_P = np.array(rows, dtype=np.float64).T
    return same_P, others_P, marginal_P, weight_P


def _dirichlet(same_P: _Floats, others_P: _Floats, marginal_P: _Floats, weight_P: _Floats, alpha: float) -> float:
    return float(weight_P @ np.log((same_P + alpha * marginal_P) / (others_P + alpha)))


def _left_out(example: Example, scale: Scale) -> list[tuple[str, str]]:
    """Return (one rating, the rounded mean of the others) for every rater of an item with two or more."""
    ratings = example.ratings
    if len(ratings) < 2:
        return []
    return [(rating, scale.mean(ratings[:rater] + ratings[rater + 1 :])) for rater, rating in enumerate(ratings)]


def _ratings(example: Example) -> tuple[str, ...]:
    return example.ratings or (example.answer,)


def _matched(predictions: Iterable[Prediction], examples: Sequence[Example]) -> list[Prediction]:
    given = list(predictions)
    by_id = {prediction.example_id: prediction for prediction in given}
    if len(given) != len(examples) or by_id.keys() != {example.id for example in examples}:
        raise ValueError(f"There must be one prediction per example; found {len(given)} for {len(examples)} examples.")
    return [by_id[example.id] for example in examples]


def _log_likelihood(prediction: Prediction, example: Example, scale: Scale) -> float:
    ratings = _ratings(example)
    probabilities = [prediction.probabilities[scale.rank(rating)] for rating in ratings]
    return sum(math.log(p) if p > 0 else -math.inf for p in probabilities) / len(ratings)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _standard_error(values: Sequence[float]) -> float | None:
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))
