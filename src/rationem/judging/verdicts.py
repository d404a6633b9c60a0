"""Sampled rationales -> a rating: p~(level | x), calibrated, averaged over every order of a comparison (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rationem import metrics
from rationem.judging.asking import Drawn, Plan
from rationem.judging.questions import Case
from rationem.metrics import evidence
from rationem.metrics.evidence import Floats
from rationem.tasks.pairs import ranks_back, side, turned_level
from rationem.tasks.scale import Scale

#: The note on equally probable responses on a scale without a tie: of a pair, and of three or more.
EVEN = "both responses are equally probable"
EVEN_OF_MANY = "several responses are equally probable"

_EVEN = 1e-9


class Status(StrEnum):
    """The result of rating one item on one criterion; ``ANSWERED`` is for open answers.

    ``UNPARSED``: no draft states an offered level. ``INCONSISTENT``: the greedy verdicts (``fast``) on the orders of a
    comparison differ. ``UNUSABLE``: the item is empty or not a text, and was not rated.
    """

    RATED = "rated"
    ANSWERED = "answered"
    UNPARSED = "unparsed"
    INCONSISTENT = "inconsistent"
    TOO_LONG = "too_long"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Rating:
    """The judge's rating of one item.

    Args:
        criterion: the criterion, "" if the judge's only criterion has no name.
        status: why there is a rating, or none.
        rating: the most probable level; if two levels for different responses are equally probable, the tie if the
            scale has one. For open answers the answer that the drafts agree with most. None unless ``status`` is
            "rated" or "answered".
        expected: sum over levels of p times the level's value, in the units of the scale; None without probabilities
            or without an order.
        probabilities: level -> p~(level | x), calibrated if the judge is; None without a rating and with fast.
        entropy: entropy of the probabilities, nats; None without them.
        rationale: z of the first draft with this rating (for a comparison in its given order); without one, of the
            draft after which the rating is most probable; "" if the given order has no verdict.
        draws: sampled rationales, for a comparison over all orders.
        unparsed: those that state no offered level.
        consistent: whether all orders agree; None if one has no verdict, and without a comparison.
        agreement: for open answers, the drafts' agreement: their mean reward against the rating, 1 if all are equal.
        levels: the levels of the conformal set, in the scale's order; None without ``coverage``.
        problem: a problem of the item, or a change made to it, in words.
        elided: characters left out of the responses to make the prompt fit.
    """

    criterion: str
    status: Status
    rating: str | None = None
    expected: float | None = None
    probabilities: Mapping[str, float] | None = None
    entropy: float | None = None
    rationale: str = ""
    draws: int = 0
    unparsed: int = 0
    consistent: bool | None = None
    agreement: float | None = None
    levels: tuple[str, ...] | None = None
    problem: str = ""
    elided: int = 0


def verdict(
    case: Case, orders: Sequence[Sequence[Drawn]], plan: Plan, scale: Scale, marginal: Sequence[float]
) -> Rating:
    """Return the rating of a case.

    Args:
        orders: the drafts of each of its prompts; empty if it was not rated.
        plan: how it was rated.
        marginal: the criterion's training marginal, which every unparsed draft contributes, shape (L,).
    """
    if not case.prompts:
        status = Status.TOO_LONG if case.too_long else Status.UNUSABLE
        return Rating(case.criterion, status, problem=case.problem)
    count = len(orders)
    said = [_mapped([drawn.said for drawn in order], scale, turn, count) for turn, order in enumerate(orders)]
    nothing = _unparsed(case, [drawn for order in orders for drawn in order], plan.draws * len(orders))
    if nothing.unparsed == nothing.draws:
        return nothing
    if plan.fast:
        return _greedy(nothing, said, orders, scale)
    tables = [
        _predictive(order, scale, marginal, case.offered)[ranks_back(scale, turn, count)]
        for turn, order in enumerate(orders)
    ]
    mean_L = np.mean(tables, axis=0)
    probs_L = _calibrated(mean_L, plan.temperature)
    own = scale.of(case.criterion)
    probabilities = {level: p for level, p in zip(scale.levels, probs_L.tolist(), strict=True) if level in own.levels}
    rating, note = _decided(mean_L, scale, count)
    return replace(
        nothing,
        status=Status.RATED,
        rating=rating,
        levels=_set(probs_L, plan.threshold, scale, case.offered),
        expected=own.expected([probabilities[level] for level in own.levels]),
        probabilities=probabilities,
        entropy=metrics.entropy(tuple(probabilities.values())),
        rationale=_rationale(rating, said, orders, scale),
        consistent=_consistent(tables, said),
        problem="; ".join(filter(None, (nothing.problem, note))),
    )


def _set(
    probs_L: Floats, threshold: float | None, scale: Scale, offered: Sequence[bool] | None
) -> tuple[str, ...] | None:
    return None if threshold is None else metrics.level_set(probs_L, threshold, scale.levels, offered)


def answer(case: Case, orders: Sequence[Sequence[Drawn]], plan: Plan, reward: Callable[[str, str], float]) -> Rating:
    """Return the rating of a case with an open answer; other arguments as in :func:`verdict`.

    Args:
        reward: r(y_hat, y*), which measures the agreement of two answers.
    """
    if not case.prompts:
        status = Status.TOO_LONG if case.too_long else Status.UNUSABLE
        return Rating(case.criterion, status, problem=case.problem)
    (draws,) = orders
    nothing = _unparsed(case, draws, plan.draws)
    said, agreement = evidence.consensus([drawn.said for drawn in draws], reward) if draws else (None, 0.0)
    if said is None:
        return nothing
    rationale = next(drawn.rationale for drawn in draws if drawn.said == said)
    return replace(
        nothing,
        status=Status.ANSWERED,
        rating=said,
        rationale=rationale,
        agreement=None if plan.fast else agreement,
    )


def _decided(probs_L: Floats, scale: Scale, count: int) -> tuple[str, str]:
    """Return the rating and a note; the first response must not win a comparison with equal probabilities."""
    best = scale.levels[int(probs_L.argmax())]
    if count == 1:
        return best, ""
    most = [scale.levels[at] for at in np.flatnonzero(probs_L >= probs_L.max() - _EVEN)]
    if len({side(level, scale, count) for level in most} - {None}) < 2:
        return best, ""
    tie = next((level for level in scale.levels if side(level, scale, count) is None), None)
    return (tie, "") if tie is not None else (best, EVEN if count == 2 else EVEN_OF_MANY)


def _calibrated(probs_L: Floats, temperature: float | None) -> Floats:
    """Apply the temperature, which keeps the order of levels. A pair's average is tempered, as in fitting T."""
    return probs_L if temperature is None else metrics.tempered(probs_L, temperature)


