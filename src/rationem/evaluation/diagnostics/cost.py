"""The cost of what a run kept, and the examples that rejection sampling never accepts, from the ledger alone.

Prompt tokens and generated tokens are counted separately because their costs differ. A proposal "answer" draws nothing
and costs nothing. Engine failures count with the tokens that the ledger has of them, because their prompts were sent.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from rationem.ledger.phases import finished_iterations, read_record, read_seconds
from rationem.ledger.reading import read_answers
from rationem.ledger.totals import first_attempts, kept_counts, kept_ids, scored_tokens, served_draws, training_draws
from rationem.metrics.matched import quantile_edges

#: The costs that are counted.
PAID = ("prompt_tokens", "generated_tokens", "seconds")

#: Reasons why there is no price per nat.
NOT_MEASURED = "not measured"
BASE_NOT_MEASURED = "the base model was not measured"
NOT_GAINED = "nothing gained"

_SUMMED = (*PAID, "scored_tokens", "kept_samples", "kept_examples")
_QUARTILES = 4


def cost(db: sqlite3.Connection, iteration: int) -> dict[str, Any]:
    """Return the cost of an iteration's E-step, in total and per kept example, and the same for all iterations up to
    it.

    Args:
        db: a run's ledger.
        iteration: k >= 1, its E-step finished.

    Returns:
        ``iteration``; ``prompt_tokens`` and ``generated_tokens`` of its draws; ``scored_tokens``, completion tokens
        that were scored under a prompt for their weights (one forward pass, nothing generated); ``seconds`` of the
        E-step (of its last process if it was resumed); ``kept_samples``; ``kept_examples``, distinct in this iteration,
        wherever they were drawn; ``per_kept``, each of ``PAID`` over ``kept_examples``, None if none was kept;
        ``cumulative``, all these but the first, over iterations 1 to k (an example kept twice counts twice).

    Raises:
        ValueError: the E-step of one of these iterations is not finished.
    """
    _check(db, iteration)
    each = [_spent(db, k) for k in range(1, iteration + 1)]
    total = {name: sum(one[name] for one in each) for name in _SUMMED}
    return {
        "iteration": iteration,
        **each[-1],
        "per_kept": _per_kept(each[-1]),
        "cumulative": {**total, "per_kept": _per_kept(total)},
    }


def passes(db: sqlite3.Connection, iteration: int, config: Mapping[str, Any]) -> float | None:
    """Return how often the M-step of an iteration trained on an example that was kept; None if it did not train.

    Args:
        config: the run's settings, for M-steps whose record does not say it: steps x batch size / kept examples.
    """
    return mean_passes(db, iteration, config, first=iteration)


def mean_passes(db: sqlite3.Connection, last: int, config: Mapping[str, Any], *, first: int = 1) -> float | None:
    """Return the same over iterations: examples trained on, repetitions counted, over examples kept; None if none."""
    trained = kept = 0.0
    for k in range(first, last + 1):
        record = read_record(db, k, "m_step") or {}
        examples = record.get("examples", kept_counts(db, k)[1] - len(record.get("dropped", ())))
        if not record.get("steps") or not examples:
            continue
        kept += examples
        trained += record["passes"] * examples if "passes" in record else record["steps"] * config.get("batch_size", 1)
    return trained / kept if kept else None


def per_nat(costs: Sequence[Mapping[str, Any]], scores: Sequence[float | None]) -> list[dict[str, Any]]:
    """Return the cost of every nat gained over the base model: cumulative cost / (score_k - score_0).

    Args:
        costs: results of :func:`cost`, one per iteration, in any order.
        scores: score_0 to score_K, e.g. the evidence of the validation set in nats per example; None if not measured.

    Returns:
        One row per cost with ``iteration``, ``gained`` (nats, None if a score is missing), each of ``PAID`` (None if
        there is no price), and ``reason``: None, ``NOT_MEASURED``, ``BASE_NOT_MEASURED`` or ``NOT_GAINED``.

    Raises:
        ValueError: an iteration has no place in ``scores``, or a score is not finite.
    """
    lost = [one["iteration"] for one in costs if one["iteration"] >= len(scores)]
    if lost:
        raise ValueError(f"Scores must be of iterations 0 to {max(lost)}, None where not measured; got {len(scores)}.")
    if not all(math.isfinite(score) for score in scores if score is not None):
        raise ValueError(f"Scores must be finite, or None where not measured; found {list(scores)}.")
    return [_price(one, scores) for one in costs]


def acceptance_by_label(db: sqlite3.Connection, iteration: int, levels: Sequence[str]) -> list[dict[str, Any]]:
    """Return, for each level of the training answers, how many examples were kept and how many draws that took.

    Args:
        db: a run's ledger.
        iteration: k >= 1, its E-step finished.
        levels: the task's levels, in order.

    Returns:
        Per level ``level``, ``examples``, ``kept`` (examples), ``kept_share``, ``first_attempts`` (those that the
        engine served), ``first_accepted`` (the share of them), ``draws`` (that the engine served; none for a proposal
        "answer") and ``draws_per_kept``. None instead of a division by zero.

    Raises:
        ValueError: the E-step is not finished, or a training answer is not one of the levels.
    """
    _check(db, iteration)
    answers = read_answers(db, "train")
    unknown = sorted(set(answers.values()) - set(levels))
    if unknown:
        raise ValueError(f"Training answers that are not among the levels {list(levels)}: {unknown}. Give all levels.")
    first, draws = first_attempts(db, iteration), served_draws(db, iteration)
    kept = kept_ids(db, iteration, iteration)
    return [
        _label(level, [name for name, answer in answers.items() if answer == level], kept, first, draws)
        for level in levels
    ]


def acceptance_by_difficulty(db: sqlite3.Connection, iteration: int, difficulty: Mapping[str, float]) -> dict[str, Any]:
    """Return how many hard and easy examples were kept, and how many never were: those that rejection sampling misses.

    Args:
        db: a run's ledger.
        iteration: k >= 1, its E-step finished.
        difficulty: training example -> p_hat(y* | x) under the base model, in [0, 1]; may lack some. Other examples are
            ignored.

    Returns:
        ``bins``, quartiles of p_hat from hard to easy (fewer if equal values cannot be separated), each with ``low``
        and ``high`` (smallest and largest p_hat in it), ``examples``, ``kept_share`` (in this iteration) and
        ``never_share`` (kept in none of iterations 1 to k); and ``unmeasured``, training examples without p_hat.

    Raises:
        ValueError: the E-step is not finished, or a p_hat is not a probability.
    """
    _check(db, iteration)
    train = list(read_answers(db, "train"))
    known = {name: difficulty[name] for name in train if name in difficulty}
    wrong = {name: value for name, value in known.items() if not 0 <= value <= 1}
    if wrong:
        raise ValueError(f"A difficulty is p_hat in [0, 1]; found {wrong}. Omit what was not measured.")
    if not known:
        return {"bins": [], "unmeasured": len(train)}
    edges = quantile_edges(list(known.values()), _QUARTILES)
    place = dict(zip(known, np.searchsorted(edges, list(known.values())).tolist(), strict=True))
    kept, ever = kept_ids(db, iteration, iteration), kept_ids(db, 1, iteration)
    bins = [_difficulty_bin({i: p for i, p in known.items() if place[i] == b}, kept, ever) for b in range(len(edges))]
    return {"bins": bins, "unmeasured": len(train) - len(known)}


def _check(db: sqlite3.Connection, iteration: int) -> None:
    finished = set(finished_iterations(db, "e_step"))
    if iteration < 1 or not finished.issuperset(range(1, iteration + 1)):
        raise ValueError(
            f"Costs of iteration {iteration} need the E-steps of iterations 1 to {iteration}; finished: "
            f"{sorted(finished)}. Ask for one of these, from 1, or continue the run."
        )


def _spent(db: sqlite3.Connection, k: int) -> dict[str, Any]:
    drawn, (samples, examples) = training_draws(db, k), kept_counts(db, k)
    return {
        "prompt_tokens": drawn.prompt_tokens,
        "generated_tokens": drawn.generated_tokens,
        "scored_tokens": scored_tokens(db, k),
        "seconds": read_seconds(db, k)["e_step"],
        "kept_samples": samples,
        "kept_examples": examples,
    }


def _per_kept(spent: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: _ratio(spent[name], spent["kept_examples"]) for name in PAID}


def _price(one: Mapping[str, Any], scores: Sequence[float | None]) -> dict[str, Any]:
    base, score = scores[0], scores[one["iteration"]]
    gained = None if base is None or score is None else score - base
    reason = None
    if base is None:
        reason = BASE_NOT_MEASURED
    elif gained is None:
        reason = NOT_MEASURED
    elif gained <= 0:
        reason = NOT_GAINED
    nats = 0.0 if gained is None else max(gained, 0.0)
    prices = {name: _ratio(one["cumulative"][name], nats) for name in PAID}
    return {"iteration": one["iteration"], "gained": gained, **prices, "reason": reason}


def _label(
    level: str, names: Sequence[str], kept: Collection[str], first: Mapping[str, int], draws: Mapping[str, int]
) -> dict[str, Any]:
    inside = sum(name in kept for name in names)
    tried = [first[name] for name in names if name in first]
    drawn = sum(draws.get(name, 0) for name in names)
    return {
        "level": level,
        "examples": len(names),
        "kept": inside,
        "kept_share": _ratio(inside, len(names)),
        "first_attempts": len(tried),
        "first_accepted": _ratio(sum(tried), len(tried)),
        "draws": drawn,
        "draws_per_kept": _ratio(drawn, inside),
    }


def _difficulty_bin(members: Mapping[str, float], kept: Collection[str], ever: Collection[str]) -> dict[str, Any]:
    return {
        "low": min(members.values()),
        "high": max(members.values()),
        "examples": len(members),
        "kept_share": _ratio(sum(name in kept for name in members), len(members)),
        "never_share": _ratio(sum(name not in ever for name in members), len(members)),
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
