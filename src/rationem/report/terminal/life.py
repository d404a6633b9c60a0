"""One example's whole life, read from a ledger: where it came from, every draw, what was kept, what was predicted.

Each query asks by the tables' primary keys, so that it is as fast in a ledger of a million trials.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem.errors import ConfigError, RunError, closest
from rationem.evaluation.diagnostics.hints import wrong_hint
from rationem.evaluation.evaluate import SHOTS
from rationem.ledger import read_examples, read_manifest, read_only
from rationem.ledger.rows import read_trial
from rationem.report.words import words
from rationem.sampling.hint_leakage import PHRASES
from rationem.tasks import from_description
from rationem.tasks.kinds import Kind, described
from rationem.tasks.protocol import Task
from rationem.tasks.words import Words
from rationem.types import Example, Kept, Prediction, Purpose, Trial

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Chapter:
    """What became of an example in one iteration.

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
        phrases: what speaks of the hint; none where the run does not look for it.
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
        example_id: as the ledger has it.
        iteration: this one only.

    Raises:
        RunError: there is no run, example or iteration.
    """
    with closing(read_only(directory)) as db:
        db.execute("BEGIN")  # one snapshot for all queries
        manifest = read_manifest(db)
        example, split = _example(db, directory, example_id)
        known = iterations(db)
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
            tuple(_chapter(db, example_id, k) for k in asked),
        )


def iterations(db: sqlite3.Connection) -> tuple[int, ...]:
    """Return the iterations that a ledger knows of, those begun among them."""
    # One aggregate each: SQLite then reads the ends of the index, and not the whole table.
    ends = [db.execute(f"SELECT {which}(iteration) FROM trials").fetchone()[0] for which in ("MIN", "MAX")]
    drawn = () if ends[0] is None else range(ends[0], ends[1] + 1)
    done = [k for (k,) in db.execute("SELECT DISTINCT iteration FROM iterations")]
    return tuple(sorted({*drawn, *done}))


def no_iteration(directory: Path, iteration: int, known: Sequence[int]) -> str:
    """Return the sentence on an iteration that a run has not."""
    there = f"it has {', '.join(map(str, known))}" if known else "it has none yet"
    return f"{directory} has no iteration {iteration}: {there}. Give another --iteration, or leave it out for all."


def _example(db: sqlite3.Connection, directory: Path, example_id: str) -> tuple[Example, str]:
    row = db.execute(
        "SELECT id, fields, answer, grp, ratings, source, elided, weight, split FROM examples WHERE id=?", (example_id,)
    ).fetchone()
    if row is None:
        raise RunError(_unknown(db, directory, example_id))
    found, fields, answer, group, ratings, *rest, split = row
    return Example(found, json.loads(fields), answer, group, tuple(json.loads(ratings)), *rest), split


def _wrong(db: sqlite3.Connection, example: Example, split: str, kind: Kind, seed: int) -> str | None:
    """Return the wrong hint of an example's probes, as the run chose it; None where it was shown none."""
    probed = "SELECT 1 FROM trials WHERE iteration=? AND purpose=? AND example_id=?"
    if split == "train" or not any(
        db.execute(probed, (k, Purpose.PROBE, example.id)).fetchone() for k in iterations(db)
    ):
        return None
    return wrong_hint(example, kind, seed, read_examples(db, split))


def _unknown(db: sqlite3.Connection, directory: Path, example_id: str) -> str:
    sizes = db.execute("SELECT split, COUNT(*) FROM examples GROUP BY split ORDER BY MIN(rowid)").fetchall()
    ids = [one for (one,) in db.execute("SELECT id FROM examples ORDER BY split, position")]
    # Of an item with several ratings, criteria or orders every row has an id of its own.
    parts = [
        one for one in ids if example_id and one.startswith((f"{example_id}#", f"{example_id}/", f"{example_id}~"))
    ]
    near = f" There are {', '.join(map(repr, parts[:_LISTED]))}." if parts else closest(example_id, ids)
    told = ", ".join(f"{count} {split}" for split, count in sizes)
    return f"{directory} has no example {example_id!r}.{near} It holds {len(ids)} examples ({told})."


def _task(manifest: Mapping[str, Any]) -> tuple[Task | None, str]:
    try:
        return from_description(manifest["task"]), ""
    except ConfigError as error:
        return None, str(error)


def _chapter(db: sqlite3.Connection, example_id: str, k: int) -> Chapter:
    where = (k, example_id)
    kept = db.execute("SELECT attempt, weight, drawn FROM kept WHERE iteration=? AND example_id=?", where)
    state = db.execute("SELECT state FROM states WHERE iteration=? AND example_id=?", where).fetchone()
    settled = db.execute("SELECT 1 FROM iterations WHERE iteration=? AND phase='e_step'", (k,)).fetchone()
    return Chapter(
        k,
        tuple(_trials(db, example_id, k)),
        {
            (purpose, attempt): tuple(json.loads(logps))
            for purpose in Purpose
            for attempt, logps in db.execute(
                "SELECT attempt, level_logps FROM scores WHERE iteration=? AND purpose=? AND example_id=?",
                (k, purpose, example_id),
            )
        },
        tuple(Kept(example_id, *row) for row in kept),
        state[0] if state else None,
        dict(_predictions(db, example_id, k)),
        settled is not None,
    )


def _trials(db: sqlite3.Connection, example_id: str, k: int) -> Iterator[Trial]:
    for purpose in Purpose:
        for row in db.execute(
            "SELECT * FROM trials WHERE iteration=? AND purpose=? AND example_id=? ORDER BY attempt, retry",
            (k, purpose, example_id),
        ):
            yield read_trial(row)


def _predictions(db: sqlite3.Connection, example_id: str, k: int) -> Iterator[tuple[str, Prediction]]:
    for split in ("validation", "test", SHOTS):
        row = db.execute(
            "SELECT predicted, probabilities, raw, draws, unparsed, too_long, reward, draw_reward FROM predictions "
            "WHERE iteration=? AND split=? AND example_id=?",
            (k, split, example_id),
        ).fetchone()
        if row is not None:
            predicted, probabilities, raw, draws, unparsed, too_long, *rewards = row
            shares = tuple(json.loads(probabilities))
            yield split, Prediction(example_id, predicted, shares, raw, draws, unparsed, bool(too_long), *rewards)
