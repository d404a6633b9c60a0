"""Predictions and examples -> numbers: of the verdicts, of the probabilities, and their biases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rationem.metrics.calibration_error import squared_calibration_error
from rationem.metrics.correlation import Floats, grouped_pearson, pearson
from rationem.metrics.criteria import criterion, places, within
from rationem.metrics.distributions import Bin, calibration_error, reliability
from rationem.metrics.levels import agreement, ranks
from rationem.metrics.per_item import Items, answers, confidences, single_ratings
from rationem.metrics.table import ROWS, means
from rationem.metrics.tables import verdict_table
from rationem.tasks.pairs import responses
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction


@dataclass(frozen=True, slots=True)
class Metrics:
    """The numbers of one set of predictions; unparsed items get their worst score unless the name ends in ``parsed``.

    Of open answers there are ``count``, ``unparsed``, accuracies (the share that earns the whole reward), ``ece`` (how
    much the draws agree is the confidence, the reward what it is compared with), raw evidence, rewards and counts; all
    else is None.

    ``count`` to ``recall`` compare the predicted level with y*, as :class:`rationem.metrics.Agreement` says. The
    *expected* rating is the mean of p~ in the values of the scale; an item without a verdict has one too, because p~ is
    then the training marginal. None: the number is undefined.

    With several criteria, numbers that compare items with each other (every correlation and kappa, ``length_bias`` too)
    are means over criteria of each criterion's number, without the undefined ones; ``grouped_pearson`` is within a
    group and criterion. Everything else is over all items.

    Standard errors assume independent groups, not items, because the two orders of a pair, or the criteria of one
    response, are not independent: sqrt(sum_g (sum_{i in g} (x_i - mean))^2) / count. None for fewer than two groups.

    Args:
        count: items, all of them scored.
        unparsed: items without a verdict: ``unparsed_items`` and ``too_long``.
        accuracy: share with the predicted level equal to y*.
        accuracy_se: its standard error; if every item is a group, sqrt(a (1 - a) / count).
        accuracy_parsed: accuracy over the items that have a predicted level.
        within_one: share with the predicted level at most one rank from y*.
        mae: mean absolute error of the verdict.
        mae_parsed: the same over the items that have a verdict.
        rmse: root mean squared error of the verdict.
        signed_error_parsed: mean of verdict minus y* over the items that have a verdict.
        pearson: of verdict and y*, over the items that have a verdict.
        spearman: the same, of ranks.
        kendall: the same, tau-b.
        pearson_unrounded: of verdict and unrounded mean of the ratings; None if no item has several.
        kappa: Cohen's.
        quadratic_kappa: Cohen's, quadratically weighted.
        macro_f1: mean F1 of the levels.
        recall: level -> share of its items that got this verdict.
        expected_mae: mean absolute error of the expected rating.
        expected_rmse: its root mean squared error.
        expected_pearson: its correlation with y*.
        expected_mae_unrounded: mean absolute difference of the expected rating and the unrounded mean of the item's
            ratings; this and the next two are None if no item has several ratings.
        expected_rmse_unrounded: root mean squared difference of the same.
        expected_pearson_unrounded: correlation of the same.
        grouped_pearson: mean over groups of the correlation of expected rating and y* within the group (and criterion).
        grouped_pearson_groups: groups in that mean (two items or more, both vary).
        length_bias: correlation of the response's length in characters with expected rating minus y*; None if an
            example has no single response.
        ece: expected calibration error of the predicted level's probability; an item without a verdict has the
            confidence of its most probable level and is wrong.
        squared_calibration_error: the same without its upward bias, squared; may be negative, see
            :mod:`.calibration_error`.
        reliability: the bins behind both.
        reliability_best: bins over the probability of the scale's best level, against the share of items for which it
            is y*; empty without an order.
        brier: mean of sum_k (p_k - 1[k = y*])^2.
        rps: mean ranked probability score.
        log_likelihood: mean over items of log p~(y* | x), nats; for an item with several ratings the mean over its
            ratings. -inf if a rating has probability 0.
        log_likelihood_se: its standard error, times sqrt(G / (G - 1)) for G groups; if every item is a group, the
            sample's standard deviation / sqrt(count). Also None if the mean is infinite.
        raw_mean: mean over items of p_hat(y* | x).
        raw_zero: items with p_hat(y* | x) = 0, too long ones included.
        log_evidence: mean of log p_hat(y* | x) over the other items; None without any. Read it with raw_zero.
        unparsed_draws: share of the drafts that state no offered level; None if nothing was drawn.
        unparsed_items: items without a draft that states an offered level, not counting those that are too long.
        too_long: items whose prompt is too long; scored as unparsed.
        reward: for open answers, the mean of r(predicted, y*); an item without a verdict counts 0.
        draw_reward: for open answers, the mean of r over all single drafts.
        further: the other means over items of :mod:`rationem.metrics.table`.
    """

    count: int
    unparsed: int
    accuracy: float
    accuracy_se: float | None
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
    expected_mae: float | None
    expected_rmse: float | None
    expected_pearson: float | None
    expected_mae_unrounded: float | None
    expected_rmse_unrounded: float | None
    expected_pearson_unrounded: float | None
    grouped_pearson: float | None
    grouped_pearson_groups: int
    length_bias: float | None
    ece: float
    squared_calibration_error: float
    reliability: tuple[Bin, ...]
    reliability_best: tuple[Bin, ...]
    brier: float | None
    rps: float | None
    log_likelihood: float | None
    log_likelihood_se: float | None
    raw_mean: float
    raw_zero: int
    log_evidence: float | None
    unparsed_draws: float | None
    unparsed_items: int
    too_long: int
    reward: float | None = None
    draw_reward: float | None = None
    further: Mapping[str, float | None] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name, for JSON, which has no infinity: an infinite number becomes None."""
        named = asdict(self)
        further = named.pop("further")
        return {name: json_safe(value) for name, value in {**named, **further}.items()}


