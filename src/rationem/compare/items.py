"""One run of one arm, read from its ledger alone: numbers per item, so that items can be drawn again."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem import metrics
from rationem.evaluation.diagnostics import evidence_scores
from rationem.evaluation.diagnostics.bounds import bounds_record
from rationem.evaluation.diagnostics.cost import acceptance_by_label
from rationem.evaluation.evaluate import SHOTS
from rationem.ledger import FINISHED, is_begun, read_only, read_predictions
from rationem.ledger.reading import GENERATED, read_record, read_trials
from rationem.report.run import Run, read_run
from rationem.types import Example, Outcome, Prediction, Purpose, State

#: First attempts that the engine served.
_FIRST_ATTEMPTS = f"purpose='{Purpose.TRAIN}' AND attempt=0 AND outcome!='{Outcome.ENGINE_FAILED}'"


@dataclass(frozen=True, slots=True)
class At:
    """What the weights of one iteration are worth, and what had been spent on them.

    Args:
        predictions: on the test set.
        evidence: validation example -> score of its evidence, nats; empty where it was not measured.
        length: test example -> mean tokens of its completions.
        faithful: test example -> share of its rationales that are true of it, of those that can be checked.
        hints: what showing the answer does to rationales (``diagnostics.hints``), None where it was not measured.
        exact: means of certified bounds (``diagnostics.bounds``), None where nothing was enumerated.
        spent: iterations, gradient steps, prompt and generated tokens, and the seconds of E- and M-steps.
    """

    predictions: Sequence[Prediction]
    evidence: Mapping[str, float]
    length: Mapping[str, float]
    faithful: Mapping[str, float]
    hints: Mapping[str, Any] | None
    exact: Mapping[str, Any] | None
    spent: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Point:
    """One iteration on the way, on the validation set; None where it was not measured."""

    iteration: int
    generated_tokens: int
    accuracy: float | None
    reward: float | None
    draw_reward: float | None
    log_likelihood: float | None
    evidence: float | None


@dataclass(frozen=True, slots=True)
class RunItems:
    """One run.

    Args:
        chosen: the iteration that validation chose.
        last: the last one.
        at: iteration -> what its weights are worth, of the base model (0), the chosen and the last.
        accepted: training example -> share of the iterations in which its first attempt was accepted.
        kept: training example -> share of the iterations in which it was kept.
        by_label: level, examples, kept share and first attempts accepted, over all iterations; empty where answers
            are open.
        curve: iteration by iteration.
        shots: predictions of the base model with solved examples in its prompt; empty without that control.
    """

    chosen: int
    last: int
    at: Mapping[int, At]
    accepted: Mapping[str, float]
    kept: Mapping[str, float]
    by_label: Sequence[Mapping[str, Any]]
    curve: Sequence[Point]
    shots: Sequence[Prediction]


def read_reading(directory: Path) -> RunItems | None:
    """Return what a run says; None where it is not finished, or has not begun.

    Raises:
        RunError: the ledger cannot be read.
    """
    if not is_begun(directory):
        return None
    db = read_only(directory)
    try:
        row = db.execute("SELECT iteration FROM iterations WHERE phase=?", (FINISHED,)).fetchone()
        if row is None:
            return None
        run, ended = read_run(db), read_record(db, row[0], FINISHED) or {}
        chosen, last = ended["best"], ended["last"]
        return RunItems(
            chosen,
            last,
            {k: _at(run, k) for k in sorted({0, chosen, last})},
            _shares(db, last, "outcome = 'accepted'", "trials", _FIRST_ATTEMPTS),
            _shares(db, last, f"state = '{State.KEPT}'", "states", "1"),
            _by_label(run, last),
            [_point(run, k) for k in range(last + 1)],
            read_predictions(db, 0, SHOTS),
        )
    finally:
        db.close()


def _at(run: Run, k: int) -> At:
    return At(
        read_predictions(run.db, k, "test"),
        _evidence(run, k),
        _lengths(run.db, k),
        _faithful(run, k),
        (run.record(k, "evidence") or {}).get("hints"),
        bounds_record(run.db, k),
        _spent(run.db, k),
    )


def _evidence(run: Run, k: int) -> dict[str, float]:
    asked = run.record(k, "evidence")
    if asked is None:
        return {}
    validation = run.sets["validation"]
    marginals = metrics.marginals(run.sets["train"], run.scale, metrics.parts(validation))

    def marginal_of(example: Example) -> Sequence[float]:
        return marginals[metrics.criterion(example)]

    return evidence_scores(
        run.db,
        k,
        validation,
        run.kind,
        marginal_of,
        forward=asked["forward_draws"],
        hinted=asked["hinted_draws"],
    )


def _lengths(db: sqlite3.Connection, k: int) -> dict[str, float]:
    return dict(
        db.execute(
            "SELECT example_id, AVG(new_tokens) FROM trials JOIN examples ON id = example_id WHERE iteration=? AND "
            "purpose=? AND split='test' AND outcome!=? GROUP BY example_id",
            (k, Purpose.EVAL, Outcome.ENGINE_FAILED),
        )
    )


def _faithful(run: Run, k: int) -> dict[str, float]:
    if run.faithful is None:
        return {}
    test, said = {x.id: x for x in run.sets["test"]}, defaultdict(list)
    for trial in read_trials(run.db, k, Purpose.EVAL):
        if trial.example_id in test and trial.outcome is not Outcome.ENGINE_FAILED:
            said[trial.example_id].append(run.faithful(test[trial.example_id].fields, trial.parsed.rationale))
    checked = {name: [one for one in each if one is not None] for name, each in said.items()}
    return {name: sum(each) / len(each) for name, each in checked.items() if each}


def _spent(db: sqlite3.Connection, k: int) -> dict[str, float]:
    prompt, generated = db.execute(
        "SELECT COALESCE(SUM(prompt_tokens), 0), COALESCE(SUM(new_tokens), 0) FROM trials "
        f"WHERE purpose=? AND iteration<=? AND {GENERATED}",
        (Purpose.TRAIN, k),
    ).fetchone()
    steps, seconds = db.execute(
        "SELECT COALESCE(SUM(json_extract(record, '$.steps')), 0), COALESCE(SUM(seconds), 0) FROM iterations "
        "WHERE phase IN ('e_step', 'm_step') AND iteration<=?",
        (k,),
    ).fetchone()
    return {
        "iterations": k,
        "steps": steps,
        "prompt_tokens": prompt,
        "generated_tokens": generated,
        "seconds": seconds,
    }


def _shares(db: sqlite3.Connection, last: int, what: str, table: str, where: str) -> dict[str, float]:
    """Return training example -> how often something held of its rows of iterations 1 to the last."""
    return dict(
        db.execute(
            f"SELECT example_id, AVG({what}) FROM {table} WHERE {where} AND iteration BETWEEN 1 AND ? "
            "GROUP BY example_id",
            (last,),
        )
    )


def _by_label(run: Run, last: int) -> list[dict[str, Any]]:
    """Return the rows of ``diagnostics.cost.acceptance_by_label``, iterations pooled; none where answers are open."""
    if run.scale.is_open:
        return []
    each = [acceptance_by_label(run.db, k, run.scale.levels) for k in range(1, last + 1)]
    pooled = []
    for rows in zip(*each, strict=True):
        tried = sum(row["first_attempts"] for row in rows)
        accepted = sum((row["first_accepted"] or 0.0) * row["first_attempts"] for row in rows)
        examples = sum(row["examples"] for row in rows)
        pooled.append(
            {
                "level": rows[0]["level"],
                "examples": rows[0]["examples"],
                "kept_share": sum(row["kept"] for row in rows) / examples if examples else None,
                "first_accepted": accepted / tried if tried else None,
            }
        )
    return pooled


def _point(run: Run, k: int) -> Point:
    predictions, validation = read_predictions(run.db, k, "validation"), run.sets["validation"]
    scores = metrics.score(predictions, validation, run.scale) if predictions else None
    evidence = list(_evidence(run, k).values())
    return Point(
        k,
        int(_spent(run.db, k)["generated_tokens"]),
        scores.accuracy if scores else None,
        scores.reward if scores else None,
        scores.draw_reward if scores else None,
        scores.as_dict()["log_likelihood"] if scores else None,
        sum(evidence) / len(evidence) if evidence else None,
    )
