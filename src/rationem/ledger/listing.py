"""Many trials at once without their tokens, for pages that list them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from rationem.types import Outcome, Purpose

#: Iteration, purpose, example id, attempt, retry: a trial's primary key.
TrialKey = tuple[int, str, str, int, int]


class ListedTrial(NamedTuple):
    """A trial as a page shows it; ``position`` is its example's place in the split, ``reward`` is rounded."""

    position: int
    key: TrialKey
    proposal: str
    new_tokens: int
    prompt_tokens: int
    text: str
    predicted: str | None
    marker_end: int | None
    outcome: str
    reward: float


class EvaluationDraw(NamedTuple):
    """One evaluation draw beside its example's answer."""

    new_tokens: int
    predicted: str | None
    answer: str
    outcome: str
    reward: float


def trial_sizes(db: sqlite3.Connection, split: str, elsewhere: tuple[int, int]) -> list[tuple[TrialKey, str, int]]:
    """Return key, outcome and characters of trials for training, of the control, and for evaluating a split.

    Args:
        elsewhere: the two iterations whose evaluation of other splits is listed too.
    """
    found = db.execute(
        "SELECT iteration, purpose, example_id, attempt, retry, outcome, LENGTH(text) FROM trials "
        "JOIN examples ON id = example_id WHERE purpose IN (?, ?) OR (purpose=? AND (split=? OR iteration IN (?, ?)))",
        (Purpose.TRAIN, Purpose.CONTROL, Purpose.EVAL, split, *elsewhere),
    )
    return [((k, purpose, x, attempt, retry), outcome, size) for k, purpose, x, attempt, retry, outcome, size in found]


def is_evaluated(db: sqlite3.Connection, split: str) -> bool:
    """Say whether any evaluation draw is of a split."""
    row = db.execute(
        "SELECT 1 FROM trials JOIN examples ON id = example_id WHERE purpose=? AND split=? LIMIT 1",
        (Purpose.EVAL, split),
    ).fetchone()
    return row is not None


def input_sizes(db: sqlite3.Connection) -> dict[str, int]:
    """Return example id -> characters of its inputs."""
    return dict(db.execute("SELECT id, LENGTH(fields) FROM examples"))


def listed_trials(db: sqlite3.Connection, keys: frozenset[TrialKey]) -> list[ListedTrial]:
    """Return the trials of these keys, in no order."""
    found = db.execute(
        "SELECT position, iteration, purpose, example_id, attempt, retry, proposal, new_tokens, prompt_tokens, text, "
        "predicted, marker_end, outcome, ROUND(reward, 4) FROM trials JOIN examples ON id = example_id"
    )
    return [ListedTrial(row[0], row[1:6], *row[6:]) for row in found if row[1:6] in keys]


def evaluation_draws(db: sqlite3.Connection, iteration: int, split: str) -> Iterator[EvaluationDraw]:
    """Yield the evaluation draws on a split that the engine served, by example and attempt."""
    rows: Iterator[tuple[Any, ...]] = db.execute(
        "SELECT new_tokens, predicted, answer, outcome, reward FROM trials JOIN examples ON id = example_id "
        "WHERE iteration=? AND purpose=? AND split=? AND outcome!=? ORDER BY position, attempt",
        (iteration, Purpose.EVAL, split, Outcome.ENGINE_FAILED),
    )
    return map(EvaluationDraw._make, rows)
