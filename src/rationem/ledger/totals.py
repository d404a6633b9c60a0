"""Counts, sums and means over a ledger's rows, computed by SQLite: no row is read into Python for them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from rationem.types import Outcome, Purpose, State

#: SQL that selects generated trials, not given answers and enumerated posteriors.
_GENERATED = "(proposal LIKE 'forward%' OR proposal LIKE 'rationalize%')"
#: SQL that selects what the engine served for training in one iteration, and its parameters.
_SERVED = "iteration=? AND purpose=? AND outcome!=?"


@dataclass(frozen=True, slots=True)
class DrawTotals:
    """The amount drawn for training.

    Args:
        trials: number of drafts, including engine failures.
        generated_tokens: tokens of their completions.
        prompt_tokens: tokens of their prompts.
        encoded: completions for which the engine returned text alone.
        closed: completions that got their verdict line afterwards.
    """

    trials: int
    generated_tokens: int
    prompt_tokens: int
    encoded: int
    closed: int


def training_draws(db: sqlite3.Connection, iteration: int, *, so_far: bool = False) -> DrawTotals:
    """Return the amount that an iteration drew for training; with ``so_far``, including all before it."""
    row = db.execute(
        "SELECT COUNT(*), COALESCE(SUM(new_tokens), 0), COALESCE(SUM(prompt_tokens), 0), COALESCE(SUM(encoded), 0), "
        "COALESCE(SUM(closed > 0), 0) "
        f"FROM trials WHERE iteration{'<=' if so_far else '='}? AND purpose=? AND {_GENERATED}",
        (iteration, Purpose.TRAIN),
    ).fetchone()
    return DrawTotals(*row)


def demonstrated_draws(db: sqlite3.Connection, iteration: int) -> tuple[int, float | None]:
    """Return the number of an iteration's drafts for training that saw demonstrations, and how many each saw (mean)."""
    drafts, mean = db.execute(
        "SELECT COUNT(*), AVG(json_array_length(demos)) FROM trials WHERE iteration=? AND purpose=? AND demos!='[]'",
        (iteration, Purpose.TRAIN),
    ).fetchone()
    return drafts, mean


def shown_demonstrations(db: sqlite3.Connection, iteration: int) -> dict[str, int]:
    """Return demonstration -> number of an iteration's drafts for training that saw it, the most shown first."""
    rows = db.execute(
        "SELECT value, COUNT(*) FROM trials, json_each(trials.demos) WHERE iteration=? AND purpose=? "
        "GROUP BY value ORDER BY COUNT(*) DESC, value",
        (iteration, Purpose.TRAIN),
    )
    return dict(rows)


def scored_tokens(db: sqlite3.Connection, iteration: int) -> int:
    """Return the number of completion tokens that an iteration's E-step scored under a prompt for their weights."""
    # At most one retry of an attempt was not failed by the engine, so no completion is counted twice.
    (scored,) = db.execute(
        "SELECT COALESCE(SUM(t.new_tokens), 0) FROM likelihoods l JOIN trials t ON t.iteration=l.drawn "
        "AND t.purpose=l.purpose AND t.example_id=l.example_id AND t.attempt=l.attempt "
        "WHERE l.iteration=? AND l.purpose=? AND t.outcome!=?",
        (iteration, Purpose.TRAIN, Outcome.ENGINE_FAILED),
    ).fetchone()
    return int(scored)


def outcome_counts(db: sqlite3.Connection, iteration: int) -> dict[str, int]:
    """Return outcome -> number of training trials of an iteration."""
    rows = db.execute(
        "SELECT outcome, COUNT(*) FROM trials WHERE iteration=? AND purpose=? GROUP BY outcome ORDER BY outcome",
        (iteration, Purpose.TRAIN),
    )
    return dict(rows)


def state_counts(db: sqlite3.Connection, iteration: int) -> dict[str, int]:
    """Return state -> number of training examples that ended the iteration in it."""
    rows = db.execute(
        "SELECT state, COUNT(*) FROM states WHERE iteration=? GROUP BY state ORDER BY state", (iteration,)
    )
    return dict(rows)


def split_counts(db: sqlite3.Connection) -> dict[str, int]:
    """Return split -> number of its examples, in the order in which they were written."""
    return dict(db.execute("SELECT split, COUNT(*) FROM examples GROUP BY split ORDER BY MIN(rowid)"))