def json_safe(value: Any) -> Any:
    """Return a value for JSON: tuples as lists, and None for a number that is not finite."""
    if isinstance(value, dict):
        return {key: json_safe(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def score(predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale) -> Metrics:
    """Return the metrics of exactly one prediction per example, matched by id.

    Raises:
        ValueError: no example, or predictions that are not one per example: no item may be lost.
    """
    return _SCORES[scale.measured](Items(matched(predictions, examples), examples, scale))


def _levels(items: Items) -> Metrics:
    """Return the defined metrics of answers that are levels."""
    ordered, examples, scale = items.predictions, items.examples, items.scale
    unrounded = unrounded_means(examples, scale) if any(len(example.ratings) > 1 for example in examples) else None
    met = agreement(
        [prediction.predicted for prediction in ordered],
        [example.answer for example in examples],
        scale,
        unrounded=unrounded,
        criteria=[criterion(example) for example in examples],
    )
    verdicts = asdict(met)
    del verdicts["untargeted"]
    scores = means(items)
    found = {
        **verdicts,
        "accuracy_se": standard_error(scores["accuracy"], examples),
        **_expected(items, unrounded),
        **_believed(items, scores["log_likelihood"]),
        **_evidence(ordered),
    }
    return _metrics(found, scores)


def _metrics(found: Mapping[str, Any], scores: Mapping[str, Floats]) -> Metrics:
    """Return the given metrics and the means over items; everything else is None."""
    there = {**{name: float(one.mean()) for name, one in scores.items()}, **found}
    own = {one.name for one in fields(Metrics)} - {"further"}
    further = {row.name: there.get(row.name) for row in ROWS if row.per_item is not None and row.name not in own}
    return Metrics(**{name: there.get(name) for name in own}, further=further)  # type: ignore[arg-type]


def _open(items: Items) -> Metrics:
    """Return the defined metrics of open answers."""
    predictions, examples, scores = items.predictions, items.examples, means(items)
    sure, right = confidences(predictions, examples)
    parsed = np.array([prediction.predicted is not None for prediction in predictions])
    bins = reliability(sure, scores["reward"])
    there = {
        "count": len(examples),
        "unparsed": int((~parsed).sum()),
        "accuracy_se": standard_error(right, examples),
        "accuracy_parsed": float(right[parsed].mean()) if parsed.any() else None,
        "recall": {},
        "grouped_pearson_groups": 0,
        "ece": calibration_error(bins),
        "squared_calibration_error": squared_calibration_error(sure, scores["reward"], group_numbers(examples)),
        "reliability": bins,
        "reliability_best": (),
        **_evidence(predictions),
    }
    return _metrics(there, scores)


#: The metrics by ``Scale.measured``.
_SCORES = {"levels": _levels, "texts": _open}


def matched(predictions: Iterable[Prediction], examples: Sequence[Example]) -> list[Prediction]:
    """Return the predictions in the order of the examples.

    Raises:
        ValueError: they are not one per example.
    """
    given = list(predictions)
    by_id = {prediction.example_id: prediction for prediction in given}
    if len(given) != len(examples) or by_id.keys() != {example.id for example in examples}:
        raise ValueError(f"There must be one prediction per example; found {len(given)} for {len(examples)} examples.")
    return [by_id[example.id] for example in examples]


def group_numbers(examples: Sequence[Example]) -> NDArray[np.int64]:
    """Return the number of each example's group, from 0, in the order of the groups' names, shape (N,)."""
    return np.unique([example.group for example in examples], return_inverse=True)[1]


def confusion(predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale) -> list[list[int]] | None:
    """Return the number of items by label (rows) and verdict (columns, the last is none); None without levels,
    and if criteria have their own scales.
    """
    return _CONFUSIONS[scale.measured](Items(matched(predictions, examples), examples, scale))


def _level_confusion(items: Items) -> list[list[int]] | None:
    said = ranks([prediction.predicted for prediction in items.predictions], items.scale)
    true = ranks([example.answer for example in items.examples], items.scale)
    if items.scale.parts:
        return None
    found: list[list[int]] = verdict_table(said, true, items.scale)[0].astype(int).tolist()
    return found


def _no_confusion(_: Items) -> None:
    return None


_CONFUSIONS: dict[str, Callable[[Items], list[list[int]] | None]] = {
    "levels": _level_confusion,
    "texts": _no_confusion,
}


def unrounded_means(examples: Sequence[Example], scale: Scale) -> list[float] | None:
    """Return the mean of each item's ratings, in the values of the scale, not rounded; None without an order."""
    if not scale.ordered:
        return None
    means = {ratings: scale.mean_value(ratings) for ratings in set(map(single_ratings, examples))}
    return [means[single_ratings(example)] for example in examples]


def _expected(items: Items, means: Sequence[float] | None) -> dict[str, Any]:
    names, examples, scale = ("mae", "rmse", "pearson"), items.examples, items.scale
    if not scale.ordered:
        nothing = dict.fromkeys([f"expected_{name}{end}" for end in ("", "_unrounded") for name in names])
        return {**nothing, "grouped_pearson": None, "grouped_pearson_groups": 0, "length_bias": None}
    said, true = items.probabilities @ np.array(scale.values), answers(examples, scale)
    about = [criterion(example) for example in examples]
    rounded = _distance(said, true, about)
    unrounded = (None, None, None) if means is None else _distance(said, np.array(means), about)
    grouped, groups = grouped_pearson(said, true, [(x.group, name) for x, name in zip(examples, about, strict=True)])
    return {
        **{f"expected_{name}": value for name, value in zip(names, rounded, strict=True)},
        **{f"expected_{name}_unrounded": value for name, value in zip(names, unrounded, strict=True)},
        "grouped_pearson": grouped,
        "grouped_pearson_groups": groups,
        "length_bias": _length_bias(said - true, examples, about),
    }


def _distance(one: Floats, other: Floats, about: Sequence[str]) -> tuple[float, float, float | None]:
    errors = one - other
    together = within(about, lambda at: pearson(one[at], other[at]))
    return float(np.abs(errors).mean()), math.sqrt(float((errors**2).mean())), together


def _length_bias(errors: Floats, examples: Sequence[Example], about: Sequence[str]) -> float | None:
    of_each = [responses(example.fields) for example in examples]
    if {len(texts) for texts in of_each} != {1}:
        return None
    lengths = np.array([len(text) for (text,) in of_each])
    return within(about, lambda at: pearson(lengths[at], errors[at]))


def _believed(items: Items, likelihoods: Floats) -> dict[str, Any]:
    examples, scale = items.examples, items.scale
    sure, right = confidences(items.predictions, examples)
    bins = reliability(sure, right)
    truth = ranks([example.answer for example in examples], scale)
    best = reliability(items.probabilities[:, -1], truth == len(scale.levels) - 1) if scale.ordered else ()
    return {
        "ece": calibration_error(bins),
        "squared_calibration_error": squared_calibration_error(sure, right, group_numbers(examples)),
        "reliability": bins,
        "reliability_best": best,
        "log_likelihood_se": standard_error(likelihoods, examples, sample=True),
    }


def standard_error(values: Floats, examples: Sequence[Example], *, sample: bool = False) -> float | None:
    """Return the standard error of a mean over items with independent groups; see :class:`Metrics`."""
    groups = places([example.group for example in examples])
    if len(groups) < 2 or not np.isfinite(values).all():
        return None
    apart = values - values.mean()
    square = sum(float(apart[at].sum()) ** 2 for at in groups.values())
    return math.sqrt(square * (len(groups) / (len(groups) - 1) if sample else 1)) / len(values)


def _evidence(predictions: Sequence[Prediction]) -> dict[str, Any]:
    raw = [prediction.raw for prediction in predictions]
    positive = [math.log(p) for p in raw if p > 0]
    draws = sum(prediction.draws for prediction in predictions)
    return {
        "raw_mean": sum(raw) / len(raw),
        "raw_zero": len(raw) - len(positive),
        "log_evidence": sum(positive) / len(positive) if positive else None,
        "unparsed_draws": sum(prediction.unparsed for prediction in predictions) / draws if draws else None,
        "unparsed_items": sum(item.predicted is None and not item.too_long for item in predictions),
        "too_long": sum(item.too_long for item in predictions),
    }
