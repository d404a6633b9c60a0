"""One run of one arm, read from its ledger alone: numbers per item, so that items can be resampled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem import metrics
from rationem.evaluation.choice import Validated, item_evidence
from rationem.evaluation.diagnostics import cost
from rationem.evaluation.diagnostics.bounds import bounds_record
from rationem.evaluation.evaluate import SHOTS
from rationem.ledger import FINISHED, is_begun, read_only, read_predictions
from rationem.ledger.phases import finished_iterations, read_record, sum_records
from rationem.ledger.reading import read_trials
from rationem.ledger.totals import accepted_shares, kept_shares, mean_completion_tokens, training_draws
from rationem.report.evidence import by_label
from rationem.report.run import Recorded, read_run
from rationem.types import Outcome, Prediction, Purpose


@dataclass(frozen=True, slots=True)
class At:
    """The quality of one iteration's weights, and their cost so far.

    Args:
        predictions: on the test set.
        temperature: fitted on validation; None without one.
        evidence: validation example -> score of its evidence, nats; empty if not measured.
        length: test example -> mean tokens of its completions.
        faithful: test example -> share of its rationales that are true of it, among those that can be checked.
        hints: the effect of the hint on rationales (``diagnostics.hints``), None if not measured.
        exact: means of certified bounds (``diagnostics.bounds``), None if nothing was enumerated.
        spent: iterations, gradient steps, passes over a kept example, prompt and generated tokens, and the seconds of
            E- and M-steps.
    """

    predictions: Sequence[Prediction]
    temperature: float | None
    evidence: Mapping[str, float]
    length: Mapping[str, float]
    faithful: Mapping[str, float]
    hints: Mapping[str, Any] | None
    exact: Mapping[str, Any] | None
    spent: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Point:
    """One intermediate iteration on the validation set.

    Args:
        generated_tokens: in all E-steps so far.
        scores: number -> value; None if not measured.
        evidence: mean score of the evidence, nats; None if not measured.
    """

    iteration: int
    generated_tokens: int
    scores: Mapping[str, float | None]
    evidence: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return all values by name."""
        place = {"iteration": self.iteration, "generated_tokens": self.generated_tokens}
        return {**place, **self.scores, "evidence": self.evidence}


@dataclass(frozen=True, slots=True)
class RunItems:
    """One run.

    Args:
        chosen: the iteration that validation chose.
        highest: the iteration with the highest validation score; the rule of the run may choose an earlier one.
        last: the last iteration.
        at: iteration -> quality of its weights, for the base model (0), the chosen and the last iteration.
        accepted: training example -> share of the iterations in which its first attempt was accepted.
        kept: training example -> share of the iterations in which it was kept.
        by_label: level, examples, kept share and first attempts accepted, over all iterations; empty for open answers.
        curve: one point per iteration.
        shots: predictions of the base model with solved examples in its prompt; empty without that control.
    """

    chosen: int
    highest: int
    last: int
    at: Mapping[int, At]
    accepted: Mapping[str, float]
    kept: Mapping[str, float]
    by_label: Sequence[Mapping[str, Any]]
    curve: Sequence[Point]
    shots: Sequence[Prediction]


def read_reading(directory: Path) -> RunItems | None:
    """Return the numbers of a run; None if it is not finished, or has not begun.

    Raises:
        RunError: the ledger cannot be read.
    """
    if not is_begun(directory):
        return None
    db = read_only(directory)
    try:
        done = finished_iterations(db, FINISHED)
        if not done:
            return None
        run, ended = read_run(db), read_record(db, done[0], FINISHED) or {}
        chosen, last = ended["best"], ended["last"]
        validated = run.validated(last)
        return RunItems(
            chosen,
            validated.chosen.highest if validated.chosen else chosen,
            last,
            {k: _at(run, k, validated) for k in sorted({0, chosen, last})},
            accepted_shares(db, last),
            kept_shares(db, last),
            _by_label(run, last),
            [_point(run, k) for k in range(last + 1)],
            read_predictions(db, 0, SHOTS),
        )
    finally:
        db.close()


def _at(run: Recorded, k: int, validated: Validated) -> At:
    return At(
        read_predictions(run.db, k, "test"),
        _temperature(run, k, validated),
        _evidence(run, k),
        mean_completion_tokens(run.db, k, "test"),
        _faithful(run, k),
        (run.record(k, "evidence") or {}).get("hints"),
        bounds_record(run.db, k),
        _spent(run, k),
    )


def _temperature(run: Recorded, k: int, validated: Validated) -> float | None:
    """Return the temperature of iteration k, fitted on validation; of the chosen one as the run fits it; None if none
    can be fitted.
    """
    validation = run.sets["validation"]
    if k not in validated.predictions:
        return None
    fitted_on = validated.crossfitted() if k == validated.best else None
    fit = metrics.calibrate(validated.predictions[k], validation, run.scale, fitted_on)
    return None if fit is None else fit.temperature


def _evidence(run: Recorded, k: int) -> dict[str, float]:
    return item_evidence(run.db, k, run.sets["validation"], run.sets["train"], run.kind)


def _faithful(run: Recorded, k: int) -> dict[str, float]:
    if run.faithful is None:
        return {}
    test, said = {x.id: x for x in run.sets["test"]}, defaultdict(list)
    for trial in read_trials(run.db, k, Purpose.EVAL):
        if trial.example_id in test and trial.outcome is not Outcome.ENGINE_FAILED:
            said[trial.example_id].append(run.faithful(test[trial.example_id].fields, trial.parsed.rationale))
    checked = {name: [one for one in each if one is not None] for name, each in said.items()}
    return {name: sum(each) / len(each) for name, each in checked.items() if each}


def _spent(run: Recorded, k: int) -> dict[str, float | None]:
    db = run.db
    drawn = training_draws(db, k, so_far=True)
    steps, seconds = sum_records(db, "steps", ("e_step", "m_step"), k)
    return {
        "iterations": k,
        "steps": steps,
        "passes": cost.mean_passes(db, k, run.config),
        "prompt_tokens": drawn.prompt_tokens,
        "generated_tokens": drawn.generated_tokens,
        "seconds": seconds,
    }


def _by_label(run: Recorded, last: int) -> list[dict[str, Any]]:
    """Return the rows of ``diagnostics.cost.acceptance_by_label``, iterations pooled; none for open answers."""
    each = [by_label(run, k) or [] for k in range(1, last + 1)]
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


def _point(run: Recorded, k: int) -> Point:
    predictions, validation = read_predictions(run.db, k, "validation"), run.sets["validation"]
    scores = metrics.score(predictions, validation, run.scale).as_dict() if predictions else {}
    evidence = list(_evidence(run, k).values())
    return Point(
        k,
        training_draws(run.db, k, so_far=True).generated_tokens,
        {name: scores.get(name) for name in metrics.titles("curve")},
        sum(evidence) / len(evidence) if evidence else None,
    )
