"""Another filter, other weights or another training on the trials of an earlier run: one more M-step, no new drafts.

    theta' = theta_{K-1} + steps on grad_theta sum_i w_i log pi(z_i, y_hat_i | x_i; theta)

The drafts are those of iteration K of an old run, by theta_{K-1}; which are accepted, and their weights, are decided
again. Task, examples and drafts come from the old ledger, which is only read. docs/refit.md is for users.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rationem.config import (
    FitConfig,
    Reach,
    TakenBy,
    displaced,
    flag_of,
    in_refit,
    reach_of,
    read_config,
    settings_with,
    to_toml,
)
from rationem.em import Problem
from rationem.engines import models
from rationem.errors import ConfigError, RunError
from rationem.ledger import read_examples, read_manifest, read_only
from rationem.ledger.once import once
from rationem.ledger.phases import finished_iterations, read_records
from rationem.ledger.reading import read_trials
from rationem.ledger.totals import ids_in_state
from rationem.run import identity, trust
from rationem.run.launch import agree, carry_out, manifest
from rationem.run.preflight import check_engine, check_levels, check_machine
from rationem.run.problem import Resolved
from rationem.run.task_resolution import with_reward
from rationem.sampling.engine_for import engine_for
from rationem.sampling.hint_leakage import HintLeakage
from rationem.sampling.schemes import Scheme, check_sampling
from rationem.sampling.selection import settle
from rationem.sampling.trials import grade
from rationem.tasks import from_description
from rationem.tasks.own import is_program
from rationem.tasks.protocol import Task
from rationem.types import Outcome, Purpose, Splits, State, Trial

#: The settings that may differ from the old run's: they affect neither the data nor the drafts.
CHANGEABLE = settings_with(TakenBy.REFIT)
#: The old run's external references that a refit uses; data and task are in its ledger, vLLM is set by the command
#: alone.
_OUTSIDE = (*settings_with(Reach.MODEL), *(name for name in CHANGEABLE if reach_of(name) is Reach.ADDRESS))
#: The content of a manifest that ``rationem fit`` wrote.
_NEEDED = {"config", "base", "task", "notes", "data_sha256", "prompt_token_ids"}
_REPEAT = "rationem refit RUN --output NEW; RUN and its iteration are in the ledger's manifest (refit)"


@dataclass(frozen=True, slots=True)
class Origin:
    """The record of one iteration of an old run.

    Args:
        iteration: K.
        config: the run's settings.
        base: theta_0, what ``models.load`` takes.
        theta: theta_{K-1}, which drew the trials.
        too_long: training examples that iteration K did not draw for.
    """

    directory: Path
    iteration: int
    manifest: Mapping[str, Any]
    config: FitConfig
    splits: Splits
    base: str
    theta: str
    too_long: frozenset[str]


def refit(run: str | Path, output: str | Path, changes: Mapping[str, Any], *, iteration: int = 1) -> Path:
    """Grade an old run's training trials again, select, train once and evaluate; or resume that.

    All errors in the old run or the changes are found before anything is written.

    Args:
        run: the old run's directory; it is only read.
        output: the new run's directory.
        changes: settings of FitConfig to change, from ``CHANGEABLE``.
        iteration: K >= 1, the iteration whose trials are used.

    Returns:
        The new run's directory.

    Raises:
        RunError: there is no such run, iteration or checkpoint, or the new directory cannot be used.
        ConfigError: a setting cannot be changed, or does not fit the drafts.
    """
    old, directory = Path(run).resolve(), Path(output).resolve()
    if old == directory or old in directory.parents:
        raise RunError(f"{old} is only read: --output must name a directory outside it.")
    origin = read_origin(old, iteration, changes)
    config = changed(origin, changes)
    scheme = config.planned
    check_sampling(scheme, config.sampling)
    task = _task(origin, changes)
    config = _REWARDED[task.kind.estimator](config, changes, task)
    check_levels(config, scheme, task)
    trials = judged_again(origin, config, scheme, task)
    _check_weighable(trials, scheme, config)
    check_engine(config, scheme)
    positions = models.positions(origin.theta, origin.theta)
    weights = models.check(origin.theta, origin.theta)
    resolved = Resolved(config, scheme, task, origin.splits, origin.theta, positions, weights)
    recorded = {
        **manifest(resolved, models.chat(str(config.model), origin.theta, config.conversation)),
        "refit": {
            "run": old.name,
            "iteration": iteration,
            "data_sha256": origin.manifest["data_sha256"],
            **({"quick": True} if _is_quick(origin) else {}),
            "trials_sha256": _fingerprint(trials),
        },
    }
    if origin.theta == origin.base and recorded["prompt_token_ids"] != origin.manifest["prompt_token_ids"]:
        raise RunError(
            f"{config.model!r} encodes the first prompt differently from the model that {old} began with: its "
            "tokenizer or template was changed, so the stored tokens do not fit. Restore the old files."
        )
    if recorded["data_sha256"] != origin.manifest["data_sha256"]:
        raise RunError(
            f"The examples in {old} do not match the hash in its manifest (data_sha256): the ledger was edited."
        )
    agree(resolved, directory, recorded)
    check_machine(config)
    return carry_out(
        resolved,
        directory,
        recorded,
        settings=to_toml(config, _REPEAT),
        before=lambda problem: _write(origin, trials, problem),
    )


def read_origin(directory: Path, iteration: int, asked: Mapping[str, Any] | None = None) -> Origin:
    """Return the record of iteration K of a run.

    Raises:
        RunError: there is no such run, iteration or checkpoint.
        ConfigError: the run names a model of the hub, and neither the command (``asked``) nor this user as its maker
            does.
    """
    db = read_only(directory)
    try:
        recorded = read_manifest(db)
        if not recorded.keys() >= _NEEDED or not _is_ours(recorded["task"]):
            raise RunError(f"{directory} was not written by rationem fit; its settings are not in its ledger.")
        done = finished_iterations(db, "e_step")
        if iteration not in done:
            found = f"it has {', '.join(map(str, done))}" if done else "it has none"
            raise RunError(
                f"{directory} has no finished E-step of iteration {iteration}; {found}. Give another --iteration, or "
                f"continue the run: rationem fit --output {directory}"
            )
        config = _settings(directory, recorded)
        trust.check_by(config, asked or {}, recorded, directory, _OUTSIDE)
        base = _base(directory, config, recorded)
        train, validation, test = (read_examples(db, split) for split in ("train", "validation", "test"))
        return Origin(
            directory,
            iteration,
            recorded,
            config,
            Splits(train, validation, test, recorded["notes"]),
            base,
            _theta(db, directory, iteration, base),
            frozenset(ids_in_state(db, iteration, State.TOO_LONG)),
        )
    finally:
        db.close()


def _task(origin: Origin, changes: Mapping[str, Any]) -> Task:
    """Return the old run's task, with another reward if requested.

    Raises:
        ConfigError: its answers have no such reward.
    """
    described = origin.manifest["task"]
    task = from_description(described | {"reward": changes.get("reward", described["reward"])})
    if task.describe()["reward"] != changes.get("reward", described["reward"]):
        raise ConfigError(f"The task {task.name!r} defines its own reward: omit --reward.")
    return task


def _rewarded(config: FitConfig, changes: Mapping[str, Any], task: Task) -> FitConfig:
    """Return the settings with the task's reward; another reward of open answers has its own threshold."""
    forgets = "reward" in changes and "threshold" not in changes
    return with_reward(config.replace(threshold=None) if forgets else config, task)


