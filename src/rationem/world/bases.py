"""Embedded base models: with seed 0 they come with the package, with any other they are built from their recipe."""

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

#: Steps of the short run whose corpus the digest covers: one chunk of each half, and every kind of batch.
_SAMPLED = 32
#: Steps before the probe.
_PROBED = 3


@dataclass(frozen=True, slots=True)
class Base:
    """What decides the weights of an embedded model, and how they are trained.

    Args:
        name: of the model.
        shape: of the model.
        schedule: of its training.
        tokenizer: learns it.
        batches: (schedule, tokenizer, seed) -> the batch of every step, a sequence of rows (dataclasses).
        loss: (model, batch) -> what a step goes down.
        numbers: what else decides the corpus; a change that a sample of the corpus may not show.
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
    """Return the directory of a base model: of seed 0 the package's own, of another one in the cache.

    Args:
        base: which one.
        seed: of the initial weights and of the corpus.
        rebuild: train it on this machine (minutes, on the CPU) and replace what the cache holds, also with seed 0.
        cache: its directory; ``$RATIONEM_CACHE`` or ``~/.cache/rationem`` by default.
        report: called as ``report(phase, done, total)`` for a progress bar.

    Raises:
        ModelError: the package's files are not those that it was made with.
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
    """Return twelve hex digits that name the recipe: of its numbers, its vocabulary, and the corpus of a short run.

    The corpus is taken as token ids with their loss weights, so that wording, prompts and formats are all in it, and
    code that is written otherwise and does the same changes nothing. What the digest cannot see, the code of the
    training itself, is what :func:`probe` is for.
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
    """Return the loss after a few steps of the training, on the next batch; the same on any machine, up to rounding."""
    import torch

    coder = base.tokenizer()
    *first, last = islice(base.batches(base.schedule, coder, 0), _PROBED + 1)
    model = train(base.shape, coder, first, base.schedule, loss=base.loss)
    with torch.no_grad():
        return float(base.loss(model, last))


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
