"""Temporary directories of a process; those of killed processes are removed.

Each is locked by its process, and the lock ends with the process, however that ends. A directory of ours without a lock
is therefore left over, and the next process that makes one of its kind removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Scratch:
    """A private directory; directories left by killed processes under the same prefix are removed first.

    Args:
        prefix: the beginning of the names of its kind.
        parent: its parent directory; by default the system's place for temporary files.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        place = (Path(tempfile.gettempdir()) if parent is None else parent).resolve()
        made_here = re.compile(re.escape(prefix) + "[a-z0-9_]{8}")  # as tempfile names them
        for left in (path for path in place.iterdir() if made_here.fullmatch(path.name)):
            _remove_unowned(left)
        self.directory, self._lock = _locked(prefix, place)
        while not self.directory.is_dir():  # another process may remove it between its creation and its lock
            os.close(self._lock)
            self.directory, self._lock = _locked(prefix, place)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._lock)


@contextmanager
def scratch(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Yield a private directory that is removed at the end; see :class:`Scratch`."""
    made = Scratch(prefix, parent)
    try:
        yield made.directory
    finally:
        made.close()


def _locked(prefix: str, place: Path) -> tuple[Path, int]:
    """Make a directory of our own, and hold its lock."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return directory, lock


def _remove_unowned(directory: Path) -> None:
    """Remove the directory of an ended process of ours: its lock is free."""
    try:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