def _predictive(
    order: Sequence[Drawn], scale: Scale, marginal: Sequence[float], offered: Sequence[bool] | None
) -> Floats:
    logps_ML, scored_M = evidence.stack([drawn.level_logps for drawn in order], len(scale.levels))
    logps_ML, marginal_L = evidence.restricted(logps_ML, marginal, offered)
    return evidence.predictive(logps_ML, scored_M, marginal_L)


def _mapped(levels: Sequence[str | None], scale: Scale, turn: int, count: int) -> list[str | None]:
    """Return the verdicts in terms of the given order."""
    back = (count - turn) % count
    return [None if level is None else turned_level(level, scale, back, count) for level in levels]


def _unparsed(case: Case, draws: Sequence[Drawn], asked: int) -> Rating:
    failed = asked - len(draws)
    notes = [f"{case.elided} characters were removed to fit"] if case.elided else []
    notes += [f"the engine failed on {failed} of {asked} drafts"] if failed else []
    return Rating(
        case.criterion,
        Status.UNPARSED,
        draws=len(draws),
        unparsed=sum(drawn.said is None for drawn in draws),
        problem="; ".join(notes),
        elided=case.elided,
    )


def _greedy(
    nothing: Rating, said: Sequence[Sequence[str | None]], orders: Sequence[Sequence[Drawn]], scale: Scale
) -> Rating:
    verdicts = [order[0] for order in said]
    named = [level for level in verdicts if level is not None]
    if len(set(named)) > 1:
        return replace(nothing, status=Status.INCONSISTENT, consistent=False)
    consistent = True if len(named) == len(orders) > 1 else None
    rationale = _rationale(named[0], said, orders, scale)
    return replace(nothing, status=Status.RATED, rating=named[0], rationale=rationale, consistent=consistent)


def _rationale(
    rating: str, said: Sequence[Sequence[str | None]], orders: Sequence[Sequence[Drawn]], scale: Scale
) -> str:
    """Return the first z with this rating, else the one after which it is most probable.

    Uses the given order only: in another order z swaps the names of the responses.
    """
    for level, drawn in zip(said[0], orders[0], strict=True):
        if level == rating:
            return drawn.rationale
    scored = [(drawn, logps) for drawn in orders[0] if (logps := drawn.level_logps) is not None]
    if not scored:
        return ""
    return max(scored, key=lambda z: _log_share(z[1], scale.rank(rating)))[0].rationale


def _log_share(level_logps: Sequence[float], rank: int) -> float:
    """Return log of pi(level | x, z) / sum_level' pi(level' | x, z)."""
    return float(level_logps[rank] - np.logaddexp.reduce(level_logps))


def _consistent(tables: Sequence[Floats], said: Sequence[Sequence[str | None]]) -> bool | None:
    if len(tables) < 2 or any(all(level is None for level in order) for order in said):
        return None
    return len({int(table.argmax()) for table in tables}) == 1
