"""Opening a ledger: by its one writer, or for reading, also from a read-only medium."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from rationem.errors import RunError, disk_error
from rationem.ledger.files import refuse_links
from rationem.ledger.migration import OLDEST, is_older, migrate, version_of
from rationem.ledger.phases import is_reached
from rationem.ledger.reading import read_manifest
from rationem.ledger.rows import SCHEMA, SCHEMA_VERSION

LEDGER = "ledger.sqlite"
#: The last phase of a run.
FINISHED = "finished"
#: Files that SQLite writes beside an open ledger.
_BESIDE = ("-wal", "-shm", "-journal")


def read_only(directory: Path) -> sqlite3.Connection:
    """Open a run's ledger for reading, also while the run is active; one of an older version as a migrated copy.

    Raises:
        RunError: there is no run.
    """
    db, path = _begun(directory)
    with _told(path):
        return _migrated_copy(db) if is_older(db) else db


def no_run(directory: Path) -> RunError:
    """Return the error for a directory without a ledger."""
    return RunError(f"{directory} holds no run: there is no {LEDGER}. Start one with rationem fit --output.")


def _begun(directory: Path) -> tuple[sqlite3.Connection, Path]:
    """Return the ledger of a recorded run, in a readable version, and its path."""
    path = directory / LEDGER
    if not path.is_file():
        raise no_run(directory)
    _check_places(directory)
    with _told(path):
        db = opened(path)
    with _closed_on_error(db, path):
        if not read_manifest(db):
            raise RunError(f"No run is recorded in {directory} yet; start it again with rationem fit.")
        _check_version(db, path)
    return db, path


def is_begun(directory: Path) -> bool:
    """Return whether a directory holds a run: a process may have ended after making the file but before recording the
    run.
    """
    path = directory / LEDGER
    if not path.is_file() or path.stat().st_size == 0:
        return False
    _check_places(directory)
    with _told(path), closing(opened(path)) as db:
        try:
            return db.execute("SELECT 1 FROM manifest").fetchone() is not None
        except sqlite3.OperationalError:  # there is no such table yet
            return False


def is_finished(directory: Path) -> bool:
    """Return whether a directory holds a finished run."""
    if not is_begun(directory):
        return False
    with closing(_begun(directory)[0]) as db:
        return is_reached(db, FINISHED)


def open_ledger(directory: Path) -> sqlite3.Connection:
    """Open a run's ledger for its one writer, which holds the lock; a new one gets its tables, an older one is
    migrated.

    Raises:
        RunError: its place is a link, or it is not a ledger or of another version.
    """
    _check_places(directory)
    path = directory / LEDGER
    db = sqlite3.connect(path, isolation_level=None)
    with _closed_on_error(db, path, disk=True):
        if db.execute("SELECT 1 FROM sqlite_master WHERE name='manifest'").fetchone():
            _check_version(db, path)
            if is_older(db):
                db.execute("BEGIN IMMEDIATE")
                migrate(db)
                db.execute("COMMIT")
        db.execute("PRAGMA synchronous=FULL")
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")  # all tables or none
    return db


def log_ahead(db: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, so that others can read meanwhile; a ledger that is only read is not changed."""
    db.execute("PRAGMA journal_mode=WAL")


def close_ledger(db: sqlite3.Connection) -> None:
    """Close the writer's ledger as one file, which can be read on a read-only medium."""
    with suppress(sqlite3.OperationalError):  # read by others, or a full disk: two files remain, nothing is lost
        db.execute("PRAGMA journal_mode=DELETE")
    db.close()


def lock(directory: Path) -> int:
    """Return the open lock of a run directory.

    Raises:
        RunError: another process holds it, or a link is in its place.
    """
    path = directory / ".lock"
    refuse_links(directory, path)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise RunError(
            f"Another process is working in {directory}. Wait for it, or stop it; nothing is lost."
        ) from error
    return handle


def uri(path: Path, **options: str | int) -> str:
    """Return the SQLite URI of a file for reading, whatever characters its name has."""
    asked = "".join(f"&{name}={value}" for name, value in options.items())
    return f"{path.absolute().as_uri()}?mode=ro{asked}"


def opened(path: Path) -> sqlite3.Connection:
    """Return the ledger, open for reading.

    A killed run leaves a write-ahead log, and SQLite reads that only if it can write beside it. On a read-only medium a
    ledger without such a log is read directly (``immutable``), and one with a log as a copy: no row is lost.
    """
    db = sqlite3.connect(uri(path), uri=True)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
        return db
    except sqlite3.OperationalError as error:
        db.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    log = path.with_name(f"{path.name}-wal")
    if not log.is_file() or not log.stat().st_size:
        return sqlite3.connect(uri(path, immutable=1), uri=True)
    place = Path(tempfile.mkdtemp(prefix="rationem-ledger-"))
    try:
        for one in (path, log):
            shutil.copyfile(one, place / one.name)
        db = sqlite3.connect(place / path.name)
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=DELETE")  # takes in the log; the copy is one open file
        return db
    finally:
        shutil.rmtree(place)


def _check_places(directory: Path) -> None:
    refuse_links(directory, *(directory / f"{LEDGER}{end}" for end in ("", *_BESIDE)))


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    found = version_of(db)
    if found != SCHEMA_VERSION and not is_older(db):
        raise RunError(
            f"{path.parent} was written with ledger version {found}; this rationem reads {SCHEMA_VERSION}, and older "
            f"ones from {OLDEST}."
        )


def _migrated_copy(db: sqlite3.Connection) -> sqlite3.Connection:
    """Return a private migrated copy of an older ledger; the file is not changed. Closing the copy removes it."""
    with closing(db):
        copy = sqlite3.connect("")  # SQLite's own temporary file
        db.backup(copy)
    with copy:
        migrate(copy)
    copy.execute("PRAGMA query_only=ON")
    return copy


@contextmanager
def _told(path: Path, *, disk: bool = False) -> Iterator[None]:
    """Turn an error of SQLite into a message.

    Args:
        disk: leave out disk errors: the writer reports them (``errors.writing``).
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if disk and disk_error(error) is not None:
            raise
        raise RunError(f"{path} cannot be read as a ledger: {error}.") from error


@contextmanager
def _closed_on_error(db: sqlite3.Connection, path: Path, *, disk: bool = False) -> Iterator[None]:
    """Close the ledger if the block fails.

    Raises:
        RunError: it cannot be read.
    """
    with _told(path, disk=disk):
        try:
            yield
        except BaseException:  # any exception: the file must not stay open; re-raised
            db.close()
            raise
