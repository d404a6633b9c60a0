"""The base model ``tiny-summarizer``: built once from its recipe, then found in the cache."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from rationem.world.cache import Report, built, recipe_hash, save
from rationem.world.summaries.corpus import batches, texts
from rationem.world.summaries.readers import PREFER, WRITE
from rationem.world.training import Shape, train
from rationem.world.vocabulary import learned
from rationem.world.vocabulary import tokenizer as tokenizer_of

SHAPE = Shape(hidden=64, layers=3)
STEPS, BATCH, RATE = 1000, 32, 4e-3
VOCABULARY = 539
#: Words and single digits with the blank before them, runs of punctuation, white space.
_PIECES = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LEARNED_FROM = 4000

_HERE = "rationem.world.summaries"
_FILES = (
    *((_HERE, f"{part}.py") for part in ("posts", "readers", "corpus", "base")),
    *(("rationem.world", f"{part}.py") for part in ("training", "vocabulary", "tokens")),
)


def tiny_summarizer(
    *, seed: int = 0, rebuild: bool = False, cache: Path | None = None, report: Report | None = None
) -> Path:
    """Return the directory of the base model, pretraining it the first time (minutes, on the CPU).

    Args:
        seed: of the initial weights and of the corpus.
        rebuild: train again, and replace what the cache holds.
        cache: its directory; ``$RATIONEM_CACHE`` or ``~/.cache/rationem`` by default.
        report: called as ``report(phase, done, total)`` for a progress bar.
    """
    name = f"tiny-summarizer-{seed}-{_recipe()}"
    return built(name, lambda place: build(place, STEPS, seed, report), rebuild=rebuild, cache=cache)


def build(place: Path, steps: int, seed: int = 0, report: Report | None = None) -> None:
    """Pretrain for so many steps and write the checkpoint."""
    coder = tokenizer()
    rows = batches(coder.backend_tokenizer, BATCH, seed)
    save(train(SHAPE, coder, rows, steps=steps, rate=RATE, seed=seed, report=report), coder, place)


def tokenizer() -> Any:
    """Return the tokenizer, a new one on each call; every word of this world is one token, and any text can be read."""
    return tokenizer_of(_vocabulary())


@lru_cache(maxsize=1)
def _vocabulary() -> str:
    drawn = islice(texts(0), _LEARNED_FROM)
    said = (f"user\n{one.prompt}{one.hint}\nassistant\n{one.completion}" for one in drawn)
    return learned(said, VOCABULARY, _PIECES)


def _recipe() -> str:
    fields = {"prompt": "P", "response_a": "A", "response_b": "B"}
    asked = (task.hint_prompt(fields, answer).text for task, answer in ((WRITE, "Y"), (PREFER, "A")))
    return recipe_hash("\n".join(asked), _FILES)