def _as_it_was(config: FitConfig, _: Mapping[str, Any], __: Task) -> FitConfig:
    return config


_REWARDED = {"levels": _as_it_was, "consensus": _rewarded}


def _is_ours(described: Mapping[str, Any]) -> bool:
    """Return whether a task can be restored from its description."""
    try:
        from_description(described)
    except ConfigError:
        return is_program(described)  # a missing program is reported by _task
    return True


def changed(origin: Origin, changes: Mapping[str, Any]) -> FitConfig:
    """Return the old run's settings with the changes, for one M-step.

    Raises:
        ConfigError: a setting affects the drafts, or a value is out of range.
    """
    if changes.get("model") == origin.config.model:  # named again, not changed
        changes = {name: value for name, value in changes.items() if name != "model"}
    fixed = sorted(set(changes) - set(CHANGEABLE))
    if fixed:
        flags = ", ".join(flag_of(name) for name in fixed)
        raise ConfigError(
            f"refit draws nothing and reads no data: {flags} cannot differ from {origin.directory}, whose trials are "
            "reused. For other drafts start a new run: rationem fit."
        )
    if changes.get("sampling_batch") == "auto":
        raise ConfigError("refit samples too little to measure a batch size: give --sampling-batch a number.")
    settings = {**origin.config.model_dump(mode="json"), **in_refit()}
    if origin.theta != origin.base:
        settings["model"] = origin.theta
    settings |= dict.fromkeys(displaced(changes))
    config = read_config(None, {**settings, **changes})
    is_adapter = (Path(origin.theta) / "adapter_config.json").is_file()
    if is_adapter and config.lora_rank != origin.config.lora_rank:
        raise ConfigError(
            f"--lora-rank {config.lora_rank}: {origin.theta} is an adapter of rank {origin.config.lora_rank}, and "
            "training continues with that rank. Omit the flag, or refit iteration 1."
        )
    return config


def _is_quick(origin: Origin) -> bool:
    """Return whether the drafts come from a quick look, by however many refits."""
    return bool(origin.config.quick or (origin.manifest.get("refit") or {}).get("quick"))


