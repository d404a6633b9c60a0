"""The rows of a ledger for one example.

Every query of trials uses the primary key, so that it is as fast in a ledger of a million trials.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator

from rationem.ledger.rows import EXAMPLE_COLUMNS, PREDICTION_COLUMNS, read_example, read_prediction, read_trial
from rationem.seeds import example_key
from rationem.types import Example, Kept, Outcome, Prediction, Purpose, Trial


def find_example(db: sqlite3.Connection, name: str) -> tuple[Example, str] | None:
    """Return an example and its split by its key, or by the user's id of its item; None if there is none.

    The id of an item with several examples means the plain one: all ratings, in the given order.
    """
    keys, plain = read_keys(db, name), example_key(name)
    for key in (name, *(key for key in keys if key == plain or len(keys) == 1)):
        row = db.execute(f"SELECT {EXAMPLE_COLUMNS}, split FROM examples WHERE id=?", (key,)).fetchone()
        if row is not None:
            return read_example(row[:-1]), row[-1]
    return None


def read_keys(db: sqlite3.Connection, item: str) -> list[str]:
    """Return the keys of an item's examples: its ratings, criteria and orders."""
    return [key for (key,) in db.execute("SELECT id FROM examples WHERE item=? ORDER BY split, position", (item,))]


def trials_of(db: sqlite3.Connection, iteration: int, example_id: str) -> Iterator[Trial]:
    """Yield an example's trials in one iteration, by purpose, attempt and retry."""
    for purpose in Purpose:
        for row in db.execute(
            "SELECT * FROM trials WHERE iteration=? AND purpose=? AND example_id=? ORDER BY attempt, retry",
            (iteration, purpose, example_id),
        ):
            yield read_trial(row)


def has_trials(db: sqlite3.Connection, iterations: Iterable[int], purpose: Purpose, example_id: str) -> bool:
    """Return whether an example has a trial of a purpose in one of the iterations."""
    asked = "SELECT 1 FROM trials WHERE iteration=? AND purpose=? AND example_id=?"
    return any(db.execute(asked, (k, purpose, example_id)).fetchone() for k in iterations)


def level_logps_of(
    db: sqlite3.Connection, iteration: int, example_id: str
) -> dict[tuple[Purpose, int], tuple[float, ...]]:
    """Return (purpose, attempt) -> log pi(level | x, z) of every level, for an example in one iteration."""
    asked = "SELECT attempt, level_logps FROM scores WHERE iteration=? AND purpose=? AND example_id=?"
    return {
        (purpose, attempt): tuple(json.loads(logps))
        for purpose in Purpose
        for attempt, logps in db.execute(asked, (iteration, purpose, example_id))
    }


def kept_of(db: sqlite3.Connection, iteration: int, example_id: str) -> tuple[Kept, ...]:
    """Return the kept samples of an example in an iteration."""
    rows = db.execute(
        "SELECT attempt, weight, drawn FROM kept WHERE iteration=? AND example_id=?", (iteration, example_id)
    )
    return tuple(Kept(example_id, *row) for row in rows)


def state_of(db: sqlite3.Connection, iteration: int, example_id: str) -> str | None:
    """Return the state in which a training example ended an iteration; None if undecided, or not a training example."""
    row = db.execute("SELECT state FROM states WHERE iteration=? AND example_id=?", (iteration, example_id)).fetchone()
    return None if row is None else str(row[0])


def prediction_of(db: sqlite3.Connection, iteration: int, split: str, example_id: str) -> Prediction | None:
    """Return the combined prediction of the drafts for an example; None if it was not evaluated."""
    row = db.execute(
        f"SELECT {PREDICTION_COLUMNS} FROM predictions WHERE iteration=? AND split=? AND example_id=?",
        (iteration, split, example_id),
    ).fetchone()
    return None if row is None else read_prediction(row)


def first_trial(db: sqlite3.Connection, iteration: int, outcome: Outcome) -> Trial | None:
    """Return a training trial of an iteration with an outcome, from the first example that has one."""
    row = db.execute(
        "SELECT * FROM trials WHERE iteration=? AND purpose=? AND outcome=? ORDER BY example_id LIMIT 1",
        (iteration, Purpose.TRAIN, outcome),
    ).fetchone()
    return None if row is None else read_trial(row)


def typical_draw(db: sqlite3.Connection, iteration: int, split: str, example_id: str) -> tuple[str, str] | None:
    """Return the text of the first evaluation draft that agrees with the combined prediction, and that prediction."""
    found: tuple[str, str] | None = db.execute(
        "SELECT t.text, p.predicted FROM trials t JOIN predictions p USING (iteration, example_id) WHERE t.iteration=? "
        "AND t.purpose=? AND t.example_id=? AND t.predicted = p.predicted AND p.split=? ORDER BY t.attempt",
        (iteration, Purpose.EVAL, example_id, split),
    ).fetchone()
    return found
