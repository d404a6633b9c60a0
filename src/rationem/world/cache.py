"""Where embedded base models lie once they are built: in the cache, complete or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

Report = Callable[[str, int, int], None]


def directory(cache: Path | None = None) -> Path:
    """Return the cache: as named, ``$RATIONEM_CACHE``, or ``~/.cache/rationem``."""
    return cache or Path(os.environ.get("RATIONEM_CACHE") or Path.home() / ".cache" / "rationem")


def built(name: str, build: Callable[[Path], None], *, rebuild: bool = False, cache: Path | None = None) -> Path:
    """Return the directory of a model in the cache, building it the first time.

    Of several processes one builds and the others wait. It is written beside its place and renamed.

    Args:
        name: of the directory; it holds a hash of whatever decides the weights (:func:`recipe_hash`).
        build: writes the checkpoint to the path that it is given.
        rebuild: build again, and replace what the cache holds.
        cache: see :func:`directory`.
    """
    place = directory(cache) / name
    if not rebuild and _is_complete(place):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with _turn(place), tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as temporary:
        if rebuild or not _is_complete(place):
            fresh = Path(temporary) / "model"
            build(fresh)
            if place.exists():
                place.rename(Path(temporary) / "old")
            fresh.rename(place)
    return place


def recipe_hash(wording: str, files: Sequence[tuple[str, str]]) -> str:
    """Return twelve hex digits that name a recipe.

    Args:
        wording: texts that decide the weights and lie elsewhere, such as a prompt.
        files: (package, file name) of every module or list whose code or constants decide the weights.
    """
    digest = hashlib.blake2b(wording.encode(), digest_size=6)
    for package, name in files:
        digest.update((resources.files(package) / name).read_bytes())
    return digest.hexdigest()


def save(model: Any, tokenizer: Any, path: Path) -> None:
    """Write a checkpoint: weights, configuration and tokenizer, without a progress bar that would break ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    finally:
        if shown:
            logging.enable_progress_bar()


def _is_complete(place: Path) -> bool:
    return (place / "config.json").is_file()


@contextmanager
def _turn(place: Path) -> Iterator[None]:
    """Let one process build and the others wait for what it builds."""
    with (place.parent / f".{place.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
