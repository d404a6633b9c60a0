"""Where models lie that are built on this machine: in the cache, complete or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rationem.ledger.scratch import scratch


def directory(cache: Path | None = None) -> Path:
    """Return the cache: as named, ``$RATIONEM_CACHE``, or ``~/.cache/rationem``."""
    return cache or Path(os.environ.get("RATIONEM_CACHE") or Path.home() / ".cache" / "rationem")


def built(name: str, build: Callable[[Path], None], *, rebuild: bool = False, cache: Path | None = None) -> Path:
    """Return the directory of a model in the cache, building it the first time.

    Of several processes one builds and the others wait. It is written beside its place and renamed.

    Args:
        name: of the directory; it holds a digest of whatever decides the weights (:func:`.bases.digest`).
        build: writes the checkpoint to the path that it is given.
        rebuild: build again, and replace what the cache holds.
        cache: see :func:`directory`.
    """
    place = directory(cache) / name
    if not rebuild and _is_complete(place):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with _turn(place), scratch(f".{place.name}-", place.parent) as temporary:
        if rebuild or not _is_complete(place):
            fresh = temporary / "model"
            build(fresh)
            if place.exists():
                place.rename(temporary / "old")
            fresh.rename(place)
    return place


def _is_complete(place: Path) -> bool:
    return (place / "config.json").is_file()


@contextmanager
def _turn(place: Path) -> Iterator[None]:
    """Let one process build and the others wait for what it builds."""
    with (place.parent / f".{place.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
