"""A file that is written in chunks and survives a kill: ``OUT.partial``, with ``OUT.job.json`` beside it.

A chunk is appended to the partial file and synced; then the job file is replaced, which states how many rows and bytes
are valid. After a kill, further bytes are cut off, and work resumes with the next row. The last step is the rename: a
file called OUT is complete.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rationem.errors import UNFINISHED, RunError, writing
from rationem.judging.differences import differences
from rationem.ledger.files import created, refuse_links

_VERSION = 1
_NOTHING: Mapping[str, Any] = {"rows": 0, "bytes": 0, "totals": {}}


class RatingJob:
    """One output file being written, by a single writer with a lock. Use :func:`open_job`.

    Attributes:
        rows: finished rows of the input.
        totals: their counts.
    """

    def __init__(self, output: Path, file: IO[bytes], fingerprint: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        self._output = output
        self._file = file
        self._fingerprint = fingerprint
        self._bytes = int(state["bytes"])
        self.rows = int(state["rows"])
        self.totals: Mapping[str, Any] = state["totals"]
        file.truncate(self._bytes)
        file.seek(self._bytes)

    def append(self, data: bytes, rows: int, totals: Mapping[str, Any]) -> None:
        """Write the bytes of further rows, then record them as valid.

        Raises:
            RunError: the disk cannot store them; earlier rows are kept.
        """
        with writing(self._output):
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._bytes += len(data)
            self.rows += rows
            self.totals = totals
            self._note()

    def finish(self) -> None:
        """Rename the file to its final name.

        Raises:
            RunError: it cannot be renamed.
        """
        with writing(self._output):
            partial(self._output).replace(self._output)
            _sync(self._output.parent)
            forget(self._output)

    def _note(self) -> None:
        content = {
            "version": _VERSION,
            "rows": self.rows,
            "bytes": self._bytes,
            "totals": self.totals,
            "fingerprint": self._fingerprint,
        }
        with created(_fresh(self._output)) as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _fresh(self._output).replace(note(self._output))
        _sync(self._output.parent)


def partial(output: Path) -> Path:
    """Return the name of the file while it is being written."""
    return output.with_name(f"{output.name}{UNFINISHED}")


def note(output: Path) -> Path:
    """Return the name of the job file, which states the valid rows and bytes."""
    return output.with_name(f"{output.name}.job.json")


def forget(output: Path) -> None:
    """Remove the job file."""
    _fresh(output).unlink(missing_ok=True)
    note(output).unlink(missing_ok=True)


def done(output: Path, fingerprint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the counts of the same job if it was killed just after the rename, else None."""
    if not output.is_file() or partial(output).exists():
        return None
    state = _read(output)
    finished = state is not None and state["fingerprint"] == fingerprint and state["bytes"] == output.stat().st_size
    return dict(state) if state is not None and finished else None


def check(output: Path, *, overwrite: bool) -> None:
    """Check that an output file can be written, before any work.

    Raises:
        RunError: it already exists, is a directory, or its directory does not exist.
    """
    if output.is_dir():
        raise RunError(f"{output} is a directory; -o must name a file.")
    if not output.parent.is_dir():
        raise RunError(f"{output}: there is no directory {output.parent}.")
    if output.exists() and not overwrite:
        raise RunError(f"{output} already exists. Give another name, or --overwrite to replace it.")


@contextmanager
def open_job(output: Path, fingerprint: Mapping[str, Any], head: bytes, *, overwrite: bool) -> Iterator[RatingJob]:
    """Begin the file, or resume it if a job with the same fingerprint was killed.

    Args:
        output: the file's final name.
        fingerprint: everything that determines its bytes, as JSON.
        head: its first bytes.
        overwrite: replace a finished file, or a job with another fingerprint.

    Raises:
        RunError: another job is writing it or was left unfinished, or the file cannot be written.
    """
    _state(output, fingerprint, head, overwrite=overwrite)  # an error must leave nothing behind
    with _locked(output) as file:
        state = _state(output, fingerprint, head, overwrite=overwrite)
        with writing(output):
            job = RatingJob(output, file, fingerprint, state or _NOTHING)
        if state is None:
            job.append(head, 0, {})
        yield job


def _state(output: Path, fingerprint: Mapping[str, Any], head: bytes, *, overwrite: bool) -> Mapping[str, Any] | None:
    """Return a killed job's record, or None if there is nothing to resume."""
    state = _read(output)
    unfinished = partial(output)
    size = unfinished.stat().st_size if unfinished.is_file() else 0
    if state is None:
        _check_foreign(unfinished, size, head, overwrite=overwrite)
        return None
    if state["fingerprint"] == fingerprint and size >= state["bytes"]:
        return state
    if overwrite:
        return None
    if size < state["bytes"]:
        raise RunError(f"{unfinished} does not match {note(output)}. Start again with --overwrite.")
    raise RunError(
        f"{output} was started by another job, which finished {state['rows']} rows. Different now: "
        f"{differences(state['fingerprint'], fingerprint)}. Resume that job, give another name, or start again with "
        "--overwrite."
    )


def _read(output: Path) -> dict[str, Any] | None:
    try:
        state = json.loads(note(output).read_text(encoding="utf-8"))
        if state["version"] == _VERSION and isinstance(state["fingerprint"], dict):
            return {**_NOTHING, **state, "rows": int(state["rows"]), "bytes": int(state["bytes"])}
        problem = "another version"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = repr(error)
    raise RunError(f"{note(output)} is not a valid job file ({problem}). Remove it to start again.")


def _check_foreign(unfinished: Path, size: int, head: bytes, *, overwrite: bool) -> None:
    """Reject a partial file of another origin: a job killed before its first record leaves at most the head."""
    if size and not overwrite and (size > len(head) or not head.startswith(unfinished.read_bytes())):
        raise RunError(f"{unfinished} is in the way and does not belong to a job. Remove it, or use --overwrite.")


@contextmanager
def _locked(output: Path) -> Iterator[IO[bytes]]:
    path = partial(output)
    refuse_links(output.parent, path)
    with writing(output):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "r+b") as file:
        busy = RunError(f"Another process is writing {output}. Wait for it, or stop it; nothing is lost.")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise busy from error
        # Between opening and locking, the other process may have finished and renamed this file.
        if not path.is_file() or not _same(handle, path):
            raise busy
        yield file


def _same(handle: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(handle), path.stat())


def _fresh(output: Path) -> Path:
    return output.with_name(f"{output.name}.job.json.new")


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
