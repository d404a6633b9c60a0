"""From the predictions of one iteration on one set to a block of scores, as in ``metrics.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rationem import metrics
from rationem.tasks.kinds import Kind
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction


def block(predictions: Sequence[Prediction], examples: Sequence[Example], kind: Kind) -> dict[str, Any]:
    """Return the metrics, the agreement with the human targets, the confusion matrix, and for pairs both orders."""
    both = kind.orders > 1 and any(example.turn for example in examples)
    return {
        **_scores(predictions, examples, kind.scale),
        "confusion": metrics.confusion(predictions, examples, kind.scale),
        "pairs": metrics.score_pairs(predictions, examples, kind.scale).as_dict() if both else None,
    }


def details(predictions: Sequence[Prediction], examples: Sequence[Example], kind: Kind, seed: int) -> dict[str, Any]:
    """Return the intervals of the headline numbers, and the metrics of each criterion if there are several."""
    drawn = metrics.intervals(predictions, examples, kind.scale, seed=seed)
    return {
        "intervals": {name: list(ends) if ends else None for name, ends in drawn.items()},
        "minus_human": _minus_human(predictions, examples, kind.scale, seed),
        "by_criterion": {
            name: _of_part([p for p in predictions if p.example_id in ids], part, kind.scale, kind.scale.of(name))
            for name, part in by_criterion(examples, kind).items()
            for ids in [{x.id for x in part}]
        },
    }


def _of_part(
    predictions: Sequence[Prediction], examples: Sequence[Example], scale: Scale, own: Scale
) -> dict[str, Any]:
    """Return the scores of one criterion; on a scale of its own also its confusion matrix, which is not pooled."""
    if own is scale:
        return _scores(predictions, examples, scale)
    predictions = metrics.on_own_levels(predictions, scale, own)
    return {**_scores(predictions, examples, own), "confusion": metrics.confusion(predictions, examples, own)}


def _minus_human(
    predictions: Sequence[Prediction], examples: Sequence[Example], scale: Scale, seed: int
) -> dict[str, Any] | None:
    apart = metrics.minus_human(predictions, examples, scale, seed=seed)
    if not apart:
        return None
    ends = {name: metrics.interval(one) for name, one in apart.items()}
    return {
        **{name: one.value for name, one in apart.items()},
        "intervals": {name: list(found) if found else None for name, found in ends.items()},
    }


def _scores(predictions: Sequence[Prediction], examples: Sequence[Example], scale: Scale) -> dict[str, Any]:
    beside = metrics.beside_humans(predictions, examples, scale)
    return {
        **metrics.score(predictions, examples, scale).as_dict(),
        "beside_humans": asdict(beside) if beside else None,
    }


def by_criterion(examples: Sequence[Example], kind: Kind) -> dict[str, list[Example]]:
    """Return criterion -> its examples, in order of appearance; empty with fewer than two criteria."""
    parts: dict[str, list[Example]] = {}
    for example in examples:
        parts.setdefault(kind.part_of(example), []).append(example)
    return parts if len(parts) > 1 else {}


def as_given(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Return the examples in their given order: people rated a pair once."""
    return tuple(example for example in examples if not example.turn)


def calibration(
    fitted: tuple[Sequence[Prediction], Sequence[Example]],
    applied: tuple[Sequence[Prediction], Sequence[Example]],
    kind: Kind,
    fitted_on: Sequence[Prediction],
) -> dict[str, Any] | None:
    """Return the temperature fitted on validation, and its effect on validation and on test; None without any.

    Args:
        fitted: predictions of the chosen iteration and examples of validation, not empty.
        fitted_on: the predictions that T is fitted on, see :func:`rationem.metrics.calibrate`.
        applied: predictions and examples of the test set, or empty ones.
        kind: the kind of the task.
    """
    scale = kind.scale
    fit = metrics.calibrate(*fitted, scale, fitted_on)
    if fit is None:
        return None
    found: dict[str, Any] = {
        "temperature": fit.temperature,
        "items": fit.count,
        "validation": _before_after((fit.before, fit.error_before), (fit.after, fit.error_after)),
        "test": None,
    }
    predictions, examples = metrics.asked(*applied, scale) if applied[0] else ([], [])
    if predictions:
        calibrated = metrics.recalibrated(predictions, fit.temperature)
        both = (predictions, calibrated)
        bins = ([asdict(one) for one in metrics.bins(each, examples)] for each in both)
        found["test"] = {
            **_before_after(*(metrics.belief(each, examples, scale) for each in both)),
            "reliability": dict(zip(("before", "after"), bins, strict=True)),
        }
    return found


def _before_after(before: tuple[float | None, float], after: tuple[float | None, float]) -> dict[str, Any]:
    names = ("log_likelihood", "squared_calibration_error")
    return {"before": dict(zip(names, before, strict=True)), "after": dict(zip(names, after, strict=True))}
