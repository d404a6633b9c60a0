"""One example's whole life, read from a ledger: where it came from, every draw, what was kept, what was predicted."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem.errors import ConfigError, RunError, closest
from rationem.evaluation.diagnostics.hints import wrong_hint
from rationem.evaluation.evaluate import SHOTS
from rationem.ledger import read_examples, read_manifest, read_only
from rationem.ledger.one_example import (
    find_example,
    has_trials,
    kept_of,
    level_logps_of,
    prediction_of,
    read_keys,
    state_of,
    trials_of,
)
from rationem.ledger.phases import begin_snapshot, known_iterations, read_seconds
from rationem.ledger.reading import read_ids
from rationem.ledger.totals import split_counts
from rationem.report.words import words
from rationem.sampling.hint_leakage import PHRASES
from rationem.tasks import from_description
from rationem.tasks.built_in import described
from rationem.tasks.kinds import Kind
from rationem.tasks.protocol import Task
from rationem.tasks.words import Words
from rationem.types import Example, Kept, Prediction, Purpose, Trial

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Chapter:
    """An example's state in one iteration.

    Args:
        iteration: k; of a refit 0 and below for what the old run drew before.
        trials: all of them, by purpose, attempt and retry.
        scored: (purpose, attempt) -> log pi(level | x, z) of every level.
        kept: what the M-step trained on.
        state: how it ended; None where that is not settled, or it is no training example.
        predictions: split -> what the draws say together.
        settled: whether the E-step is finished.
    """

    iteration: int
    trials: tuple[Trial, ...]
    scored: Mapping[tuple[Purpose, int], tuple[float, ...]]
    kept: tuple[Kept, ...]
    state: str | None
    predictions: Mapping[str, Prediction]
    settled: bool

    @property
    def empty(self) -> bool:
        """Whether nothing is known of the example in this iteration."""
        return not (self.trials or self.kept or self.state or self.predictions)


@dataclass(frozen=True, slots=True)
class Life:
    """All that a ledger holds of one example.

    Args:
        split: the set that it belongs to.
        kind: of the run's task.
        called: what its label and what a draw says are called.
        wrong: what a probe showed it; None of a training example.
        task: makes its prompts; None where the run's task is none that can be made from its description.
        taskless: why there is none.
        phrases: phrases that mention the hint; none where the run does not look for it.
        seed: the run's.
        refit: what the manifest says of a refit; None of a run that drew.
        chapters: iterations in order.
    """

    example: Example
    split: str
    kind: Kind
    called: Words
    wrong: str | None
    task: Task | None
    taskless: str
    phrases: tuple[str, ...]
    seed: int
    refit: Mapping[str, Any] | None
    chapters: tuple[Chapter, ...]


def read_life(directory: Path, example_id: str, iteration: int | None = None) -> Life:
    """Return an example's life, also while the run is at work: all of it as it stood at one moment.

    Args:
        directory: the run.
        example_id: its key, or the user's own id of an item that is one example.
        iteration: this one only.

    Raises:
        RunError: there is no run, example or iteration.
    """
    with closing(read_only(directory)) as db:
        begin_snapshot(db)
        manifest = read_manifest(db)
        found = find_example(db, example_id)
        if found is None:
            raise RunError(_unknown(db, directory, example_id))
        example, split = found
        known = known_iterations(db)
        if iteration is not None and iteration not in known:
            raise RunError(no_iteration(directory, iteration, known))
        asked = known if iteration is None else (iteration,)
        task, why = _task(manifest)
        config, kind = manifest["config"], described(manifest["task"])
        told = {"config": config, "scale": manifest["task"]["scale"], "reward": manifest["task"].get("reward")}
        return Life(
            example,
            split,
            kind,
            words(told),
            _wrong(db, example, split, kind, int(config.get("seed", 0))),
            task,
            why,
            () if config.get("leak_filter") == "off" else tuple(config.get("leak_phrases") or PHRASES),
            int(config.get("seed", 0)),
            manifest.get("refit"),
            tuple(_chapter(db, example.id, k) for k in asked),
        )


def no_iteration(directory: Path, iteration: int, known: Sequence[int]) -> str:
    """Return the sentence on an iteration that a run has not."""
    there = f"it has {', '.join(map(str, known))}" if known else "it has none yet"
    return f"{directory} has no iteration {iteration}: {there}. Give another --iteration, or leave it out for all."


def _wrong(db: sqlite3.Connection, example: Example, split: str, kind: Kind, seed: int) -> str | None:
    """Return the wrong hint of an example's probes, as the run chose it; None where it was shown none."""
    if split == "train" or not has_trials(db, known_iterations(db), Purpose.PROBE, example.id):
        return None
    return wrong_hint(example, kind, seed, read_examples(db, split))


def _unknown(db: sqlite3.Connection, directory: Path, example_id: str) -> str:
    sizes, ids = split_counts(db), read_ids(db)
    # Of an item with several ratings, criteria or orders every example has a key of its own.
    parts = read_keys(db, example_id)
    near = f" There are {', '.join(map(repr, parts[:_LISTED]))}." if parts else closest(example_id, ids)
    near = near or (f" Its ids are like {min(ids)!r}." if ids else "")
    told = ", ".join(f"{count} {split}" for split, count in sizes.items())
    return f"{directory} has no example {example_id!r}.{near} It holds {len(ids)} examples ({told})."


def _task(manifest: Mapping[str, Any]) -> tuple[Task | None, str]:
    try:
        return from_description(manifest["task"]), ""
    except ConfigError as error:
        return None, str(error)


def _chapter(db: sqlite3.Connection, example_id: str, k: int) -> Chapter:
    predictions = {split: prediction_of(db, k, split, example_id) for split in ("validation", "test", SHOTS)}
    return Chapter(
        k,
        tuple(trials_of(db, k, example_id)),
        level_logps_of(db, k, example_id),
        kept_of(db, k, example_id),
        state_of(db, k, example_id),
        {split: prediction for split, prediction in predictions.items() if prediction is not None},
        "e_step" in read_seconds(db, k),
    )
