"""The base model ``tiny-judge``: built once from its recipe, then found in the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rationem.world import cache as caching
from rationem.world.cache import Report, built, save
from rationem.world.rubrics import TASK

#: The modules whose code or constants decide the weights; any change to them names another cached model.
_PARTS = ("questions", "rubrics", "prose", "corpus", "tokens", "recipe", "batches", "pretrain")
_RECIPE = ("words.txt", *(f"{part}.py" for part in _PARTS))


def tiny_judge(
    *, seed: int = 0, rebuild: bool = False, cache: Path | None = None, report: Report | None = None
) -> Path:
    """Return the directory of the base model, pretraining it the first time (minutes, on the CPU).

    The checkpoint is a stock ``LlamaForCausalLM`` with a ``PreTrainedTokenizerFast`` and a chat template. It appears
    in the cache complete or not at all.

    Args:
        seed: of the initial weights and of the corpus.
        rebuild: train again, and replace what the cache holds.
        cache: its directory; ``$RATIONEM_CACHE`` or ``~/.cache/rationem`` by default.
        report: called as ``report(phase, done, total)`` for a progress bar.
    """

    def build(path: Path) -> None:
        from rationem.world.pretrain import train
        from rationem.world.recipe import TINY

        _save(train(TINY, seed, report), path)

    return built(f"tiny-judge-{seed}-{recipe_hash()}", build, rebuild=rebuild, cache=cache)


def micro_model(path: Path, seed: int = 0, steps: int = 0) -> Path:
    """Write a two-layer model of width 32 to ``path`` and return it: random at 0 ``steps``, for tests of plumbing."""
    from rationem.world.pretrain import train
    from rationem.world.recipe import MICRO

    _save(train(replace(MICRO, steps=steps, threads=1), seed), path)
    return path


def recipe_hash() -> str:
    """Return twelve hex digits that name the recipe: a hash over the wording and all files that decide the weights."""
    asked = TASK.hint_prompt({"prompt": "PROMPT", "response": "RESPONSE"}, TASK.levels[0]).text
    return caching.recipe_hash(asked, [(str(__package__), name) for name in _RECIPE])


def _save(model: Any, path: Path) -> None:
    from rationem.world.tokens import tokenizer

    save(model, tokenizer(), path)
