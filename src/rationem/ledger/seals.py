"""Seals: a hash of every table's rows of an iteration, written in the transaction that finishes a phase.

They are read only if a command fails on a run: they distinguish a damaged or edited ledger from a bug of ours; see
``damage``.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection

#: The part for manifest and examples, which belong to no iteration.
RUN = -1
_OF_RUN = ("manifest", "examples")
_OF_ITERATION = ("trials", "scores", "kept", "likelihoods", "states", "predictions", "iterations")
#: The number of leading columns that identify a row of each table.
KEYS = {
    "manifest": 1,
    "examples": 1,
    "trials": 5,
    "scores": 4,
    "kept": 4,
    "likelihoods": 6,
    "states": 2,
    "predictions": 3,
    "iterations": 2,
}
#: A seal's part: the table, and the iteration of its rows, or ``RUN``.
Part = tuple[str, int]


def seal(db: sqlite3.Connection, iteration: int = RUN) -> None:
    """Write the hashes of an iteration's current rows, inside the caller's transaction."""
    write_seals(db, [(table, iteration) for table in (_OF_RUN if iteration == RUN else _OF_ITERATION)])


def write_seals(db: sqlite3.Connection, parts: Collection[Part]) -> None:
    """Write the hashes of these parts' current rows, inside the caller's transaction."""
    rows = [(table, iteration, row_hash(db, table, iteration)) for table, iteration in parts]
    if rows:
        db.executemany("INSERT OR REPLACE INTO seals VALUES (?,?,?)", rows)


def unseal(db: sqlite3.Connection, iteration: int, *tables: str) -> None:
    """Remove the hashes of tables that get further rows before the next phase is finished."""
    db.executemany("DELETE FROM seals WHERE part=? AND iteration=?", [(table, iteration) for table in tables])


def read_seals(db: sqlite3.Connection) -> dict[Part, str]:
    """Return the sealed parts, in order, and their hashes."""
    rows = db.execute("SELECT part, iteration, sha256 FROM seals ORDER BY iteration, part")
    return {(table, iteration): sha256 for table, iteration, sha256 in rows}


def row_hash(db: sqlite3.Connection, table: str, iteration: int) -> str:
    """Return the hash of a table's rows, for one iteration or for the run."""
    where, values = ("", ()) if iteration == RUN else (" WHERE iteration=?", (iteration,))
    digest, order = hashlib.sha256(), ", ".join(str(n) for n in range(1, KEYS[table] + 1))
    for row in db.execute(f"SELECT * FROM {table}{where} ORDER BY {order}", values):
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