def judged_again(origin: Origin, config: FitConfig, scheme: Scheme, task: Task) -> list[Trial]:
    """Return the trials of iteration K with their new outcome and reward, as those of iteration 1."""
    known = {x.id: x for x in origin.splits.train}
    again = []
    for trial in _drawn(origin):
        shown = config.leaks if scheme.proposal(trial.proposal).hinted else HintLeakage("off")
        x = known[trial.example_id]
        parsed, outcome, reward = grade(trial.draft, x, task, config.threshold or 1.0, shown)
        again.append(replace(trial, iteration=1, parsed=parsed, outcome=outcome, reward=reward))
    return again


def _drawn(origin: Origin) -> Iterator[Trial]:
    """Yield the training trials of iteration K of the old run."""
    db = read_only(origin.directory)
    try:
        yield from read_trials(db, origin.iteration, Purpose.TRAIN)
    finally:
        db.close()


def _write(origin: Origin, trials: Sequence[Trial], problem: Problem) -> None:
    """Write the E-step of iteration 1, unless it is written: trials, likelihoods, kept set and states."""
    ledger, scheme, train = problem.ledger, problem.scheme, problem.data.train
    if ledger.record(1, "e_step") is not None:
        return
    first = next(iter(trials), None)
    if first and not ledger.has_trial(1, first.purpose, first.example_id, first.attempt, first.retry):
        ledger.append(trials)
    queue = [x for x in train if x.id not in origin.too_long]
    q = engine_for(scheme, origin.theta, origin.base, problem.engines)
    with closing(problem.engines):
        once(ledger, 1, "e_step", lambda: settle(1, queue, train, scheme, problem.context, q))


def _fingerprint(trials: Sequence[Trial]) -> str:
    rows = [[t.iteration, t.example_id, t.attempt, t.retry, t.proposal, t.seed, t.draft.token_ids] for t in trials]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _settings(directory: Path, recorded: Mapping[str, Any]) -> FitConfig:
    """Return the run's settings: from its ledger, and the file names from its config.toml.

    A base model identified by its content may have been moved; config.toml has its last path. Programs are an
    exception: only the command decides which one is run and how, never the run.
    """
    path = directory / "config.toml"
    files = read_config(path, {}).model_dump(mode="json") if path.is_file() else {}
    found = {**files, **recorded["config"]}
    if "weights" in recorded:
        found["model"] = files.get("model", found["model"])
    return read_config(None, {key: value for key, value in found.items() if key not in settings_with(Reach.PROGRAM)})


def _base(directory: Path, config: FitConfig, recorded: Mapping[str, Any]) -> str:
    """Return theta_0.

    Raises:
        RunError: it is gone, or its path now holds another model.
    """
    name = config.model or ""
    if Path(name).is_absolute() and not Path(name).is_dir():
        raise RunError(f"The model that {directory} began with is missing: there is no directory {name}. Restore it.")
    checkpoint = models.resolve(name, config.adapter_base)
    if "weights" in recorded:
        identity.refuse_changed(name, recorded["weights"], models.digests(checkpoint))
    else:
        identity.refuse_other_name(directory, name, checkpoint, recorded["base"])
    return checkpoint


def _theta(db: sqlite3.Connection, directory: Path, iteration: int, base: str) -> str:
    """Return theta_{K-1}; an iteration that trained nothing has the previous one.

    Raises:
        RunError: its checkpoint is gone.
    """
    for k, record in reversed(read_records(db, "m_step").items()):
        if k < iteration and record["trained"]:
            path = directory / "checkpoints" / f"iteration-{k:03d}"
            if not path.is_dir():
                raise RunError(
                    f"The weights that drew iteration {iteration} are missing: there is no {path}. Refit another "
                    "iteration; iteration 1 needs only the base model."
                )
            return str(path)
    return base


def _check_weighable(trials: Sequence[Trial], scheme: Scheme, config: FitConfig) -> None:
    """Reject a weighting selector if the ledger lacks the likelihoods of the accepted drafts."""
    if scheme.sums_out:
        raise ConfigError(
            f"The scheme {scheme.name!r} weighs rationales by p(y*|x,z), which refit does not score. Run it with "
            "rationem fit, or refit a run of another scheme."
        )
    if not scheme.selector.needs_ratios:
        return
    accepted = [trial for trial in trials if trial.outcome is Outcome.ACCEPTED]
    settled = {trial.example_id for trial in accepted if scheme.proposal(trial.proposal).is_exact(config.sampling)}
    silent = [
        trial
        for trial in accepted
        if trial.example_id not in settled and len(trial.draft.token_logps) != len(trial.draft.token_ids)
    ]
    if silent:
        raise ConfigError(
            f"The selector {scheme.selector.name!r} weights drafts by pi / q, and for {len(silent)} accepted trials "
            f"the ledger does not have q (token_logps), the first of them of example {silent[0].example_id!r}. Use "
            "--selector first or all."
        )
