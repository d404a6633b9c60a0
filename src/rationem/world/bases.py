"""Embedded base models: with seed 0 they come with the package, with any other seed they are built from a recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem.engines.model_cache import built
from rationem.world import shipped
from rationem.world.training import LlamaShape, Report, Schedule, loss, train

if TYPE_CHECKING:
    import torch

#: Steps of the short run whose corpus the digest covers: one chunk of each half, with every kind of batch.
_SAMPLED = 32
#: Steps before the probe.
_PROBED = 3


@dataclass(frozen=True, slots=True)
class Base:
    """The recipe of an embedded model: everything that determines its weights.

    Args:
        name: the model's name.
        shape: the model's dimensions.
        schedule: its training schedule.
        tokenizer: returns its tokenizer, learned from the corpus.
        batches: (schedule, tokenizer, seed) -> the batch of every step, a sequence of rows (dataclasses).
        loss: (model, batch) -> the training loss.
        numbers: other numbers that determine the corpus, whose changes a sample of the corpus may not show.
    """

    name: str
    shape: LlamaShape
    schedule: Schedule
    tokenizer: Callable[[], Any]
    batches: Callable[[Schedule, Any, int], Iterable[Sequence[Any]]]
    loss: Callable[[Any, Any], torch.Tensor] = loss
    numbers: Mapping[str, Any] = field(default_factory=dict)


def find(
    base: Base, *, seed: int = 0, rebuild: bool = False, cache: Path | None = None, report: Report | None = None
) -> Path:
    """Return the directory of a base model: the package's own for seed 0, else one in the cache.

    Args:
        base: the recipe.
        seed: the seed of the initial weights and of the corpus.
        rebuild: train it on this machine (minutes, on the CPU) and replace the cached model, also with seed 0.
        cache: the cache directory; ``$RATIONEM_CACHE`` or ``~/.cache/rationem`` by default.
        report: called as ``report(phase, done, total)`` for a progress bar.

    Raises:
        ModelError: the package's files do not match their recorded hashes.
    """
    if seed == 0 and not rebuild:
        return shipped.place(base.name)
    name = f"{base.name}-{seed}-{digest(base)}"
    return built(name, lambda path: build(base, path, seed=seed, report=report), rebuild=rebuild, cache=cache)


def build(base: Base, path: Path, *, seed: int = 0, report: Report | None = None) -> None:
    """Train a base model and write the checkpoint: weights, configuration and tokenizer."""
    coder = base.tokenizer()
    rows = base.batches(base.schedule, coder, seed)
    model = train(base.shape, coder, rows, base.schedule, seed=seed, loss=base.loss, report=report)
    save(model, coder, path)


def digest(base: Base) -> str:
    """Return twelve hex digits that identify a recipe: a hash of its numbers, vocabulary and a short run's corpus.

    The corpus is hashed as token ids with their loss weights. That covers wording, prompts and formats, and refactored
    code with the same corpus keeps the digest. The digest does not cover the training code; :func:`probe` does.
    """
    coder = base.tokenizer()
    batches = base.batches(replace(base.schedule, steps=_SAMPLED), coder, 0)
    decisive = {
        "shape": asdict(base.shape),
        "schedule": asdict(base.schedule),
        "numbers": base.numbers,
        "vocabulary": coder.get_vocab(),
        "template": coder.chat_template,
        "corpus": [[asdict(row) for row in batch] for batch in islice(batches, _SAMPLED)],
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def probe(base: Base) -> float:
    """Return the loss on the next batch after a few training steps; the same on any machine, up to rounding."""
    import torch

    coder = base.tokenizer()
    *first, last = islice(base.batches(base.schedule, coder, 0), _PROBED + 1)
    model = train(base.shape, coder, first, base.schedule, loss=base.loss)
    with torch.no_grad():
        return float(base.loss(model, last))


def save(model: Any, tokenizer: Any, path: Path) -> None:
    """Write a checkpoint: weights, configuration and tokenizer, without transformers' own progress bar."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    finally:
        if shown:
            logging.enable_progress_bar()
