"""Predictions with their examples, item by item: the scores of which metrics are means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rationem.metrics import distributions
from rationem.metrics.correlation import Floats
from rationem.metrics.levels import ranks
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction


@dataclass(frozen=True)
class Items:
    """N predictions in the order of their examples."""

    predictions: Sequence[Prediction]
    examples: Sequence[Example]
    scale: Scale

    @cached_property
    def probabilities(self) -> Floats:
        """p~, shape (N, L)."""
        return stacked(self.predictions)


def accuracy(items: Items) -> Floats:
    """Return 1 for a correct verdict, else 0, shape (N,)."""
    return np.array([float(is_right(p, x)) for p, x in zip(items.predictions, items.examples, strict=True)])


def reward(items: Items) -> Floats:
    """Return the rewards of open answers, shape (N,)."""
    return earned(items.predictions)


def draw_reward(items: Items) -> Floats:
    """Return the mean reward of an item's single draws, shape (N,)."""
    return np.array([prediction.draw_reward or 0.0 for prediction in items.predictions])


def brier(items: Items) -> Floats:
    """Return sum_k (p_k - 1[k = y*])^2, shape (N,)."""
    return distributions.brier(items.probabilities, _truth(items))


def ranked_probability(items: Items) -> Floats:
    """Return the ranked probability scores, shape (N,)."""
    return distributions.ranked_probability(items.probabilities, _truth(items))


def log_likelihood(items: Items) -> Floats:
    """Return :func:`log_likelihoods`."""
    return log_likelihoods(items.predictions, items.examples, items.scale)


def expected_error(items: Items) -> Floats:
    """Return the distance of the expected rating from y*, in the values of the scale, shape (N,)."""
    said: Floats = items.probabilities @ np.array(items.scale.values)
    return np.abs(said - answers(items.examples, items.scale))


def _truth(items: Items) -> NDArray[np.int64]:
    return ranks([example.answer for example in items.examples], items.scale)


def single_ratings(example: Example) -> tuple[str, ...]:
    """Return the ratings of an item; one without single ratings has its answer."""
    return example.ratings or (example.answer,)


def stacked(predictions: Sequence[Prediction]) -> Floats:
    """Return p~ of all items, shape (N, L)."""
    return np.array([prediction.probabilities for prediction in predictions], dtype=np.float64)


def answers(examples: Sequence[Example], scale: Scale) -> Floats:
    """Return y* of all items in the values of the scale, shape (N,)."""
    values = scale.values
    return np.array([values[scale.rank(example.answer)] for example in examples])


def confidences(predictions: Sequence[Prediction], examples: Sequence[Example]) -> tuple[Floats, Floats]:
    """Return the confidence of the verdicts and whether they are right, both of shape (N,).

    An item without a verdict has the confidence of its most probable level, and is wrong.
    """
    correct = [float(is_right(p, example)) for p, example in zip(predictions, examples, strict=True)]
    return stacked(predictions).max(axis=1), np.array(correct)


def earned(predictions: Sequence[Prediction]) -> Floats:
    """Return the rewards of open answers, shape (N,)."""
    return np.array([prediction.reward or 0.0 for prediction in predictions])


def is_right(prediction: Prediction, example: Example) -> bool:
    """Return whether a verdict is y*; for an open answer, whether it earns the full reward."""
    return prediction.predicted == example.answer if prediction.reward is None else prediction.reward == 1


def log_likelihoods(predictions: Sequence[Prediction], examples: Sequence[Example], scale: Scale) -> Floats:
    """Return per item the mean over its ratings of log p~, nats, shape (N,); -inf if one is impossible."""
    pairs = zip(predictions, examples, strict=True)
    return np.array([_log_likelihood(prediction, example, scale) for prediction, example in pairs])


def _log_likelihood(prediction: Prediction, example: Example, scale: Scale) -> float:
    ratings = single_ratings(example)
    probabilities = [prediction.probabilities[scale.rank(rating)] for rating in ratings]
    return sum(math.log(p) if p > 0 else -math.inf for p in probabilities) / len(ratings)
