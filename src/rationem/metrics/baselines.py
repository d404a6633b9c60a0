"""Baselines for every number: one constant level, the training marginal, or the uniform distribution.

A *constant* is an upper line: for each number the best single level, chosen by the scored labels themselves. A judge
that is not above it has not distinguished items. The *training marginal* is a forecast made before the scored set is
seen: probabilities from the single ratings in training, for the log-likelihood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from rationem.metrics.correlation import Floats
from rationem.metrics.criteria import criterion, mean, parts, rated_parts
from rationem.metrics.distributions import brier, ranked_probability
from rationem.metrics.levels import ranks
from rationem.metrics.per_item import log_likelihoods, single_ratings, stacked
from rationem.metrics.scores import Metrics, json_safe, score
from rationem.metrics.table import METRICS
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction

#: Prior observations per level, so that no marginal is 0 (Jeffreys' prior).
PSEUDO_COUNT = 0.5

#: The numbers of a constant open answer, which has no probabilities.
_OF_OPEN = ("count", "unparsed", "accuracy", "reward", "draw_reward")


@dataclass(frozen=True, slots=True)
class Constant:
    """The best scores of any single level given for every item; with several criteria each has its own level.

    Args:
        count: items.
        accuracy: share of the labels that are the most frequent one.
        within_one: largest share of labels at most one rank from one level; None without an order.
        mae: smallest mean distance of the labels from one level, in the values of the scale; None without an order.
        levels: number -> its level, the lower of equal ones; None if each criterion has its own.
    """

    count: int
    accuracy: float
    within_one: float | None
    mae: float | None
    levels: Mapping[str, str | None]


#: The metrics that a constant has.
OF_CONSTANT = tuple(one.name for one in fields(Constant) if one.name in METRICS)


@dataclass(frozen=True, slots=True)
class Marginal:
    """The scores of the training marginal (of the item's criterion) as the probabilities of every item.

    Args:
        log_likelihood: mean over items of the mean over their ratings, nats.
        brier: against the label.
        rps: ranked probability score; None without an order.
    """

    log_likelihood: float
    brier: float
    rps: float | None


def marginal(examples: Sequence[Example], scale: Scale) -> tuple[float, ...]:
    """Return the distribution of the single ratings over the levels: (n_l + 1/2) / (n + L/2), never 0.

    An example without single ratings contributes its answer.
    """
    counts = Counter(rating for example in examples for rating in single_ratings(example))
    total = sum(counts.values()) + PSEUDO_COUNT * len(scale.levels)
    return tuple((counts[level] + PSEUDO_COUNT) / total for level in scale.levels)


def marginals(examples: Sequence[Example], scale: Scale, criteria: Iterable[str] = ()) -> dict[str, tuple[float, ...]]:
    """Return criterion -> :func:`marginal` of its examples; the one without a name is "".

    A criterion with its own scale has no mass on the levels of others.

    Args:
        examples: the training set.
        scale: the levels.
        criteria: more names; one without examples, or a subject, has the marginal of all of them, and with a scale of
            its own the uniform distribution.
    """
    named, others = rated_parts(examples), () if scale.parts else examples
    names = dict.fromkeys((*named, *criteria))
    return {name: _on_own(named.get(name, others), scale, scale.of(name)) for name in names}


def _on_own(examples: Sequence[Example], scale: Scale, own: Scale) -> tuple[float, ...]:
    """Return the marginal over a criterion's own levels, in the places that these have among all levels."""
    shares = dict(zip(own.levels, marginal(examples, own), strict=True))
    return tuple(shares.get(level, 0.0) for level in scale.levels)


def training_marginal(train: Sequence[Example], scored: Sequence[Example], scale: Scale) -> Marginal:
    """Return the scores of the training set's :func:`marginals` as the probabilities of every scored item."""
    known = marginals(train, scale, parts(scored))
    said = [Prediction(x.id, None, known[criterion(x)], 0.0, 0, 0) for x in scored]
    truth, probabilities = ranks([x.answer for x in scored], scale), stacked(said)
    return Marginal(
        log_likelihood=float(log_likelihoods(said, scored, scale).mean()),
        brier=float(brier(probabilities, truth).mean()),
        rps=float(ranked_probability(probabilities, truth).mean()) if scale.ordered else None,
    )


def best_constant(scored: Sequence[Example], scale: Scale, among: Sequence[Example] | None = None) -> Constant:
    """Return the best scores of any single level, for each number by its own best level.

    Args:
        scored: the items with their labels.
        scale: the levels.
        among: a superset of ``scored`` that determines the best level, if it has the criterion. The right letter does
            not depend on the subject, so a subject uses the best letter of all items.

    Raises:
        ValueError: there is nothing to score.
    """
    if not scored:
        raise ValueError("A constant needs at least one label to be scored.")
    everything = scored if among is None else among
    named = rated_parts(everything)
    found: dict[str, float] = {}
    levels: dict[str, str | None] = {}
    for name, points_LL in _points(scale).items():
        best = {one: _best(named.get(one, everything), points_LL, scale) for one in parts(scored)}
        said = [best[criterion(x)] for x in scored]
        found[name] = abs(float(points_LL[said, ranks([x.answer for x in scored], scale)].mean()))
        levels[name] = scale.levels[said[0]] if len(set(best.values())) == 1 else None
    return Constant(len(scored), found["accuracy"], found.get("within_one"), found.get("mae"), levels)


def _points(scale: Scale) -> dict[str, Floats]:
    """Return number -> the score of each level (row) for each label (column); higher is better, so MAE is negative."""
    at, values = np.arange(len(scale.levels)), np.array(scale.values)
    points = {"accuracy": np.eye(len(at))}
    if scale.ordered:
        points["within_one"] = (np.abs(at[:, None] - at) <= 1).astype(np.float64)
        points["mae"] = -np.abs(values[:, None] - values)
    return points


def _best(examples: Sequence[Example], points_LL: Floats, scale: Scale) -> int:
    labels = ranks([x.answer for x in examples], scale)
    return int(points_LL[:, labels].sum(axis=1).argmax())


def most_frequent_answer(
    train: Sequence[Example], scored: Sequence[Example], scale: Scale, reward: Callable[[str, str], float] | None
) -> Metrics:
    """Return the metrics of the most frequent training answer (the first of equal ones) for every open answer.

    If ``reward`` is None, only equality of answers is known.
    """
    said = Counter(x.answer for x in train).most_common(1)[0][0]
    constant = [
        Prediction(x.id, said, (1.0,), 0.0, 0, 0, reward=met, draw_reward=met)
        for x in scored
        for met in [float(x.answer == said) if reward is None else reward(said, x.answer)]
    ]
    found = score(constant, scored, scale)
    return found if reward else replace(found, reward=None, draw_reward=None)


def without_reading(
    train: Sequence[Example],
    scored: Sequence[Example],
    scale: Scale,
    reward: Callable[[str, str], float] | None = None,
    among: Sequence[Example] | None = None,
) -> dict[str, Any]:
    """Return the scores without reading the inputs, as JSON: ``constant`` and ``training_marginal``.

    For open answers the constant is :func:`most_frequent_answer`, and the marginal is None.
    """
    constant, forecast = _NOT_READING[scale.measured](train, scored, scale, reward, among)
    return {"constant": constant, "training_marginal": forecast}


_Reward = Callable[[str, str], float] | None
_Read = tuple[dict[str, Any], Any]


def _texts(
    train: Sequence[Example], scored: Sequence[Example], scale: Scale, reward: _Reward, _: Sequence[Example] | None
) -> _Read:
    said = most_frequent_answer(train, scored, scale, reward).as_dict()
    return {name: said[name] for name in _OF_OPEN}, None


def _levels(
    train: Sequence[Example], scored: Sequence[Example], scale: Scale, _: _Reward, among: Sequence[Example] | None
) -> _Read:
    marginal_scores = asdict(training_marginal(train, scored, scale))
    return asdict(best_constant(scored, scale, among)), json_safe(marginal_scores)


_NOT_READING = {"levels": _levels, "texts": _texts}


def uniform_log_likelihood(scale: Scale, scored: Sequence[Example] = ()) -> float | None:
    """Return -log L, the log-likelihood of the uniform distribution over an item's levels; None for open answers.

    If criteria have their own scales, the mean over the scored items.
    """
    if not (scale.parts and scored):
        return scale.uniform
    return mean(scale.of(criterion(x)).uniform for x in scored)


def best_iteration(log_likelihoods: Sequence[float | None]) -> int | None:
    """Return the index of the highest validation log-likelihood, the first of equal ones; None without a number."""
    known = [(value, -k) for k, value in enumerate(log_likelihoods) if value is not None]
    return -max(known)[1] if known else None
