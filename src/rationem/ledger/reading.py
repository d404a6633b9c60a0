"""A ledger's rows as the types of ``types.py``; counts are in ``totals``, single examples in ``one_example``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from rationem.ledger.rows import EXAMPLE_COLUMNS, PREDICTION_COLUMNS, read_example, read_prediction, read_trial
from rationem.types import Example, Kept, Likelihood, Outcome, Prediction, Purpose, Trial

#: (example id, iteration that drew it, attempt, proposal under whose prompt it is scored).
LikelihoodKey = tuple[str, int, int, str]


def read_manifest(db: sqlite3.Connection) -> dict[str, Any]:
    """Return the manifest as a dict."""
    return {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM manifest")}


def read_examples(db: sqlite3.Connection, split: str) -> tuple[Example, ...]:
    """Return the examples of a split, in order."""
    rows = db.execute(f"SELECT {EXAMPLE_COLUMNS} FROM examples WHERE split=? ORDER BY position", (split,))
    return tuple(map(read_example, rows))


def read_answers(db: sqlite3.Connection, split: str) -> dict[str, str]:
    """Return example id -> answer of a split, in order."""
    return dict(db.execute("SELECT id, answer FROM examples WHERE split=? ORDER BY position", (split,)))


def read_ids(db: sqlite3.Connection) -> list[str]:
    """Return the ids of all examples, by split and position."""
    return [one for (one,) in db.execute("SELECT id FROM examples ORDER BY split, position")]


def read_trials(db: sqlite3.Connection, iteration: int, purpose: Purpose) -> Iterator[Trial]:
    """Yield the trials of one iteration, ordered by example, attempt and retry."""
    for row in db.execute(
        "SELECT * FROM trials WHERE iteration=? AND purpose=? ORDER BY example_id, attempt, retry",
        (iteration, purpose),
    ):
        yield read_trial(row)


def read_kept(db: sqlite3.Connection, iteration: int) -> list[Kept]:
    """Return the kept set of an iteration, in its order."""
    rows = db.execute(
        "SELECT example_id, attempt, weight, drawn FROM kept WHERE iteration=? ORDER BY position", (iteration,)
    )
    return [Kept(*row) for row in rows]


def read_outcomes(db: sqlite3.Connection, iteration: int, purpose: Purpose) -> dict[tuple[str, int], list[Outcome]]:
    """Return (example id, attempt) -> outcomes by retry, for one iteration."""
    rows = db.execute(
        "SELECT example_id, attempt, outcome FROM trials WHERE iteration=? AND purpose=? ORDER BY retry",
        (iteration, purpose),
    )
    found: dict[tuple[str, int], list[Outcome]] = {}
    for example_id, attempt, outcome in rows:
        found.setdefault((example_id, attempt), []).append(Outcome(outcome))
    return found


def read_level_logps(
    db: sqlite3.Connection, iteration: int, purpose: Purpose, *, whole: bool = False
) -> dict[str, dict[int, tuple[float, ...]]]:
    """Return example id -> attempt -> log pi(level | x, z), for the trials whose levels were scored.

    Args:
        whole: only for those whose rationale ends at a token boundary, as evidence needs; see ``LevelScores``.
    """
    found: dict[str, dict[int, tuple[float, ...]]] = {}
    for example_id, attempt, logps in db.execute(
        "SELECT example_id, attempt, level_logps FROM scores WHERE iteration=? AND purpose=? AND whole>=?",
        (iteration, purpose, int(whole)),
    ):
        found.setdefault(example_id, {})[attempt] = tuple(json.loads(logps))
    return found


def read_closed(db: sqlite3.Connection, iteration: int, purpose: Purpose) -> set[tuple[str, int]]:
    """Return (example id, attempt) of the trials of one iteration that got their verdict line afterwards."""
    rows = db.execute(
        "SELECT example_id, attempt FROM trials WHERE iteration=? AND purpose=? AND closed>0", (iteration, purpose)
    )
    return set(rows)


def read_likelihoods(db: sqlite3.Connection, iteration: int, purpose: Purpose) -> dict[LikelihoodKey, Likelihood]:
    """Return (example id, drawn, attempt, under) -> likelihood, as computed in one iteration."""
    rows = db.execute("SELECT * FROM likelihoods WHERE iteration=? AND purpose=?", (iteration, purpose))
    found = (Likelihood(k, Purpose(asked), *rest) for k, asked, *rest in rows)
    return {(one.example_id, one.drawn, one.attempt, one.under): one for one in found}


def read_predictions(db: sqlite3.Connection, iteration: int, split: str) -> list[Prediction]:
    """Return the predictions of an iteration on a split, in the order of the examples."""
    rows = db.execute(
        f"SELECT {PREDICTION_COLUMNS} FROM predictions p "
        "JOIN examples e ON e.id = p.example_id WHERE iteration=? AND p.split=? ORDER BY e.position",
        (iteration, split),
    )
    return list(map(read_prediction, rows))
