"""The run directory: everything is written before it is used, so that a killed run can be resumed without loss.

One SQLite file (WAL). Trials are append-only, and a batch of them is one transaction: it is stored whole or not at all.
Every other table is written once per iteration, in one transaction with the rows it was computed from. Weights are
beside it in ``checkpoints/``; a checkpoint is written under a temporary name and renamed when it is complete, so a
directory with its final name is finished.

The loop resumes by asking ``has_trial`` and ``record`` before it works. The schema is documented in
``docs/run-directory.md``; any SQLite tool can read it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from rationem import progress
from rationem.errors import RunError, writing
from rationem.ledger.files import publish, refuse_links, write_text
from rationem.ledger.opening import (
    FINISHED,
    LEDGER,
    close_ledger,
    is_begun,
    is_finished,
    lock,
    log_ahead,
    open_ledger,
    read_only,
)
from rationem.ledger.phases import is_reached, read_record
from rationem.ledger.reading import (
    LikelihoodKey,
    read_examples,
    read_kept,
    read_level_logps,
    read_likelihoods,
    read_manifest,
    read_outcomes,
    read_predictions,
    read_trials,
)
from rationem.ledger.rows import INSERT_EXAMPLE, INSERT_TRIAL, SCHEMA_VERSION, example_row, prediction_row, trial_row
from rationem.ledger.seals import seal, unseal
from rationem.ledger.totals import state_counts
from rationem.types import Example, Kept, LevelScores, Likelihood, Outcome, Prediction, Purpose, State, Trial

__all__ = [
    "FINISHED",
    "Ledger",
    "confirm",
    "is_begun",
    "is_finished",
    "read_examples",
    "read_manifest",
    "read_only",
    "read_predictions",
    "write_text",
]


class Ledger:
    """The only writer of a run directory; one process at a time, held by a lock.

    Args:
        directory: created if missing.

    Raises:
        RunError: another process is active there, the ledger has another version, or it contains a link.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.checkpoints = directory / "checkpoints"
        self._file, self._ahead = directory / LEDGER, False
        refuse_links(directory, self.checkpoints)
        with writing(directory):
            try:
                self.checkpoints.mkdir(parents=True, exist_ok=True)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise RunError(f"Cannot make {directory}: {error.strerror}. Give another --output.") from error
            self._lock = lock(directory)
        try:
            with writing(self._file):
                self._db = open_ledger(directory)
        except BaseException:  # any exception, also an interrupt: the lock must not outlive the attempt; re-raised
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Close the file and release the lock."""
        close_ledger(self._db)
        os.close(self._lock)

    @property
    def db(self) -> sqlite3.Connection:
        """The open file, for readers."""
        return self._db

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write everything inside or nothing."""
        with writing(self._file):
            if not self._ahead:
                log_ahead(self._db)
                self._ahead = True
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:  # an interrupt, too, must leave nothing half-written; re-raised
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise

    # What the run is -------------------------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        """Return the record of the run: configuration, task, versions."""
        return read_manifest(self._db)

    def start(self, manifest: Mapping[str, Any], splits: Mapping[str, Sequence[Example]]) -> None:
        """Record a new run and its examples, or confirm that this run is the recorded one.

        Raises:
            RunError: the directory holds a run with another configuration or other data.
        """
        wanted = _as_recorded(manifest)
        found = self.manifest()
        if found:
            _compare(self.directory, wanted, found)
            return
        rows = [
            example_row(split, position, example)
            for split, examples in splits.items()
            for position, example in enumerate(examples)
        ]
        with self.transaction() as db:
            db.executemany(INSERT_EXAMPLE, rows)
            db.executemany(
                "INSERT INTO manifest VALUES (?,?)",
                [(key, json.dumps(value)) for key, value in wanted.items()],
            )
            seal(db)

    # Trials ----------------------------------------------------------------------------------------------------

    def outcomes(self, iteration: int, purpose: Purpose) -> dict[tuple[str, int], list[Outcome]]:
        """Return (example id, attempt) -> outcomes by retry, for one iteration."""
        return read_outcomes(self._db, iteration, purpose)

    def has_trial(self, iteration: int, purpose: Purpose, example_id: str, attempt: int, retry: int) -> bool:
        """Return whether a trial is written. A batch is one transaction: its first trial stands for all."""
        row = self._db.execute(
            "SELECT 1 FROM trials WHERE iteration=? AND purpose=? AND example_id=? AND attempt=? AND retry=?",
            (iteration, purpose, example_id, attempt, retry),
        ).fetchone()
        return row is not None

    def append(self, trials: Sequence[Trial], scores: Mapping[tuple[str, int], LevelScores] | None = None) -> None:
        """Write one batch of trials, with the level scores of those that have any, in one transaction."""
        with self.transaction() as db:
            db.executemany(INSERT_TRIAL, map(trial_row, trials))
            for iteration in {trial.iteration for trial in trials}:
                unseal(db, iteration, "trials", "scores")
            if scores:
                kind = trials[0]
                db.executemany(
                    "INSERT INTO scores VALUES (?,?,?,?,?,?)",
                    [
                        (kind.iteration, kind.purpose, example_id, attempt, json.dumps(list(one.logps)), one.whole)
                        for (example_id, attempt), one in scores.items()
                    ],
                )

    def trials(self, iteration: int, purpose: Purpose) -> Iterator[Trial]:
        """Iterate over the trials of one iteration, ordered by example, attempt and retry."""
        return read_trials(self._db, iteration, purpose)

    def level_logps(
        self, iteration: int, purpose: Purpose, *, whole: bool = False
    ) -> dict[str, dict[int, tuple[float, ...]]]:
        """Return example id -> attempt -> log pi(level | x, z), for the trials whose levels were scored."""
        return read_level_logps(self._db, iteration, purpose, whole=whole)

    def add_likelihoods(self, rows: Sequence[Likelihood]) -> None:
        """Write one batch of likelihoods, in one transaction."""
        with self.transaction() as db:
            db.executemany("INSERT INTO likelihoods VALUES (?,?,?,?,?,?,?,?)", map(astuple, rows))
            for iteration in {one.iteration for one in rows}:
                unseal(db, iteration, "likelihoods")

    def likelihoods(self, iteration: int, purpose: Purpose) -> dict[LikelihoodKey, Likelihood]:
        """Return (example id, drawn, attempt, under) -> likelihood, as computed in one iteration."""
        return read_likelihoods(self._db, iteration, purpose)

    # What an iteration concluded -------------------------------------------------------------------------------

    def record(self, iteration: int, phase: str) -> dict[str, Any] | None:
        """Return the record of a finished phase, or None if it is not finished."""
        return read_record(self._db, iteration, phase)

    def reached(self, phase: str) -> bool:
        """Return whether any iteration finished a phase, such as the run's last ones."""
        return is_reached(self._db, phase)

    def finish(
        self,
        iteration: int,
        phase: str,
        *,
        seconds: float,
        record: Mapping[str, Any] | None = None,
        kept: Sequence[Kept] = (),
        states: Mapping[str, State] | None = None,
        predictions: Mapping[str, Sequence[Prediction]] | None = None,
    ) -> None:
        """Write the results of a phase, and that it is finished, in one transaction."""
        with self.transaction() as db:
            db.executemany(
                "INSERT INTO kept VALUES (?,?,?,?,?,?)",
                [(iteration, n, one.example_id, one.attempt, one.weight, one.drawn) for n, one in enumerate(kept)],
            )
            db.executemany(
                "INSERT OR REPLACE INTO states VALUES (?,?,?)",
                [(iteration, example_id, state) for example_id, state in (states or {}).items()],
            )
            db.executemany(
                "INSERT INTO predictions VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                [
                    prediction_row(iteration, split, prediction)
                    for split, several in (predictions or {}).items()
                    for prediction in several
                ],
            )
            db.execute(
                "INSERT INTO iterations VALUES (?,?,?,?)",
                (iteration, phase, seconds, json.dumps(record or {})),
            )
            seal(db, iteration)
        progress.finished(iteration, phase, seconds)

    def adopt(self, other: sqlite3.Connection, iteration: int, phases: Sequence[str]) -> None:
        """Copy another run's measurements of the same weights, with all rows that they were computed from.

        Nothing happens if one of the phases is already here.

        Args:
            other: the ledger of a run with the same data, task, seed and base model.
            iteration: the iteration, such as 0 for runs that start from the same weights.
            phases: the phases to copy.
        """
        if any(self.record(iteration, phase) is not None for phase in phases):
            return
        with self.transaction() as db:
            for table in ("trials", "scores", "likelihoods", "predictions"):
                rows = other.execute(f"SELECT * FROM {table} WHERE iteration=?", (iteration,))
                marks = ",".join("?" * len(rows.description))
                db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            for phase in phases:
                row = other.execute("SELECT * FROM iterations WHERE iteration=? AND phase=?", (iteration, phase))
                db.executemany("INSERT INTO iterations VALUES (?,?,?,?)", row)
            seal(db, iteration)

    def kept(self, iteration: int) -> list[Kept]:
        """Return the kept set of an iteration, in its order."""
        return read_kept(self._db, iteration)

    def predictions(self, iteration: int, split: str) -> list[Prediction]:
        """Return the predictions of an iteration on a split, in the order of the examples."""
        return read_predictions(self._db, iteration, split)

    def state_counts(self, iteration: int) -> dict[str, int]:
        """Return state -> number of training examples that ended the iteration in it."""
        return state_counts(self._db, iteration)

    # Files -----------------------------------------------------------------------------------------------------

    def checkpoint(self, iteration: int) -> Path:
        """Return the path of the complete weights theta_k."""
        return self.checkpoints / f"iteration-{iteration:03d}"

    def iteration_of(self, theta: str) -> int | None:
        """Return k of a checkpoint of this run; None for any other."""
        place = Path(theta)
        return int(place.name.removeprefix("iteration-")) if place.parent == self.checkpoints else None

    def complete_checkpoints(self) -> list[Path]:
        """Return the directories of complete weights, in order, without unfinished ones."""
        return sorted(self.checkpoints.glob("iteration-*[0-9]"))

    @contextmanager
    def publish(self, target: Path) -> Iterator[Path]:
        """Yield an empty directory that takes the name ``target`` only when everything inside is written."""
        with publish(self.directory, target) as draft:
            yield draft

    def write_text(self, name: str, text: str) -> Path:
        """Write a file of the run directory whole or not at all."""
        return write_text(self.directory / name, text)


