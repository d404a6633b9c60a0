"""From the ledger's rows to one dictionary of numbers, the schema of ``metrics.json`` (docs/run-directory.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rationem import metrics
from rationem.evaluation.choice import Validated
from rationem.evaluation.diagnostics.bounds import bounds_record
from rationem.evaluation.diagnostics.summed import unlikely_share
from rationem.evaluation.evaluate import SHOTS
from rationem.ledger import read_manifest, read_only, read_predictions
from rationem.ledger.phases import is_reached, read_seconds, recorded_iterations
from rationem.ledger.totals import first_attempts_accepted, kept_counts, outcome_counts, state_counts, training_draws
from rationem.report import demonstrations, evidence
from rationem.report.blocks import as_given, block, by_criterion, calibration, details
from rationem.report.run import Recorded, read_run
from rationem.sampling.schemes import names_marginal
from rationem.tasks.own import is_program
from rationem.tasks.scale import Scale
from rationem.types import Example

_SCORED = ("validation", "test")

#: The coverages of conformal sets that a report tries.
_COVERAGES = (0.8, 0.9, 0.95)

#: Setting ``choose_by`` -> its name in the report.
_CHOSEN_BY = {"evidence": "score (validation)", "log_likelihood": "log-likelihood (validation)"}


def summarize(directory: Path) -> dict[str, Any]:
    """Return all numbers of a run, finished or not, from trials, states and predictions.

    Raises:
        RunError: there is no run in the directory.
    """
    db = read_only(directory)
    try:
        manifest, run = read_manifest(db), read_run(db)
        sets = run.sets
        iterations = _iterations(run)
        last = max((entry["iteration"] for entry in iterations), default=0)
        validated = run.validated(last)
        best = validated.best
        return {
            "config": manifest["config"],
            "engine": manifest["engine"],
            "notes": manifest["notes"],
            "scale": manifest["task"]["scale"],
            "reward": run.kind.rule,
            **({"own": manifest["task"]["own"]} if is_program(manifest["task"]) else {}),
            "examples": {split: len(examples) for split, examples in sets.items()},
            "groups": {split: len({x.group for x in examples}) for split, examples in sets.items()},
            "pair": run.kind.orders > 1,
            "candidates": run.kind.orders,
            "criteria": list(by_criterion([x for examples in sets.values() for x in examples], run.kind)),
            "elided": sum(x.elided > 0 for examples in sets.values() for x in examples),
            "finished": is_reached(db, "fitted"),
            "best_iteration": best,
            "chosen_by": "last iteration" if validated.chosen is None else _CHOSEN_BY[validated.choose_by],
            "choice": _choice(run, validated),
            "refit": manifest.get("refit"),
            "last_iteration": last,
            "iterations": iterations,
            "per_nat": evidence.per_nat(iterations),
            "shots": _shots(run, manifest["config"]),
            "demonstrations": demonstrations.shown(run, manifest["task"]),
            "calibration": _calibration(run, validated),
            "sets": _sets(run, validated),
            "baselines": {split: _baselines(run, split) for split in _SCORED if sets[split]},
            "raters": _raters(run, manifest["config"]),
            "seconds": round(sum(sum(entry["seconds"].values()) for entry in iterations), 1),
        }
    finally:
        db.close()


def _iterations(run: Recorded) -> list[dict[str, Any]]:
    hardness = evidence.difficulty(run)
    return [_iteration(run, k, hardness) for k in recorded_iterations(run.db)]


def _iteration(run: Recorded, k: int, hardness: Mapping[str, float] | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"iteration": k, "seconds": _seconds(run.db, k)}
    if k > 0:
        entry["e_step"] = {**_e_step(run.db, k), **_summed(run, k), **evidence.paid(run, k, hardness)}
        entry["m_step"] = run.record(k, "m_step")
    entry["handover"] = run.record(k, "handover")
    entry |= evidence.measured(run, k)
    for split in _SCORED:
        found = _scores(run, k, split, run.sets[split])
        if found:
            entry[split] = found
    if "test" in entry:
        entry["test"]["by_draws"] = evidence.by_draws(run, k)
        entry["test"]["evidence"] = evidence.on_test(run, k)
    if exact := bounds_record(run.db, k):
        entry["exact"] = exact
    return entry


def _choice(run: Recorded, validated: Validated) -> dict[str, Any] | None:
    """Return the choice made again, and the bound of the chosen iteration; None if no score was measured."""
    chosen, again = validated.chosen, validated.rechosen()
    if chosen is None or again is None:
        return None
    ends = metrics.interval(again.apart)
    iterations = max(validated.last, run.config.get("iterations") or 0)
    return {
        "within": chosen.within,
        "highest": chosen.highest,
        "equal": list(validated.equals),
        "score": again.apart.value,
        "interval": list(ends) if ends else None,
        "shares": {str(k): share for k, share in again.shares.items()},
        "lower_bound_95": evidence.bound_of_chosen(run, chosen.taken, iterations),
    }


def _scores(run: Recorded, k: int, split: str, examples: Sequence[Example]) -> dict[str, Any] | None:
    """Return a block of scores; with intervals and criteria for the test set, which is scored once."""
    predictions = read_predictions(run.db, k, split)
    if not predictions:
        return None
    scores = block(predictions, examples, run.kind)
    return scores if split == "validation" else {**scores, **details(predictions, examples, run.kind, run.seed)}


def _shots(run: Recorded, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the control's scores: the base model on the test set, with solved examples in its prompt."""
    found = _scores(run, 0, SHOTS, run.sets["test"])
    return {"examples": config.get("shots"), "test": found} if found else None


