"""Whether a ledger is unchanged since it was written, and which parts are damaged: by its seals."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from rationem.errors import RunError
from rationem.ledger.migration import OLDER_COLUMNS
from rationem.ledger.opening import opened
from rationem.ledger.rows import SCHEMA
from rationem.ledger.seals import KEYS, RUN, read_seals, row_hash


def damage(directory: Path) -> RunError | None:
    """Return the error for a run, or the first of a comparison's, whose ledger is damaged; None if none is."""
    path = directory / "ledger.sqlite"
    if not path.is_file():
        within = (damage(one.parent) for one in sorted(directory.glob("*/*/ledger.sqlite")))
        return next((told for told in within if told is not None), None)
    try:
        with closing(opened(path)) as db:
            found = broken(db)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        found = [str(error)]
    if not found:
        return None
    shown = "; ".join(found[:4]) + (f"; {len(found) - 4} more" if len(found) > 4 else "")
    model = directory / "model"
    saved = (
        f"{model} holds the chosen weights and is not affected: use them with rationem judge {model} FILE."
        if (model / "rationem.json").is_file()
        else f"Weights of finished iterations are in {directory / 'checkpoints'}."
    )
    return RunError(
        f"{path} is damaged, or was edited: {shown}. Numbers cannot be computed from it. Restore a copy of it, or run "
        f"again with another --output. {saved}"
    )


def broken(db: sqlite3.Connection) -> list[str]:
    """Return the damaged parts of a ledger, one phrase each."""
    checked = [" ".join(str(said).split()) for (said,) in db.execute("PRAGMA quick_check")]
    # SQLite 3.40 reports NULLs in intact tables whose key is not made of their first columns; seals find the real ones.
    found = [said for said in checked if said != "ok" and not said.startswith("NULL value in")][:2]
    expected = _expected()
    found += [
        f"the table {table!r} has other columns"
        for table in KEYS
        if _columns(db, table) not in (expected[table], OLDER_COLUMNS.get(table))
    ]
    if not _columns(db, "seals"):  # of an older version: only SQLite's own findings are available
        return found
    for (table, iteration), sha256 in read_seals(db).items():
        where = "" if iteration == RUN else f" of iteration {iteration}"
        try:
            if row_hash(db, table, iteration) != sha256:
                found.append(f"the rows of {table!r}{where} are not those that were written")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            found.append(f"the rows of {table!r}{where} cannot be read ({error})")
    return found


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]


def _expected() -> dict[str, list[str]]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        return {table: _columns(db, table) for table in KEYS}