def tried_counts(db: sqlite3.Connection, iteration: int) -> tuple[int, int]:
    """Return the number of training examples that an iteration has drawn for so far, and the number of their trials."""
    examples, trials = db.execute(
        "SELECT COUNT(DISTINCT example_id), COUNT(*) FROM trials WHERE iteration=? AND purpose=?",
        (iteration, Purpose.TRAIN),
    ).fetchone()
    return examples, trials


def kept_counts(db: sqlite3.Connection, iteration: int) -> tuple[int, int]:
    """Return the number of samples that an iteration kept, and of their examples."""
    samples, examples = db.execute(
        "SELECT COUNT(*), COUNT(DISTINCT example_id) FROM kept WHERE iteration=?", (iteration,)
    ).fetchone()
    return samples, examples


def kept_ids(db: sqlite3.Connection, first: int, last: int) -> set[str]:
    """Return the examples with a kept sample in iterations ``first`` to ``last``."""
    rows = db.execute("SELECT DISTINCT example_id FROM kept WHERE iteration BETWEEN ? AND ?", (first, last))
    return {name for (name,) in rows}


def ids_in_state(db: sqlite3.Connection, iteration: int, state: State) -> set[str]:
    """Return the training examples that ended the iteration in a state."""
    rows = db.execute("SELECT example_id FROM states WHERE iteration=? AND state=?", (iteration, state))
    return {name for (name,) in rows}


def first_attempts_accepted(db: sqlite3.Connection, iteration: int) -> float | None:
    """Return the share of first attempts that were accepted when first served; None if nothing was tried."""
    (share,) = db.execute(
        "SELECT AVG(outcome=?) FROM trials WHERE iteration=? AND purpose=? AND attempt=0 AND retry=0",
        (Outcome.ACCEPTED, iteration, Purpose.TRAIN),
    ).fetchone()
    return None if share is None else float(share)


def first_attempts(db: sqlite3.Connection, iteration: int) -> dict[str, int]:
    """Return training example -> 1 if its first served attempt was accepted, otherwise 0."""
    rows = db.execute(
        f"SELECT example_id, outcome=? FROM trials WHERE {_SERVED} AND attempt=0",
        (Outcome.ACCEPTED, iteration, Purpose.TRAIN, Outcome.ENGINE_FAILED),
    )
    return dict(rows)


def served_draws(db: sqlite3.Connection, iteration: int) -> dict[str, int]:
    """Return training example -> number of drafts that the engine served in an iteration."""
    rows = db.execute(
        f"SELECT example_id, COUNT(*) FROM trials WHERE {_SERVED} AND {_GENERATED} GROUP BY example_id",
        (iteration, Purpose.TRAIN, Outcome.ENGINE_FAILED),
    )
    return dict(rows)


def accepted_shares(db: sqlite3.Connection, last: int) -> dict[str, float]:
    """Return training example -> share of iterations 1 to ``last`` that accepted its first served attempt."""
    rows = db.execute(
        "SELECT example_id, AVG(outcome=?) FROM trials WHERE purpose=? AND attempt=0 AND outcome!=? "
        "AND iteration BETWEEN 1 AND ? GROUP BY example_id",
        (Outcome.ACCEPTED, Purpose.TRAIN, Outcome.ENGINE_FAILED, last),
    )
    return dict(rows)


def kept_shares(db: sqlite3.Connection, last: int) -> dict[str, float]:
    """Return training example -> share of iterations 1 to ``last`` that kept it."""
    rows = db.execute(
        "SELECT example_id, AVG(state=?) FROM states WHERE iteration BETWEEN 1 AND ? GROUP BY example_id",
        (State.KEPT, last),
    )
    return dict(rows)


def mean_completion_tokens(db: sqlite3.Connection, iteration: int, split: str) -> dict[str, float]:
    """Return example of a split -> mean tokens of its evaluation drafts that the engine served."""
    rows = db.execute(
        "SELECT example_id, AVG(new_tokens) FROM trials JOIN examples ON id = example_id WHERE iteration=? AND "
        "purpose=? AND split=? AND outcome!=? GROUP BY example_id",
        (iteration, Purpose.EVAL, split, Outcome.ENGINE_FAILED),
    )
    return dict(rows)
