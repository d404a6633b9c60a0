"""The base model ``tiny-judge``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rationem.world import batches
from rationem.world.bases import Base, build, find
from rationem.world.recipe import MICRO, TINY, Recipe
from rationem.world.tokens import tokenizer
from rationem.world.training import Report, Schedule


def _base(name: str, recipe: Recipe) -> Base:
    def rows(schedule: Schedule, coder: Any, seed: int) -> Iterator[list[batches.AnswerTree]]:
        return batches.batches(replace(recipe, schedule=schedule), coder.backend_tokenizer, seed)

    return Base(name, recipe.shape, recipe.schedule, tokenizer, rows, batches.loss, asdict(recipe))


JUDGE = _base("tiny-judge", TINY)


def tiny_judge(
    *, seed: int = 0, rebuild: bool = False, cache: Path | None = None, report: Report | None = None
) -> Path:
    """Return the directory of the base model (:func:`.bases.find`).

    The checkpoint is a stock ``LlamaForCausalLM`` with a ``PreTrainedTokenizerFast`` and a chat template.
    """
    return find(JUDGE, seed=seed, rebuild=rebuild, cache=cache, report=report)


def micro_model(path: Path, seed: int = 0, steps: int = 0) -> Path:
    """Write a two-layer model of width 32 to ``path`` and return the path; with 0 ``steps`` random, for tests."""
    build(_base("micro", replace(MICRO, schedule=Schedule(steps))), path, seed=seed)
    return path
