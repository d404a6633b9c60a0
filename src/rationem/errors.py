"""Errors that teach: what was asked, what was found, where, and what to do.

A ``RationemError`` is the user's to mend: the command line prints it without a traceback and exits with 2.
Anything else is a bug of ours and keeps its traceback.
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
    """A mistake that the user can mend."""

    exit_code = 2


class DataError(RationemError):
    """The user's data cannot be used as it stands."""


class BrokenFile(DataError):
    """A file breaks off: what stands behind the place cannot be read, and is not known."""


class ConfigError(RationemError):
    """A setting is unknown, malformed or contradicts another."""


class ModelError(RationemError):
    """A model cannot be found, loaded or used for what was asked."""


class RunError(RationemError):
    """A run directory is not what this command needs."""


class DiskError(RunError):
    """The disk does not take what is to be written."""


class ReadOnly(DiskError):
    """Nothing can be written there at all: a read-only medium, or missing rights."""


class HubError(RationemError):
    """The hub refuses what was asked, or cannot be reached."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string.

    >>> closest("learning_rat", ["learning_rate", "steps"])
    " Did you mean 'learning_rate'?"
    """
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {found[0]!r}?" if found else ""


#: Where a file belongs lies a directory, or the other way round.
_OCCUPIED = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST})
#: What a disk answers, as the system numbers it; anything else is no matter of a disk's.
_DISK = _OCCUPIED | {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
#: The same in the words of libraries that hide the number: Rust's, and lists of what could not be copied.
_NUMBER = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]")
#: What torch says where a file ends before its content, whatever the reason was, and the C++ stream below it.
_TORCH = re.compile(r"PytorchStreamWriter|inline_container|iostream error")
_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in a sentence that the disk does not take a file or directory, whatever library writes it.

    Raises:
        DiskError: the disk is full, read-only, or fails; any other exception passes unchanged.
    """
    try:
        yield
    except RationemError:
        raise
    except Exception as error:  # libraries wrap the system's answer in types of their own; all others pass
        if (told := disk_error(error, path)) is None:
            raise
        raise told from error


def disk_error(error: Exception, path: Path | None = None) -> DiskError | None:
    """Return the sentence for an answer of the disk's; None for any other exception.

    Args:
        path: what was being written, where the exception does not name it.
    """
    number = _number(error)
    if number is None:
        return None
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    file = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else path
    place = next((one for one in (file or Path()).absolute().parents if one.is_dir()), Path("/"))
    advice = "Look at the disk, and at limits of a file's size (ulimit -f)"
    if number in (errno.ENOSPC, errno.EDQUOT):
        advice = f"{_size(shutil.disk_usage(place).free)} are free in {place}. Make room"
    elif number == errno.EFBIG:
        advice = f"A limit (ulimit -f, or the file system in {place}) allows no file of this size. Lift it"
    elif number in _OCCUPIED:
        advice = "Something else lies in its place. Move that away"
    elif number in (errno.EROFS, errno.EACCES, errno.EPERM):
        advice = "Allow this user to write there, or name another place"
    kind = ReadOnly if number in (errno.EROFS, errno.EACCES, errno.EPERM) else DiskError
    return kind(
        f"Cannot write {file or 'the output'}: {os.strerror(number)}. {advice}, and give the same command again. What "
        "was finished before is kept; nothing half-written has its final name."
    )


def _number(error: Exception) -> int | None:
    """Return which of the disk's answers an exception stands for."""
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
