"""The base model ``tiny-judge``: built once from its recipe, then found in the cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path

from rationem.world.rubrics import TASK

#: The modules whose code or constants decide the weights; any change to them names another cached model.
_PARTS = ("questions", "rubrics", "prose", "corpus", "tokens", "recipe", "batches", "pretrain")
_RECIPE = ("words.txt", *(f"{part}.py" for part in _PARTS))

Report = Callable[[str, int, int], None]


def tiny_judge(
    *, seed: int = 0, rebuild: bool = False, cache: Path | None = None, report: Report | None = None
) -> Path:
    """Return the directory of the base model, pretraining it the first time (minutes, on the CPU).

    The checkpoint is a stock ``LlamaForCausalLM`` with a ``PreTrainedTokenizerFast`` and a chat template. It appears
    in the cache complete or not at all: it is written beside its place and renamed.

    Args:
        seed: of the initial weights and of the corpus.
        rebuild: train again, and replace what the cache holds.
        cache: its directory; ``$RATIONEM_CACHE`` or ``~/.cache/rationem`` by default.
        report: called as ``report(phase, done, total)`` for a progress bar.
    """
    place = _cache(cache) / f"tiny-judge-{seed}-{recipe_hash()}"
    if not rebuild and _is_complete(place):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with _turn(place), tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as temporary:
        if rebuild or not _is_complete(place):
            from rationem.world.pretrain import train
            from rationem.world.recipe import TINY

            fresh = Path(temporary) / "model"
            _save(train(TINY, seed, report), fresh)
            if place.exists():
                place.rename(Path(temporary) / "old")
            fresh.rename(place)
    return place


def micro_model(path: Path, seed: int = 0, steps: int = 0) -> Path:
    """Write a two-layer model of width 32 to ``path`` and return it: random at 0 ``steps``, for tests of plumbing."""
    from rationem.world.pretrain import train
    from rationem.world.recipe import MICRO

    _save(train(replace(MICRO, steps=steps, threads=1), seed), path)
    return path


def recipe_hash() -> str:
    """Return twelve hex digits that name the recipe: a hash over the wording and all files that decide the weights."""
    asked = TASK.hint_prompt({"prompt": "PROMPT", "response": "RESPONSE"}, TASK.levels[0]).text
    digest = hashlib.blake2b(asked.encode(), digest_size=6)
    for name in _RECIPE:
        digest.update((resources.files(__package__) / name).read_bytes())
    return digest.hexdigest()


def _is_complete(place: Path) -> bool:
    return (place / "config.json").is_file()


@contextmanager
def _turn(place: Path) -> Iterator[None]:
    """Let one process build and the others wait for what it builds."""
    with (place.parent / f".{place.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _cache(cache: Path | None) -> Path:
    return cache or Path(os.environ.get("RATIONEM_CACHE") or Path.home() / ".cache" / "rationem")


def _save(model: object, path: Path) -> None:
    from transformers.utils import logging

    from rationem.world.tokens import tokenizer

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # its bar would break ours
    try:
        model.save_pretrained(path)  # type: ignore[attr-defined]
        tokenizer().save_pretrained(path)
    finally:
        if shown:
            logging.enable_progress_bar()
