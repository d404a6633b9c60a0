"""Ledgers of versions 5 and 6 become ledgers of this version, step by step.

Version 7 has more columns (:data:`ADDED`). Version 6 has columns for what was appended to the users' ids before:
version 5 kept one id per example: the user's, "test:" before it where the training file had the same, "/criterion"
behind it, "#2" for the second rating and "~swapped" or "~turned2" for another order. Only this module
parses them. Ids of users that look the same are distinguished by the run's other examples and its settings; the
rows of such an example get its new key.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rationem.ledger.fingerprints import data_sha256, splits_sha256
from rationem.ledger.rows import INSERT_EXAMPLE, SCHEMA, SCHEMA_VERSION, TRIAL_COLUMNS, example_row
from rationem.ledger.seals import KEYS, Part, read_seals, row_hash, write_seals
from rationem.tasks.pairs import candidates
from rationem.types import Example

#: The oldest version that can be read.
OLDEST = 5
#: Columns that version 7 added to the trials, in their order, and their values in older rows.
ADDED = {"demos": "TEXT NOT NULL DEFAULT '[]'", "closed": "INTEGER NOT NULL DEFAULT 0"}
#: Table -> the columns that it had.
OLDER_COLUMNS = {
    "examples": ["id", "position", "split", "grp", "fields", "answer", "ratings", "source", "elided", "weight"],
    "trials": [name for name in TRIAL_COLUMNS if name not in ADDED],
}
_HAVE_EXAMPLES = ("trials", "scores", "kept", "likelihoods", "states", "predictions")
_TURNED = re.compile(r"(.*)~(?:swapped|turned([1-9]\d?))", re.DOTALL)
_RATED = re.compile(r"(.*)#([1-9]\d*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Row:
    """An example as version 5 had it, its parts split off one by one."""

    id: str
    position: int
    split: str
    example: Example


def version_of(db: sqlite3.Connection) -> object:
    """Return a ledger's version; one whose run was never recorded shows it by its columns."""
    found = db.execute("SELECT value FROM manifest WHERE key='schema_version'").fetchone()
    if found is not None:
        return json.loads(found[0])
    if _columns(db, "examples") == OLDER_COLUMNS["examples"]:
        return OLDEST
    there = _columns(db, "trials")  # none where a process was killed before it had made this table
    return OLDEST + 1 if there and ADDED.keys() - there else SCHEMA_VERSION


def is_older(db: sqlite3.Connection) -> bool:
    """Return whether a ledger is of an older version that can be migrated."""
    return version_of(db) in range(OLDEST, SCHEMA_VERSION)


def migrate(db: sqlite3.Connection) -> None:
    """Make an older ledger one of this version, inside the caller's transaction."""
    if version_of(db) == OLDEST:
        _take_ids_apart(db)
    _add_columns(db)


def _add_columns(db: sqlite3.Connection) -> None:
    """Make a ledger of version 6 one of version 7."""
    sound = _sound(db, {"manifest", "trials"})
    there = _columns(db, "trials")
    for name, declared in ADDED.items():
        if there and name not in there:
            db.execute(f"ALTER TABLE trials ADD COLUMN {name} {declared}")
    db.execute("UPDATE manifest SET value=? WHERE key='schema_version'", (json.dumps(SCHEMA_VERSION),))
    write_seals(db, sound)


def _take_ids_apart(db: sqlite3.Connection) -> None:
    """Make a ledger of version 5 one of version 6."""
    manifest = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM manifest")}
    rows = _read(db)
    found = _taken_apart(rows, manifest)
    renamed = {row.id: x.id for row, x in zip(rows, found, strict=True) if row.id != x.id}
    sound = _sound(db, set(KEYS) if renamed else {"manifest", "examples"})
    _write_examples(db, [example_row(row.split, row.position, x) for row, x in zip(rows, found, strict=True)])
    if renamed:
        _rename(db, renamed)
    if manifest:
        values = {"schema_version": OLDEST + 1, **(_fingerprints(rows, found, manifest) if renamed else {})}
        db.executemany("UPDATE manifest SET value=? WHERE key=?", [(json.dumps(v), k) for k, v in values.items()])
    write_seals(db, sound)


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]


def _read(db: sqlite3.Connection) -> list[_Row]:
    names = ", ".join(OLDER_COLUMNS["examples"])
    return [
        _Row(i, position, split, Example(i, json.loads(fields), answer, group, tuple(json.loads(ratings)), *rest))
        for i, position, split, group, fields, answer, ratings, *rest in db.execute(
            f"SELECT {names} FROM examples ORDER BY rowid"
        )
    ]