def confirm(directory: Path, asked: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Check, only reading, that a directory holds the requested run; do nothing if it holds none yet.

    Args:
        directory: the run directory.
        asked: found manifest -> requested manifest.

    Raises:
        RunError: it holds a run with another configuration or other data.
    """
    if is_begun(directory):
        with closing(read_only(directory)) as db:
            found = read_manifest(db)
        _compare(directory, _as_recorded(asked(found)), found)


def _as_recorded(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {**json.loads(json.dumps(manifest)), "schema_version": SCHEMA_VERSION}


def _compare(directory: Path, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    # The notes describe how the data was read, and their wording may change; data_sha256 identifies the data.
    compared = {*wanted, *found} - {"notes"}
    different = sorted(key for key in compared if wanted.get(key) != found.get(key))
    if different:
        raise RunError(_other_run(directory, different, wanted, found))


def _other_run(directory: Path, different: Iterable[str], wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if "refit" in found and "refit" not in wanted:
        origin = found["refit"]
        return (
            f"{directory} was made by rationem refit (of {origin['run']}, iteration {origin['iteration']}). Give that "
            f"command again to resume; rationem report {directory} shows it."
        )
    lines = [f"{directory} holds a run with other settings. Give another --output, or the settings of that run:"]
    for key in different:
        here, asked = found.get(key), wanted.get(key)
        if isinstance(here, dict) and isinstance(asked, dict):
            for name in sorted({*here, *asked}):
                if here.get(name) != asked.get(name):
                    lines.append(f"  {name}: {here.get(name)!r} in the run, {asked.get(name)!r} asked")
        else:
            lines.append(f"  {key}: {here!r} in the run, {asked!r} asked")
    return "\n".join(lines)
