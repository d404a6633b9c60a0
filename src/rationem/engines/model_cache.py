"""The cache of models that are built on this machine; a model in it is always complete."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rationem.ledger.scratch import scratch


def directory(cache: Path | None = None) -> Path:
    """Return the cache directory: the given one, ``$RATIONEM_CACHE``, or ``~/.cache/rationem``."""
    return cache or Path(os.environ.get("RATIONEM_CACHE") or Path.home() / ".cache" / "rationem")


def built(name: str, build: Callable[[Path], None], *, rebuild: bool = False, cache: Path | None = None) -> Path:
    """Return the directory of a model in the cache, building it the first time.

    One process builds while others wait. The model is written to a temporary directory and renamed.

    Args:
        name: the directory's name, which contains the digest of the recipe (:func:`.bases.digest`).
        build: writes the checkpoint to the given path.
        rebuild: build again, and replace the cached model.
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
    """Let one process build while the others wait."""
    with (place.parent / f".{place.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
