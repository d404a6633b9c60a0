"""Two responses compared in both orders: is the verdict right, and is it the same when they change places?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from rationem.metrics.scores import matched
from rationem.pairs import is_swapped, original_id, swap_level
from rationem.scale import Scale
from rationem.types import Example, Prediction


@dataclass(frozen=True, slots=True)
class PairScores:
    """What both orders of each pair say together; no verdict is wrong, and never consistent.

    Args:
        pairs: the number of pairs, each asked in both orders.
        strict: share of pairs with the right verdict in both orders.
        lenient: share of right verdicts, all orders counted.
        consistency: share of pairs whose verdicts agree once the swapped one is swapped back.
        first_position_rate: share of the verdicts for one response that are for the first; 0.5 has no favourite
            where both orders are asked; None where there is no such verdict.
        decisive: verdicts for one response, all orders counted.
        unparsed: share of orders without a verdict.
    """

    pairs: int
    strict: float
    lenient: float
    consistency: float
    first_position_rate: float | None
    decisive: int
    unparsed: float

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return asdict(self)


def score_pairs(predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale) -> PairScores:
    """Score pairs of which both orders are among the examples (:func:`rationem.pairs.both_orders`).

    Raises:
        ValueError: no pair, an order is missing, or predictions that are not one per example.
    """
    ordered = matched(predictions, examples)
    verdicts = [prediction.predicted for prediction in ordered]
    right = [verdict == example.answer for verdict, example in zip(verdicts, examples, strict=True)]
    orders = _orders(examples)
    same = [_same(verdicts[one], verdicts[other], scale) for one, other in orders]
    first, second = scale.levels[:2]
    decisive = verdicts.count(first) + verdicts.count(second)
    return PairScores(
        pairs=len(orders),
        strict=sum(right[one] and right[other] for one, other in orders) / len(orders),
        lenient=sum(right) / len(right),
        consistency=sum(same) / len(orders),
        first_position_rate=verdicts.count(first) / decisive if decisive else None,
        decisive=decisive,
        unparsed=verdicts.count(None) / len(verdicts),
    )


def merged(
    predictions: Sequence[Prediction], examples: Sequence[Example], scale: Scale
) -> tuple[list[Prediction], list[Example]]:
    """Return one prediction per pair, p~ the mean of its orders in the terms of the given one, and the given examples.

    A pair that is there in one order keeps what that order says. No verdict only where no order has one; ties go to
    the lower rank.

    Raises:
        ValueError: predictions that are not one per example, or a swapped copy without its original.
    """
    by_id = {prediction.example_id: prediction for prediction in matched(predictions, examples)}
    given = [example for example in examples if not is_swapped(example.id)]
    swapped = {original_id(example.id): by_id[example.id] for example in examples if is_swapped(example.id)}
    if not given or swapped.keys() - {example.id for example in given}:
        raise ValueError("Every pair must be there in its given order.")
    found = [_mean(by_id[example.id], swapped.get(example.id), scale) for example in given]
    return found, given


def _mean(one: Prediction, other: Prediction | None, scale: Scale) -> Prediction:
    if other is None:
        return one
    back = [scale.rank(swap_level(level, scale)) for level in scale.levels]
    mean_L = (np.array(one.probabilities) + np.array(other.probabilities)[back]) / 2
    parsed = one.predicted is not None or other.predicted is not None
    return replace(
        one,
        predicted=scale.levels[int(mean_L.argmax())] if parsed else None,
        probabilities=tuple(mean_L.tolist()),
        raw=(one.raw + other.raw) / 2,
        draws=one.draws + other.draws,
        unparsed=one.unparsed + other.unparsed,
        too_long=one.too_long and other.too_long,
    )


def _orders(examples: Sequence[Example]) -> list[tuple[int, int]]:
    """Return (place of the given order, place of the swapped one) per pair."""
    given = {x.id: at for at, x in enumerate(examples) if not is_swapped(x.id)}
    swapped = {original_id(x.id): at for at, x in enumerate(examples) if is_swapped(x.id)}
    if not given or given.keys() != swapped.keys():
        alone = sorted(given.keys() ^ swapped.keys())[:3]
        raise ValueError(f"Every pair must be there in both orders; {len(given)} as given, one order only: {alone}.")
    return [(at, swapped[name]) for name, at in given.items()]


def _same(one: str | None, other: str | None, scale: Scale) -> bool:
    return one is not None and other is not None and one == swap_level(other, scale)