def _taken_apart(rows: Sequence[_Row], manifest: Mapping[str, Any]) -> list[Example]:
    """Return the examples with their coordinates, last mark first."""
    config, task = manifest.get("config", {}), manifest.get("task", {})
    limited = config.get("limit") is not None
    given = {row.id: row.example for row in rows}
    examples = [_order(x.example, given) for x in rows]
    if config.get("raters") == "each":
        rated = [row.split == "train" for row in rows]
        examples = _ratings(examples, rated, given, limited=limited)
    trained = {x.item for row, x in zip(rows, examples, strict=True) if row.split != "test"}
    criteria = {one.get("name") for one in task.get("criteria", [])} - {"", None}
    return [
        _criterion(_origin(x, trained, limited=limited) if row.split == "test" else x, criteria)
        for row, x in zip(rows, examples, strict=True)
    ]


def _order(x: Example, given: Mapping[str, Example]) -> Example:
    """Return an example with its orders and its turn: a copy in another order has its original beside it."""
    found, count = _TURNED.fullmatch(x.item), candidates(x.fields)
    x = replace(x, orders=count)
    if count == 1 or found is None or found[1] not in given or (found[2] is None) != (count == 2):
        return x
    return replace(x, item=found[1], turn=int(found[2] or 1))


def _ratings(
    examples: Sequence[Example], rated: Sequence[bool], given: Mapping[str, Example], *, limited: bool
) -> list[Example]:
    """Return the examples with the number of their rating: an item has several, but what a limit left of it."""
    split: list[tuple[object, str, int] | None] = []
    together: dict[object, set[int]] = {}
    for x, is_rated in zip(examples, rated, strict=True):
        found = _RATED.fullmatch(x.item) if is_rated else None
        if found is None:
            split.append(None)
            continue
        key = (found[1], x.group, tuple(sorted(given[x.item].fields.items())))
        together.setdefault(key, set()).add(int(found[2]))
        split.append((key, found[1], int(found[2])))
    return [
        x if one is None or not (limited or len(together[one[0]]) > 1) else replace(x, item=one[1], rater=one[2])
        for x, one in zip(examples, split, strict=True)
    ]


def _origin(x: Example, trained: set[str], *, limited: bool) -> Example:
    """Return a test example with its origin: the training file had its id, though a limit may have left it out."""
    rest = x.item.removeprefix("test:")
    return replace(x, item=rest, origin="test") if rest != x.item and (limited or rest in trained) else x


def _criterion(x: Example, criteria: set[str]) -> Example:
    name = x.fields.get("criterion", "")
    if name not in criteria or not x.item.endswith(f"/{name}"):
        return x
    return replace(x, item=x.item.removesuffix(f"/{name}"), criterion=name)


def _write_examples(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    db.execute("DROP TABLE examples")
    db.execute(next(one for one in SCHEMA.split(";") if " examples " in one))
    db.executemany(INSERT_EXAMPLE, rows)


def _rename(db: sqlite3.Connection, renamed: Mapping[str, str]) -> None:
    """Give the rows of every table, and the lists in records, the new keys."""
    db.execute("CREATE TEMP TABLE renamed (old TEXT PRIMARY KEY, new TEXT NOT NULL)")
    # The longest first: a new key is two characters longer than the id, and may be what another example was called.
    for length in sorted({len(old) for old in renamed}, reverse=True):
        db.execute("DELETE FROM renamed")
        db.executemany("INSERT INTO renamed VALUES (?,?)", [one for one in renamed.items() if len(one[0]) == length])
        for table in _HAVE_EXAMPLES:
            db.execute(
                f"UPDATE {table} SET example_id=(SELECT new FROM renamed WHERE old=example_id) "
                "WHERE example_id IN (SELECT old FROM renamed)"
            )
    db.execute("DROP TABLE renamed")
    for k, phase, text in db.execute("SELECT iteration, phase, record FROM iterations").fetchall():
        record = json.loads(text)
        if record.get("dropped"):
            record["dropped"] = [renamed.get(one, one) for one in record["dropped"]]
            db.execute("UPDATE iterations SET record=? WHERE iteration=? AND phase=?", (json.dumps(record), k, phase))


def _fingerprints(rows: Sequence[_Row], found: Sequence[Example], manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the manifest's hashes over the new keys; none of one that was not over the old ones."""
    order = ("train", "validation", "test")
    old = {split: [row.example for row in rows if row.split == split] for split in order}
    new = {split: [x for row, x in zip(rows, found, strict=True) if row.split == split] for split in order}
    hashes = {"data_sha256": data_sha256, "splits_sha256": splits_sha256}
    return {
        name: hashed(new)
        for name, hashed in hashes.items()
        if manifest.get(name) == hashed(old, key=lambda x: x.item)  # there it is the whole id
    }


def _sound(db: sqlite3.Connection, changed: Collection[str]) -> list[Part]:
    """Return the parts of the changed tables whose seals hold: only these are sealed again."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name='seals'").fetchone():
        return []
    return [
        (table, iteration)
        for (table, iteration), sha256 in read_seals(db).items()
        if table in changed and row_hash(db, table, iteration) == sha256
    ]
