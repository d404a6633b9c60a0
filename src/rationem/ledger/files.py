"""The files of a run: written under a temporary name, renamed when complete, and never through a link.

A run directory may come from somebody else. A link in it would redirect our writes elsewhere, or make an export copy
another file. So a new file is always created (``O_EXCL``, ``O_NOFOLLOW``), and a link in place of a file or directory
of the run is an error. The run directory itself may be named by a link.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rationem.errors import UNFINISHED, RunError, writing


def refuse_links(root: Path, *paths: Path) -> None:
    """Refuse a link anywhere below ``root`` on the way to these paths, including the paths themselves.

    Raises:
        RunError: names it.
    """
    for path in paths:
        for place in (path, *path.parents):
            if place == root:
                break
            if place.is_symlink():
                raise RunError(
                    f"{place} is a link to {os.readlink(place)}. Links in a run directory are never followed, neither "
                    "to write nor to export. Replace the link by the file or directory itself, or remove it."
                )


def refuse_links_in(directory: Path) -> None:
    """Refuse a link anywhere inside a directory of a run.

    Raises:
        RunError: names it.
    """
    refuse_links(directory.parent, directory, *directory.rglob("*"))


def partial(path: Path) -> Path:
    """Return the temporary name of a file or directory."""
    return path.with_name(f"{path.name}{UNFINISHED}")


@contextmanager
def created(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a new file for writing; an existing one is removed first, and no link is followed.

    Args:
        path: the file.
        mode: "w" for UTF-8, "wb" for bytes.
    """
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
        yield file


def write_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all.

    Raises:
        DiskError: writing failed; an earlier file is still there.
        RunError: its place is a link.
    """
    refuse_links(path.parent, path)
    draft = partial(path)
    with writing(path):
        with created(draft) as file:
            file.write(text)
        draft.replace(path)
    return path


@contextmanager
def publish(root: Path, target: Path) -> Iterator[Path]:
    """Yield an empty directory that takes the name ``target`` only when everything inside is written.

    Args:
        root: the run directory.
        target: a place in it.

    Raises:
        DiskError: writing failed.
        RunError: a link is on the way.
    """
    draft = partial(target)
    refuse_links(root, target, draft)
    with writing(target):
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