def _calibration(run: Recorded, validated: Validated) -> dict[str, Any] | None:
    fitted, applied = (read_predictions(run.db, validated.best, split) for split in _SCORED)
    if not fitted:
        return None
    sets = run.sets
    found = calibration(
        (fitted, sets["validation"]), (applied, sets["test"]), run.kind, fitted_on=validated.crossfitted()
    )
    return found and {**found, "chosen_without": list(validated.chosen_without.values())}


def _sets(run: Recorded, validated: Validated) -> dict[str, Any] | None:
    """Return what conformal sets do on test; None where a judge gives none: without levels or validation."""
    said, applied = (read_predictions(run.db, validated.best, split) for split in _SCORED)
    fit = said and metrics.calibrate(said, run.sets["validation"], run.scale, validated.crossfitted())
    if not fit:
        return None
    found = validated.conformal() or metrics.Thresholds(0, ())

    def row(coverage: float) -> dict[str, Any]:
        needed = metrics.needed(coverage)
        at = metrics.threshold(found.at, coverage) if found.groups >= needed else None
        told = None
        if at is not None and applied:
            told = metrics.covered(applied, run.sets["test"], run.kind, fit.temperature, at, run.seed)
        return {"asked": coverage, "needed": needed, "threshold": at, "test": told and _as_json(told)}

    return {"groups": found.groups, "at": [row(coverage) for coverage in _COVERAGES]}


def _as_json(told: metrics.Covered) -> dict[str, Any]:
    return {**asdict(told), "interval": list(told.interval) if told.interval else None}


def _raters(run: Recorded, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return how people agree: on the items as they rated them, though training may have one row per rating."""
    each, limit = config.get("raters") == "each", config.get("limit")
    rows = {split: as_given(examples) for split, examples in run.sets.items()}
    given = {split: metrics.regrouped(examples, run.scale) for split, examples in rows.items()}
    scored = given["test"] or given["validation"]
    parted = each and limit is not None and len(rows["train"]) >= limit  # items that lost ratings to the limit
    return {
        "alpha": {split: metrics.alpha(examples, run.scale) for split, examples in given.items()},
        "alpha_by_criterion": {
            split: metrics.alphas(examples, run.scale) if by_criterion(examples, run.kind) else {}
            for split, examples in given.items()
        },
        "warnings": metrics.rater_warnings(given["train"], scored, run.scale, each=each, parted=parted),
    }


def _e_step(db: sqlite3.Connection, k: int) -> dict[str, Any]:
    states, drawn = state_counts(db, k), training_draws(db, k)
    (samples, examples), total = kept_counts(db, k), sum(states.values())
    return {
        "states": states,
        "outcomes": outcome_counts(db, k),
        "drawn": drawn.trials,
        "generated_tokens": drawn.generated_tokens,
        "prompt_tokens": drawn.prompt_tokens,
        "encoded": drawn.encoded,
        "closed": drawn.closed,
        "kept_samples": samples,
        "kept_share": examples / total if total else None,
        "first_attempt_accepted": first_attempts_accepted(db, k),
    }


def _summed(run: Recorded, k: int) -> dict[str, Any]:
    """Return what only schemes have that sum the answer out."""
    if not names_marginal(str(run.config.get("scheme", ""))):
        return {}
    return {"unlikely_share": unlikely_share(run.db, k, run.kind)}


def _seconds(db: sqlite3.Connection, k: int) -> dict[str, float]:
    phases = read_seconds(db, k).items()
    return {phase: round(seconds, 2) for phase, seconds in phases if phase not in {"fitted", "finished"}}


def _baselines(run: Recorded, split: str) -> dict[str, Any]:
    """Return what a number must be compared with, of all items and of those of each criterion."""
    scored = run.sets[split]
    named = by_criterion(scored, run.kind)
    return {
        **_compared_with(run, scored, scored, run.scale),
        "by_criterion": {name: _compared_with(run, part, scored, run.scale.of(name)) for name, part in named.items()},
    }


def _compared_with(run: Recorded, scored: Sequence[Example], among: Sequence[Example], own: Scale) -> dict[str, Any]:
    """Return the numbers of constant predictions, and those of the raters themselves.

    Constants and ceilings use the criterion's ``own`` scale, and then only its items.
    The humans' log-likelihood smooths an item's other ratings by the training marginal; how strongly is fitted on the
    validation items, which are not the ones scored where those are of the test.
    """
    train, validation, scale = run.sets["train"], run.sets["validation"], run.scale
    if own is not scale:
        names = {metrics.criterion(x) for x in scored}
        train, among = tuple(x for x in train if metrics.criterion(x) in names), scored
    marginals = metrics.marginals(run.sets["train"], scale, metrics.parts((*scored, *validation)))
    alpha = metrics.fit_alpha(validation, scale, marginals)
    ceiling, attainable = metrics.human_ceiling(scored, own), metrics.attainable(as_given(scored))
    return {
        "uniform_log_likelihood": metrics.uniform_log_likelihood(scale, scored),
        **metrics.without_reading(train, scored, own, run.reward, among),
        "human_ceiling": asdict(ceiling) if ceiling else None,
        "rated_twice": metrics.rated_twice(scored),
        "human_log_likelihood": metrics.human_log_likelihood(scored, scale, marginals, alpha) if alpha else None,
        "human_smoothing": alpha,
        "attainable": asdict(attainable) if attainable else None,
    }
