"""The kept set of an iteration, read from a run directory by other processes: a training process or an export.

The ledger is opened read-only, also while the run is active. Training text comes from ``selection.training_samples``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem.errors import ConfigError, RunError
from rationem.ledger import read_examples, read_manifest, read_only
from rationem.ledger.phases import finished_iterations
from rationem.ledger.reading import read_kept, read_trials
from rationem.sampling.selection import TRAINED_ON, training_samples
from rationem.tasks import from_description
from rationem.tasks.own import is_program
from rationem.tasks.protocol import Task
from rationem.types import Example, Kept, Outcome, Purpose, Sample, Trial


@dataclass(frozen=True, slots=True)
class TrialReader:
    """An open ledger in the form that ``selection.training_samples`` needs."""

    db: sqlite3.Connection

    def trials(self, iteration: int, purpose: Purpose) -> Iterator[Trial]:
        """Iterate over the trials of one iteration, ordered by example, attempt and retry."""
        return read_trials(self.db, iteration, purpose)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One kept sample with its trial and its example."""

    kept: Kept
    trial: Trial
    sample: Sample
    example: Example


def kept_samples(directory: Path, iteration: int) -> list[Sample]:
    """Return the samples that the M-step of an iteration trains on, in its order; empty if nothing was kept.

    Raises:
        RunError: there is no such run, its task is unknown here, or it has no finished E-step of that iteration.
    """
    with closing(read_only(directory)) as db:
        return _samples(db, directory, iteration)


def kept_trials(directory: Path, iteration: int) -> list[Chosen]:
    """Return the samples of :func:`kept_samples`, each with its trial and example.

    Raises:
        RunError: as there.
    """
    with closing(read_only(directory)) as db:
        samples, kept = _samples(db, directory, iteration), read_kept(db, iteration)
        examples = {x.id: x for x in read_examples(db, "train")}
        wanted = {(one.drawn, one.example_id, one.attempt) for one in kept}
        drawn = {
            key: trial
            for k in {one.drawn for one in kept}
            for purpose in TRAINED_ON
            for trial in read_trials(db, k, purpose)
            if (key := (k, trial.example_id, trial.attempt)) in wanted and trial.outcome is not Outcome.ENGINE_FAILED
        }
        return [
            Chosen(one, drawn[one.drawn, one.example_id, one.attempt], sample, examples[one.example_id])
            for one, sample in zip(kept, samples, strict=True)
        ]


def last_e_step(directory: Path) -> int:
    """Return the last iteration with a finished E-step.

    Raises:
        RunError: there is no such run, or no finished E-step.
    """
    with closing(read_only(directory)) as db:
        done = finished_iterations(db, "e_step")
    if not done:
        raise RunError(f"{directory} has no finished E-step yet. Continue it: rationem fit --output {directory}")
    return done[-1]


def _samples(db: sqlite3.Connection, directory: Path, iteration: int) -> list[Sample]:
    task, done = _task(read_manifest(db), directory), finished_iterations(db, "e_step")
    if iteration not in done:
        found = f"it has {', '.join(map(str, done))}" if done else "it has none"
        raise RunError(f"{directory} has no finished E-step of iteration {iteration}; {found}.")
    return training_samples(iteration, read_kept(db, iteration), read_examples(db, "train"), task, TrialReader(db))


def _task(manifest: dict[str, Any], directory: Path) -> Task:
    """Return the task of the run, with its exact template."""
    described = manifest.get("task", {})
    try:
        return from_description(described)
    except ConfigError as error:
        if is_program(described):  # its program was not named
            raise
        raise RunError(f"{directory} was not written by rationem fit: its task is not in its ledger.") from error
