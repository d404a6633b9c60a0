"""Errors that say what was asked, what was found, where, and what to do.

A ``RationemError`` is a mistake that the user can fix: the command line prints it without a traceback and exits with 2.
Any other exception is a bug in this project and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class RationemError(Exception):
    """A mistake that the user can fix."""

    exit_code = 2


class DataError(RationemError):
    """The user's data cannot be used as it is."""


class BrokenFile(DataError):
    """A file ends early or is damaged: everything after the damage is unreadable and unknown."""


class ConfigError(RationemError):
    """A setting is unknown, malformed or contradicts another."""


class ModelError(RationemError):
    """A model cannot be found, loaded or used for what was asked."""


class RunError(RationemError):
    """A run directory is not what this command needs."""


class ColdStart(RunError):
    """An E-step kept so little that training on it would teach nothing."""

    exit_code = 3


class DiskError(RunError):
    """The disk cannot store a file."""


class ReadOnly(DiskError):
    """Nothing can be written there: a read-only file system, or missing permissions."""


class HubError(RationemError):
    """The hub refuses a request or cannot be reached."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string.

    >>> closest("learning_rat", ["learning_rate", "steps"])
    " Did you mean 'learning_rate'?"
    """
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {found[0]!r}?" if found else ""


#: The end of the name of a file or directory that is not complete.
UNFINISHED = ".partial"
#: A directory is where a file belongs, or the reverse.
_OCCUPIED = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST})
#: Error numbers of disk failures; other numbers are not disk failures.
_DISK = _OCCUPIED | {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
#: The same numbers in messages of libraries that hide them: Rust's, and lists of files that could not be copied.
_NUMBER = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]")
#: What torch, or the C++ stream below it, says when a file cannot be written completely, whatever the reason.
_TORCH = re.compile(r"PytorchStreamWriter|inline_container|iostream error")
_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a disk failure into one readable error, whatever library writes the file or directory.

    Raises:
        DiskError: the disk is full, read-only, or fails; any other exception passes unchanged.
    """
    try:
        yield
    except RationemError:
        raise
    except Exception as error:  # libraries wrap the system's error in their own types; other errors pass
        if (told := disk_error(error, path)) is None:
            raise
        raise told from error


def disk_error(error: Exception, path: Path | None = None) -> DiskError | None:
    """Return the readable error for a disk failure; None for any other exception.

    Args:
        path: the file being written, for exceptions that do not name it.
    """
    number = _number(error)
    if number is None:
        return None
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    file = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else path
    place = next((one for one in (file or Path()).absolute().parents if one.is_dir()), Path("/"))
    advice = "Check the disk and the limit on file size (ulimit -f)"
    if number in (errno.ENOSPC, errno.EDQUOT):
        advice = f"{_size(shutil.disk_usage(place).free)} are free in {place}. Make room"
    elif number == errno.EFBIG:
        advice = f"A limit (ulimit -f, or the file system in {place}) allows no file of this size. Raise it"
    elif number in _OCCUPIED:
        advice = "Something else is in its place. Move it away"
    elif number in (errno.EROFS, errno.EACCES, errno.EPERM):
        advice = "Give this user permission to write there, or choose another place"
    again = f"{advice}, and run the same command again."
    told = f"Cannot write {_final(file) if file else 'the output'}: {os.strerror(number)}. {again}"
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ReadOnly(told)
    kept = "" if number in _OCCUPIED else " Finished work is kept; no incomplete file has its final name."
    return DiskError(f"{told}{kept}")


def _final(file: Path) -> Path:
    """Return a file under its final name: the user knows no other.

    >>> str(_final(Path("runs/model.partial/config.json")))
    'runs/model/config.json'
    """
    return Path(*(part.removesuffix(UNFINISHED) for part in file.parts))


def _number(error: Exception) -> int | None:
    """Return the disk's error number that an exception stands for."""
    number: int | None = None
    if isinstance(error, sqlite3.Error):
        number = _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    elif isinstance(error, OSError) and error.errno is not None:
        number = error.errno
    elif (found := _NUMBER.search(str(error))) is not None:
        number = int(found[1] or found[2])
    elif isinstance(error, RuntimeError) and _TORCH.search(str(error)):
        number = errno.ENOSPC
    return number if number in _DISK else None


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.1f} MB"
