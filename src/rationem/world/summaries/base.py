"""The base model ``tiny-summarizer``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from rationem.world import vocabulary
from rationem.world.bases import Base, find
from rationem.world.summaries.corpus import batches, texts
from rationem.world.training import LlamaShape, Report, Schedule, WeightedText

BATCH = 32
VOCABULARY = 539
#: Words and single digits with the space before them, runs of punctuation, white space.
_PIECES = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LEARNED_FROM = 4000


def tiny_summarizer(
    *, seed: int = 0, rebuild: bool = False, cache: Path | None = None, report: Report | None = None
) -> Path:
    """Return the directory of the base model (:func:`.bases.find`)."""
    return find(SUMMARIZER, seed=seed, rebuild=rebuild, cache=cache, report=report)


def tokenizer() -> Any:
    """Return a new tokenizer; each word of this world is one token, and any text can be encoded."""
    return vocabulary.tokenizer(_learned())


def _rows(_schedule: Schedule, coder: Any, seed: int) -> Iterator[list[WeightedText]]:
    return batches(coder.backend_tokenizer, BATCH, seed)


SUMMARIZER = Base("tiny-summarizer", LlamaShape(), Schedule(1000), tokenizer, _rows, numbers={"batch": BATCH})


@lru_cache(maxsize=1)
def _learned() -> str:
    drawn = islice(texts(0), _LEARNED_FROM)
    said = (f"user\n{one.prompt}{one.hint}\nassistant\n{one.completion}" for one in drawn)
    return vocabulary.learned(said, VOCABULARY, _PIECES)
