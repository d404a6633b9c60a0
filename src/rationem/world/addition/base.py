"""The base model ``tiny-adder``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from rationem.seeds import generator
from rationem.world import vocabulary
from rationem.world.addition.corpus import batches, text
from rationem.world.addition.recipe import TINY
from rationem.world.bases import Base, find
from rationem.world.training import Report, Schedule, WeightedText

VOCABULARY = 300
_LEARNED_FROM = 2000


def tiny_adder(
    *, seed: int = 0, rebuild: bool = False, cache: Path | None = None, report: Report | None = None
) -> Path:
    """Return the directory of the base model (:func:`.bases.find`)."""
    return find(ADDER, seed=seed, rebuild=rebuild, cache=cache, report=report)


def tokenizer() -> Any:
    """Return a new tokenizer; each digit is one token."""
    return vocabulary.tokenizer(_learned(), TINY.shape.positions)


def _rows(schedule: Schedule, coder: Any, seed: int) -> Iterator[list[WeightedText]]:
    return batches(replace(TINY, schedule=schedule), coder.backend_tokenizer, seed)


ADDER = Base("tiny-adder", TINY.shape, TINY.schedule, tokenizer, _rows, numbers=asdict(TINY))


@lru_cache(maxsize=1)
def _learned() -> str:
    return vocabulary.learned(_texts(), VOCABULARY)


def _texts() -> Iterator[str]:
    rng = generator(0, "addition", "tokenizer")
    for _ in range(_LEARNED_FROM):
        yield "".join(text(rng, TINY))
