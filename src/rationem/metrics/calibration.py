"""Temperature: one number, fitted on validation, that calibrates the averaged level probabilities.

p_T(k) = p(k)^(1/T) / sum_j p(j)^(1/T);   T > 1 softens, T < 1 sharpens, the order of the levels stays.

T maximises sum_i log p_T(ratings of i) - (log T)^2 / (2 s^2) over the items i: a normal prior on log T with standard
deviation s = .3. It biases log T towards 0 by a share that vanishes with the number of items. Without it, a temperature
fitted on 10 to 20 items of a calibrated judge costs .03 to .1 nats on new items, with it .005
(docs/decisions/042-calibration-and-choice.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rationem.metrics.calibration_error import squared_calibration_error
from rationem.metrics.correlation import Floats
from rationem.metrics.distributions import Bin, reliability
from rationem.metrics.pairs import merged
from rationem.metrics.per_item import confidences, log_likelihoods, single_ratings, stacked
from rationem.metrics.scores import group_numbers, matched
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction

#: The range of temperatures that is searched.
LOWEST, HIGHEST = 0.05, 20.0

#: The standard deviation of the normal prior on log T.
PRIOR_SD = 0.3


@dataclass(frozen=True, slots=True)
class FittedTemperature:
    """A fitted temperature and its effect on the items used in fitting.

    Args:
        temperature: T; 1 changes nothing.
        count: items (pairs, if both orders are averaged first).
        before: their mean log-likelihood without it, nats per rating; None if a rating has probability 0.
        after: the same with it.
        error_before: debiased squared calibration error without it.
        error_after: the same with it.
    """

    temperature: float
    count: int
    before: float | None
    after: float | None
    error_before: float
    error_after: float


def tempered(probabilities_NL: ArrayLike, temperature: float) -> Floats:
    """Return p^(1/T) normalised over the last axis, same shape; zeros stay 0.

    Args:
        probabilities_NL: rows that sum to 1, shape (N, L) or (L,).
        temperature: T > 0.

    Raises:
        ValueError: T is not a positive number.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"A temperature is a number above 0; found {temperature}.")
    return np.exp(_log_tempered(_logs(probabilities_NL), 1 / temperature))


def fit_temperature(probabilities_NL: ArrayLike, ratings: Sequence[Sequence[int]], prior_sd: float = PRIOR_SD) -> float:
    """Return the T in [0.05, 20] that maximises the sum over items of the mean over ratings of log p_T(rating), plus
    the log prior.

    An item counts once, however many ratings it has: they are of one text. A rating with probability 0 is left out,
    because no temperature can correct it. If nothing is better than T = 1, the result is 1.

    Args:
        probabilities_NL: rows that sum to 1, shape (N, L).
        ratings: the rated ranks of each item, one or more.
        prior_sd: the standard deviation of log T a priori; infinite for maximum likelihood.

    Raises:
        ValueError: no item, an item without ratings, or lengths that differ.
    """
    from scipy.optimize import minimize_scalar

    logs_NL = _logs(probabilities_NL)
    if len(logs_NL) == 0 or len(logs_NL) != len(ratings) or not all(map(len, ratings)):
        raise ValueError("Calibration needs items, and at least one rating for each.")
    weight_NL = np.zeros(logs_NL.shape)
    for item, ranks in enumerate(ratings):
        np.add.at(weight_NL[item], list(ranks), 1 / len(ranks))
    said = (weight_NL > 0) & np.isfinite(logs_NL)

    def loss(log_temperature: float) -> float:
        logs = _log_tempered(logs_NL, math.exp(-log_temperature))
        return (log_temperature / prior_sd) ** 2 / 2 - float(weight_NL[said] @ logs[said])

    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(min((0.0, *bounds, float(found.x)), key=loss))  # the search comes near the bounds, not onto them


def recalibrated(predictions: Iterable[Prediction], temperature: float) -> list[Prediction]:
    """Return the predictions with tempered probabilities; verdicts and raw evidence do not change."""
    return [
        replace(prediction, probabilities=tuple(tempered(prediction.probabilities, temperature).tolist()))
        for prediction in predictions
    ]


def calibrate(
    predictions: Iterable[Prediction],
    examples: Sequence[Example],
    scale: Scale,
    fitted_on: Iterable[Prediction] | None = None,
) -> FittedTemperature | None:
    """Fit the temperature on all ratings of the examples, and look at the same items before and after.

    None for texts: the agreement of drafts is no distribution.

    The orders of a comparison are averaged first, as a judge does before it applies the temperature. Items that are too
    long are left out, because a judge gives them no probabilities. None if no other is left.

    Args:
        predictions: one per example.
        examples: validation items.
        scale: the levels.
        fitted_on: the predictions that T is fitted on, by default the same: where the examples chose the iteration
            too, those of :func:`.choice.crossfitted`.

    Raises:
        ValueError: no example, or predictions that are not one per example.
    """
    return _FIT[scale.measured](predictions, examples, scale, predictions if fitted_on is None else fitted_on)


def _of_levels(
    predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale, fitted_on: Iterable[Prediction]
) -> FittedTemperature | None:
    fitting, of = asked(fitted_on, examples, scale)
    ordered, examples = asked(predictions, examples, scale)
    if not ordered:
        return None
    ratings = [[scale.rank(rating) for rating in single_ratings(example)] for example in of]
    temperature = fit_temperature(stacked(fitting), ratings)
    before, error_before = belief(ordered, examples, scale)
    after, error_after = belief(recalibrated(ordered, temperature), examples, scale)
    return FittedTemperature(temperature, len(examples), before, after, error_before, error_after)


def _of_texts(*_: object) -> None:
    """Return None: there is nothing to calibrate."""


#: The fit by what metrics are made of, ``Scale.measured``.
_FIT: Mapping[str, Callable[..., FittedTemperature | None]] = {
    "levels": _of_levels,
    "texts": _of_texts,
}


def asked(
    predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale
) -> tuple[list[Prediction], list[Example]]:
    """Return the items that a judge rates: pairs merged, without over-long ones."""
    ordered, given = merged(matched(predictions, examples), examples, scale)
    kept = [(one, x) for one, x in zip(ordered, given, strict=True) if not one.too_long]
    return [one for one, _ in kept], [x for _, x in kept]


def belief(predictions: Sequence[Prediction], examples: Sequence[Example], scale: Scale) -> tuple[float | None, float]:
    """Return the mean log-likelihood (None where infinite) and the squared calibration error, one item per place."""
    likelihood = float(log_likelihoods(predictions, examples, scale).mean())
    error = squared_calibration_error(*confidences(predictions, examples), group_numbers(examples))
    return (likelihood if math.isfinite(likelihood) else None), error


def bins(predictions: Sequence[Prediction], examples: Sequence[Example]) -> tuple[Bin, ...]:
    """Return the reliability of the predicted levels, one item per place."""
    return reliability(*confidences(predictions, examples))


def _logs(probabilities: ArrayLike) -> Floats:
    array = np.asarray(probabilities, dtype=np.float64)
    return np.log(array, out=np.full(array.shape, -np.inf), where=array > 0)


def _log_tempered(logs: Floats, inverse: float) -> Floats:
    """Return log p_T from log p and 1/T; an impossible level stays impossible."""
    possible: NDArray[np.bool_] = np.isfinite(logs)
    scaled = np.where(possible, logs, 0.0) * inverse
    scaled = np.where(possible, scaled, -np.inf)
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    normalised: Floats = scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    return normalised
