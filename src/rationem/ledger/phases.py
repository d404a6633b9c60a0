"""The iterations and phases of a ledger, and the record of each phase."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from rationem.types import Purpose


def begin_snapshot(db: sqlite3.Connection) -> None:
    """Let all later reads of this connection see one snapshot, also while the run is active."""
    db.execute("BEGIN")


def is_reached(db: sqlite3.Connection, phase: str) -> bool:
    """Return whether any iteration finished a phase, such as the run's last ones."""
    return db.execute("SELECT 1 FROM iterations WHERE phase=?", (phase,)).fetchone() is not None


def finished_iterations(db: sqlite3.Connection, phase: str) -> list[int]:
    """Return the iterations that finished a phase, in order."""
    return [k for (k,) in db.execute("SELECT iteration FROM iterations WHERE phase=? ORDER BY iteration", (phase,))]


def recorded_iterations(db: sqlite3.Connection) -> list[int]:
    """Return the iterations that finished any phase, in order."""
    return [k for (k,) in db.execute("SELECT DISTINCT iteration FROM iterations ORDER BY iteration")]


def is_drawn(db: sqlite3.Connection, iteration: int, purpose: Purpose) -> bool:
    """Return whether an iteration has any trial of a purpose."""
    asked = "SELECT 1 FROM trials WHERE iteration=? AND purpose=? LIMIT 1"
    return db.execute(asked, (iteration, purpose)).fetchone() is not None


def known_iterations(db: sqlite3.Connection) -> tuple[int, ...]:
    """Return the iterations that finished a phase or have begun to draw, in order."""
    # One aggregate each: SQLite then reads the ends of the index, and not the whole table.
    first, last = (db.execute(f"SELECT {end}(iteration) FROM trials").fetchone()[0] for end in ("MIN", "MAX"))
    drawn = () if first is None else range(first, last + 1)
    return tuple(sorted({*drawn, *recorded_iterations(db)}))


def read_record(db: sqlite3.Connection, iteration: int, phase: str) -> dict[str, Any] | None:
    """Return the record of a finished phase, or None if it is not finished."""
    row = db.execute("SELECT record FROM iterations WHERE iteration=? AND phase=?", (iteration, phase)).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def read_records(db: sqlite3.Connection, phase: str) -> dict[int, dict[str, Any]]:
    """Return iteration -> record of a finished phase, by iteration."""
    rows = db.execute("SELECT iteration, record FROM iterations WHERE phase=? ORDER BY iteration", (phase,))
    return {k: json.loads(record) for k, record in rows}


def read_seconds(db: sqlite3.Connection, iteration: int) -> dict[str, float]:
    """Return finished phase -> its seconds, of one iteration."""
    return dict(db.execute("SELECT phase, seconds FROM iterations WHERE iteration=?", (iteration,)))


def sum_records(db: sqlite3.Connection, name: str, phases: Sequence[str], last: int) -> tuple[float, float]:
    """Return the sums of one recorded number and of the seconds, over phases of all iterations up to ``last``."""
    number, seconds = db.execute(
        "SELECT COALESCE(SUM(json_extract(record, '$.' || ?)), 0), COALESCE(SUM(seconds), 0) FROM iterations "
        f"WHERE phase IN ({','.join('?' * len(phases))}) AND iteration<=?",
        (name, *phases, last),
    ).fetchone()
    return number, seconds
