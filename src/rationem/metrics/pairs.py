"""Responses compared in every order: is the verdict right, and is it the same when they change places?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from rationem.metrics.scores import matched
from rationem.tasks.pairs import candidates, given_id, ranks_back, side, turned_level
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction


@dataclass(frozen=True, slots=True)
class PairScores:
    """The scores of all orders of each comparison together; a missing verdict is wrong, and never consistent.

    A verdict's *side* is the response that it calls best; a tie is its own side. Without degrees of preference the side
    is the verdict itself.

    Args:
        pairs: the number of comparisons, each shown in every order.
        candidates: the number of compared responses, and so of orders.
        strict: share of comparisons with the right verdict in all orders.
        lenient: share of right verdicts, all orders counted.
        consistency: share of comparisons whose verdicts agree once all are turned back to the given order.
        side: share of verdicts for the right side, all orders counted.
        side_consistency: share of comparisons whose verdicts are for the same side once all are turned back.
        winner: share of the orders with a label other than a tie in which the verdict names the better response; None
            if every label is a tie.
        preferred: the number of those orders.
        first_position_rate: share of the verdicts for one response that are for the first; 1 / candidates means no
            position bias if every order is shown; None without such a verdict.
        decisive: verdicts for one response, all orders counted.
        unparsed: share of orders without a verdict.
    """

    pairs: int
    candidates: int
    strict: float
    lenient: float
    consistency: float
    side: float
    side_consistency: float
    winner: float | None
    preferred: int
    first_position_rate: float | None
    decisive: int
    unparsed: float

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return asdict(self)


def score_pairs(predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale) -> PairScores:
    """Score comparisons of which every order is among the examples (:func:`rationem.tasks.pairs.every_order`).

    Raises:
        ValueError: no comparison, an order is missing, or predictions that are not one per example.
    """
    ordered = matched(predictions, examples)
    verdicts = [prediction.predicted for prediction in ordered]
    right = [verdict == example.answer for verdict, example in zip(verdicts, examples, strict=True)]
    together, count = _orders(examples)
    # Turned back: order t was made by t turns, so count - t more complete the circle.
    back = [
        None if verdict is None else turned_level(verdict, scale, count - example.turn, count)
        for verdict, example in zip(verdicts, examples, strict=True)
    ]
    sides = [None if verdict is None else _Side(side(verdict, scale, count)) for verdict in verdicts]
    sides_back = [None if verdict is None else _Side(side(verdict, scale, count)) for verdict in back]
    true = [_Side(side(example.answer, scale, count)) for example in examples]
    preferred = [at for at, one in enumerate(true) if one.of is not None]
    said = [one.of for one in sides if one is not None and one.of is not None]
    return PairScores(
        pairs=len(together),
        candidates=count,
        strict=sum(all(right[at] for at in orders) for orders in together) / len(together),
        lenient=sum(right) / len(right),
        consistency=sum(_same([back[at] for at in orders]) for orders in together) / len(together),
        side=sum(one == other for one, other in zip(sides, true, strict=True)) / len(true),
        side_consistency=sum(_same([sides_back[at] for at in orders]) for orders in together) / len(together),
        winner=sum(sides[at] == true[at] for at in preferred) / len(preferred) if preferred else None,
        preferred=len(preferred),
        first_position_rate=said.count(0) / len(said) if said else None,
        decisive=len(said),
        unparsed=verdicts.count(None) / len(verdicts),
    )


def each_pair(predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale) -> dict[str, PairScores]:
    """Return the id of each comparison in its given order -> the scores of its orders alone.

    The mean of any share over the comparisons equals that share of all: each has the same number of orders, and a tie
    is a tie in all of them.

    Raises:
        ValueError: see :func:`score_pairs`.
    """
    ordered = matched(predictions, examples)
    found = {}
    for places in _orders(examples)[0]:
        together = [examples[at] for at in places]
        found[together[0].id] = score_pairs([ordered[at] for at in places], together, scale)
    return found


def merged(
    predictions: Sequence[Prediction], examples: Sequence[Example], scale: Scale
) -> tuple[list[Prediction], list[Example]]:
    """Return one prediction per comparison, p~ the mean over its orders in terms of the given order, and these
    examples.

    A comparison with fewer orders uses those. There is no verdict only if no order has one; ties go to the lower rank.

    Raises:
        ValueError: predictions that are not one per example, or a copy without its original.
    """
    by_id = {prediction.example_id: prediction for prediction in matched(predictions, examples)}
    given = [example for example in examples if not example.turn]
    copies: dict[str, list[tuple[int, Prediction]]] = {example.id: [] for example in given}
    for example in examples:
        if example.turn:
            copies.setdefault(given_id(example), []).append((example.turn, by_id[example.id]))
    if not given or len(copies) > len(given):
        raise ValueError("Every pair must be present in its given order.")
    found = [_mean(by_id[x.id], copies[x.id], scale, candidates(x.fields)) for x in given]
    return found, given


def _mean(given: Prediction, copies: Sequence[tuple[int, Prediction]], scale: Scale, count: int) -> Prediction:
    if not copies:
        return given
    together = [given, *(one for _, one in copies)]
    tables = [np.array(one.probabilities)[ranks_back(scale, turn, count)] for turn, one in ((0, given), *copies)]
    mean_L = np.mean(tables, axis=0)
    parsed = any(one.predicted is not None for one in together)
    return replace(
        given,
        predicted=scale.levels[int(mean_L.argmax())] if parsed else None,
        probabilities=tuple(mean_L.tolist()),
        raw=sum(one.raw for one in together) / len(together),
        draws=sum(one.draws for one in together),
        unparsed=sum(one.unparsed for one in together),
        too_long=all(one.too_long for one in together),
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """A response by its place, or a tie: its own side, different from a missing verdict."""

    of: int | None


def _orders(examples: Sequence[Example]) -> tuple[list[list[int]], int]:
    """Return the indices of each comparison's orders, the given one first, and the number of orders."""
    counts = {candidates(x.fields) for x in examples}
    if len(counts) > 1:
        raise ValueError(f"Comparisons of {sorted(counts)} responses cannot be scored together.")
    count = max(counts, default=1)
    places: dict[str, dict[int, int]] = {}
    for at, x in enumerate(examples):
        places.setdefault(given_id(x), {})[x.turn] = at
    lacking = sorted(name for name, turns in places.items() if set(turns) != set(range(count)))
    if lacking or not places or count < 2:
        orders = "both orders" if count <= 2 else f"all {count} orders"
        raise ValueError(
            f"Every pair must be present in {orders}; {len(places)} were found, of which these are incomplete: "
            f"{lacking[:3]}."
        )
    return [[turns[turn] for turn in range(count)] for turns in places.values()], count


def _same(verdicts: Sequence[object]) -> bool:
    return verdicts[0] is not None and all(one == verdicts[0] for one in verdicts)
