"""What a number must be compared with: knowing the training labels alone, or nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rationem.metrics.criteria import criterion, parts, rated_parts
from rationem.metrics.levels import ranks
from rationem.metrics.scores import Metrics, score, single_ratings
from rationem.scale import Scale
from rationem.types import Example, Prediction

#: Observations that every level is given in advance, so that no marginal is ever 0 (Jeffreys' prior).
PSEUDO_COUNT = 0.5


@dataclass(frozen=True, slots=True)
class Constant:
    """One level said of everything (of each criterion its own), and what that scores.

    Args:
        level: the level; None where there are several criteria.
        accuracy: share of the scored labels that are it.
        mae: mean absolute distance of the scored labels from it, in the values of the scale.
    """

    level: str | None
    accuracy: float
    mae: float


def marginal(examples: Sequence[Example], scale: Scale) -> tuple[float, ...]:
    """Return the distribution of the single ratings over the levels: (n_l + 1/2) / (n + L/2), never 0.

    An example without single ratings contributes its answer.
    """
    counts = Counter(rating for example in examples for rating in single_ratings(example))
    total = sum(counts.values()) + PSEUDO_COUNT * len(scale.levels)
    return tuple((counts[level] + PSEUDO_COUNT) / total for level in scale.levels)


def marginals(examples: Sequence[Example], scale: Scale, criteria: Iterable[str] = ()) -> dict[str, tuple[float, ...]]:
    """Return criterion -> :func:`marginal` of its examples; the one without a name is "".

    Args:
        examples: the training set.
        scale: the levels.
        criteria: more names; one without examples, or a subject, has the marginal of all of them.
    """
    named = rated_parts(examples)
    return {name: marginal(named.get(name, examples), scale) for name in dict.fromkeys((*named, *criteria))}


def majority_levels(train: Sequence[Example], scale: Scale, criteria: Iterable[str]) -> dict[str, str]:
    """Return criterion -> its most frequent ``answer`` in the training set (ties: the lower rank).

    A criterion without training examples, or a subject, has the most frequent of all.
    """
    named = rated_parts(train)
    counts = {name: Counter(x.answer for x in named.get(name, train)) for name in criteria}
    return {name: max(scale.levels, key=lambda level: count[level]) for name, count in counts.items()}


def majority(
    train: Sequence[Example], test: Sequence[Example], scale: Scale, reward: Callable[[str, str], float] | None = None
) -> Metrics:
    """Return the metrics of knowing the training labels alone, reading nothing.

    Of each criterion it predicts the level of :func:`majority_levels` with :func:`marginals` as p~; nothing is drawn,
    and its p_hat is the marginal of y*. Of open answers it says the most frequent one; ``reward`` is theirs, and where
    it is None nothing is known of it but which answers are the same.
    """
    if scale.is_open:
        return _most_frequent(train, test, scale, reward)
    named = parts(test)
    levels, known = majority_levels(train, scale, named), marginals(train, scale, named)
    constant = [
        Prediction(x.id, levels[name], known[name], known[name][scale.rank(x.answer)], 0, 0)
        for x in test
        for name in [criterion(x)]
    ]
    return score(constant, test, scale)


def _most_frequent(
    train: Sequence[Example], test: Sequence[Example], scale: Scale, reward: Callable[[str, str], float] | None
) -> Metrics:
    """Return the metrics of the most frequent training answer, of equals the first."""
    said = Counter(x.answer for x in train).most_common(1)[0][0]
    constant = [
        Prediction(x.id, said, (1.0,), 0.0, 0, 0, reward=met, draw_reward=met)
        for x in test
        for met in [float(x.answer == said) if reward is None else reward(said, x.answer)]
    ]
    found = score(constant, test, scale)
    return found if reward else replace(found, reward=None, draw_reward=None)


def best_constant(train: Sequence[Example], test: Sequence[Example], scale: Scale) -> Constant | None:
    """Return the level with the smallest mean absolute error on the training answers, scored on test.

    Ties go to the lower level. Each criterion has its own; one without training answers has that of all. None without
    an order.

    Raises:
        ValueError: one of the sets is empty.
    """
    if not scale.ordered:
        return None
    if not train or not test:
        raise ValueError("A constant needs labels to be chosen by and labels to be scored on.")
    values = np.array(scale.values)
    named = parts(train)
    best = {name: _least_error(named.get(name, train), scale) for name in parts(test)}
    scored = values[ranks([example.answer for example in test], scale)]
    errors = np.abs(scored - values[[best[criterion(example)] for example in test]])
    level = scale.levels[next(iter(best.values()))] if len(best) == 1 else None
    return Constant(level, float((errors == 0).mean()), float(errors.mean()))


def _least_error(examples: Sequence[Example], scale: Scale) -> int:
    values = np.array(scale.values)
    known = values[ranks([example.answer for example in examples], scale)]
    return int(np.abs(values[:, None] - known).mean(axis=1).argmin())


def uniform_log_likelihood(scale: Scale) -> float | None:
    """Return -log L, the log-likelihood of knowing nothing; None where answers are open."""
    return None if scale.is_open else -math.log(len(scale.levels))


def best_iteration(log_likelihoods: Sequence[float | None]) -> int | None:
    """Return the index of the highest validation log-likelihood, the earlier of equals; None without a number."""
    known = [(value, -k) for k, value in enumerate(log_likelihoods) if value is not None]
    return -max(known)[1] if known else None
