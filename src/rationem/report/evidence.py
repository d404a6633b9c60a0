"""Evidence, effects of the hint and cost of an iteration, from the ledger's tables.

From the stored record of a measurement only its settings are read, the numbers of drafts; every number is computed
again. A missing or unfinished measurement is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rationem import metrics
from rationem.evaluation.diagnostics import cost, evidence_record, hint_record, weights_record
from rationem.evaluation.diagnostics.difficulty import read_difficulty
from rationem.evaluation.diagnostics.draws import ON_TEST
from rationem.ledger.listing import EvaluationDraw, evaluation_draws
from rationem.ledger.reading import read_level_logps, read_trials
from rationem.metrics.evidence import restricted, stack
from rationem.report.run import Recorded
from rationem.sampling.hint_leakage import PHRASES
from rationem.types import Example, Outcome, Purpose

_PARSED = (Outcome.ACCEPTED, Outcome.WRONG)


def measured(run: Recorded, k: int) -> dict[str, Any]:
    """Return ``evidence``, ``hints`` and ``matched_length`` of iteration k on the validation set.

    ``evidence`` is :func:`rationem.evaluation.diagnostics.evidence_record`, ``hints`` :func:`.diagnostics.hint_record`,
    ``matched_length`` :func:`matched_length`.
    """
    asked = run.record(k, "evidence")
    return {
        "evidence": _evidence(run, k, "validation", asked) if asked else None,
        "hints": _hints(run, k) if asked else None,
        "matched_length": matched_length(run, k),
    }


def bound_of_chosen(run: Recorded, best: int, iterations: int) -> float | None:
    """Return Markov's bound of the validation evidence of an iteration chosen by the same draws, nats per item.

    With delta / (K + 1) for each of the iterations 0 to K, all bounds hold together with probability >= 1 - delta, and
    so does that of whichever is chosen: log(K + 1) / items lower than that of an iteration by itself.

    Args:
        run: the run.
        best: the chosen iteration.
        iterations: K, the most that there could have been.
    """
    asked = run.record(best, "evidence")
    found = _evidence(run, best, "validation", asked) if asked else None
    if found is None or found["lower_bound_95"] is None:
        return None
    return float(found["lower_bound_95"]) - math.log(iterations + 1) / int(found["items"])


def on_test(run: Recorded, k: int) -> dict[str, Any] | None:
    """Return the same evidence on the test set; None if it was not measured, as of the base and the chosen weights."""
    asked = run.record(k, ON_TEST)
    return _evidence(run, k, "test", asked) if asked else None


def _evidence(run: Recorded, k: int, split: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    examples, (forward, hinted) = run.sets[split], (asked["forward_draws"], asked["hinted_draws"])
    marginals = metrics.marginals(run.sets["train"], run.scale, metrics.parts(examples))

    def marginal_of(example: Example) -> Sequence[float]:
        return marginals[metrics.criterion(example)]

    return evidence_record(run.db, k, examples, run.kind, marginal_of, forward=forward, hinted=hinted)


def _hints(run: Recorded, k: int) -> dict[str, Any]:
    off = run.config.get("leak_filter") == "off"
    phrases = () if off else tuple(run.config.get("leak_phrases", PHRASES))
    validation = run.sets["validation"]
    return hint_record(run.db, k, validation, run.kind, phrases, run.faithful, seed=run.seed)


def matched_length(run: Recorded, k: int) -> dict[str, Any] | None:
    """Return the accuracy of single validation drafts at the lengths of the base model; for open answers their mean
    reward.

    Lengths are those of completions, in tokens, including verdict line and end of turn. Engine failures are left out.
    """
    if run.record(0, "validation") is None or run.record(k, "validation") is None:
        return None
    (base, _), (lengths, correct) = (_single_draws(run, one) for one in (0, k))
    return asdict(metrics.accuracy_at_matched_length(base, lengths, correct)) if base else None


def _single_draws(run: Recorded, k: int) -> tuple[list[int], list[float]]:
    """Return length, and whether it states y* (or its reward), of every validation draft that the engine served."""
    lengths, earned = [], []
    for drawn in evaluation_draws(run.db, k, "validation"):
        parsed = drawn.outcome in _PARSED
        lengths.append(drawn.new_tokens)
        earned.append(parsed * _EARNED[run.kind.estimator](drawn))
    return lengths, earned


#: The score of a single draft, by ``Kind.estimator``: whether it states y*, or its reward.
_EARNED: dict[str, Callable[[EvaluationDraw], float]] = {
    "levels": lambda drawn: float(drawn.predicted == drawn.answer),
    "consensus": lambda drawn: drawn.reward,
}


def by_draws(run: Recorded, k: int) -> list[dict[str, Any]] | None:
    """Return the value of more rationales per test item, :func:`rationem.metrics.by_draws`; None without drafts.

    An item without drafts, because its prompt is too long, counts as one whose drafts are all unparsed. For open
    answers it is :func:`rationem.metrics.by_open_draws`; None if their reward is not available.
    """
    test = run.sets["test"]
    ids = {x.id for x in test}
    trials = [t for t in read_trials(run.db, k, Purpose.EVAL) if t.example_id in ids]
    if not trials or run.record(k, "test") is None:
        return None
    draws = 1 + max(trial.attempt for trial in trials)
    said = {(t.example_id, t.attempt): t.parsed.answer for t in trials if t.outcome in _PARSED}
    return _BY_DRAWS[run.kind.estimator](run, k, said, draws)


_Said = Mapping[tuple[str, int], str | None]


def _by_level_draws(run: Recorded, k: int, said: _Said, draws: int) -> list[dict[str, Any]] | None:
    test, scored = run.sets["test"], read_level_logps(run.db, k, Purpose.EVAL)
    marginals = metrics.marginals(run.sets["train"], run.scale, metrics.parts(test))
    items = []
    for x in test:
        rows = [scored.get(x.id, {}).get(m) for m in range(draws)]
        offered = run.kind.mask(x.fields)
        level_logps, is_scored = stack(rows, len(run.scale.levels))
        level_logps, marginal = restricted(level_logps, marginals[metrics.criterion(x)], offered)
        items.append(
            metrics.Draws(
                tuple(_rank(run, said.get((x.id, m))) for m in range(draws)),
                tuple(tuple(row) if one else None for row, one in zip(level_logps.tolist(), is_scored, strict=True)),
                run.scale.rank(x.answer),
                tuple(marginal.tolist()),
                tuple(run.scale.rank(rating) for rating in x.ratings),
            )
        )
    return metrics.by_draws(items, seed=run.seed)


def _by_open_draws(run: Recorded, _: int, said: _Said, draws: int) -> list[dict[str, Any]] | None:
    if run.reward is None:
        return None
    items = [metrics.Said(tuple(said.get((x.id, m)) for m in range(draws)), x.answer) for x in run.sets["test"]]
    nothing: dict[str, Any] = {"averaged": None, "averaged_log_likelihood": None}
    rows = metrics.by_open_draws(items, run.reward, exact=run.kind.rule == "exact", seed=run.seed)
    return [{**row, **nothing} for row in rows]


_BY_DRAWS = {"levels": _by_level_draws, "consensus": _by_open_draws}


def _rank(run: Recorded, answer: str | None) -> int | None:
    return None if answer is None else run.scale.rank(answer)


def difficulty(run: Recorded) -> dict[str, float] | None:
    """Return p_hat(y* | x) of training examples under the base model; None if it was not measured."""
    return None if run.record(0, "difficulty") is None else read_difficulty(run.db, run.kind)


def paid(run: Recorded, k: int, hardness: Mapping[str, float] | None) -> dict[str, Any]:
    """Return ``cost``, ``by_label``, ``by_difficulty`` and ``weights`` of an E-step, and ``passes`` of its M-step.

    See :mod:`.diagnostics.cost` and :func:`.diagnostics.weights_record`.

    Args:
        hardness: from :func:`difficulty`.
    """
    if any(run.record(one, "e_step") is None for one in range(1, k + 1)):
        return {"weights": None, "passes": None, "cost": None, "by_label": None, "by_difficulty": None}
    return {
        "weights": weights_record(run.db, k, run.config),
        "passes": cost.passes(run.db, k, run.config),
        "cost": cost.cost(run.db, k),
        "by_label": by_label(run, k),
        "by_difficulty": None if hardness is None else cost.acceptance_by_difficulty(run.db, k, hardness),
    }


def by_label(run: Recorded, k: int) -> list[dict[str, Any]] | None:
    """Return :func:`.cost.acceptance_by_label` of an E-step; None without levels."""
    return _BY_LABEL[run.kind.estimator](run, k)


def _by_level(run: Recorded, k: int) -> list[dict[str, Any]] | None:
    return cost.acceptance_by_label(run.db, k, run.scale.levels)


def _by_none(_: Recorded, __: int) -> list[dict[str, Any]] | None:
    return None


_BY_LABEL = {"levels": _by_level, "consensus": _by_none}


def per_nat(iterations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the cost per nat of score gained over the base model, one row per finished E-step.

    Args:
        iterations: entries of the summary.
    """
    scores = dict.fromkeys(range(1 + max((entry["iteration"] for entry in iterations), default=0)))
    scores |= {entry["iteration"]: score(entry) for entry in iterations}
    costs = [entry["e_step"]["cost"] for entry in iterations if entry["iteration"] > 0 and entry["e_step"]["cost"]]
    return cost.per_nat(costs, list(scores.values()))


def score(entry: Mapping[str, Any]) -> float | None:
    """Return the score of an iteration's evidence, nats per validation item; None if it was not measured."""
    found = entry["evidence"]
    return None if found is None else found["score"]
