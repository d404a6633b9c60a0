"""The base model ``tiny-adder``: built once from its recipe, then found in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from rationem.seeds import generator
from rationem.world.addition.recipe import TINY, Recipe
from rationem.world.addition.sums import TASK
from rationem.world.cache import Report, built, recipe_hash, save

#: The modules whose code or constants decide the weights; any change to them names another cached model.
_PARTS = tuple(("rationem.world.addition", f"{part}.py") for part in ("sums", "corpus", "recipe", "base"))
_SHARED = tuple(("rationem.world", f"{part}.py") for part in ("tokens", "training", "vocabulary"))
VOCABULARY = 300
_LEARNED_FROM = 2000


def tiny_adder(
    *,
    seed: int = 0,
    rebuild: bool = False,
    cache: Path | None = None,
    report: Report | None = None,
    recipe: Recipe = TINY,
) -> Path:
    """Return the directory of the base model, pretraining it the first time (minutes, on the CPU).

    Args:
        seed: of the initial weights and of the corpus.
        rebuild: train again, and replace what the cache holds.
        cache: its directory; ``$RATIONEM_CACHE`` or ``~/.cache/rationem`` by default.
        report: called as ``report(phase, done, total)`` for a progress bar.
        recipe: another one than the usual.
    """

    def build(path: Path) -> None:
        from rationem.world.addition.corpus import batches
        from rationem.world.training import train
        from rationem.world.vocabulary import tokenizer

        coder = tokenizer(_learned(), recipe.shape.positions)
        rows = batches(recipe, coder.backend_tokenizer, seed)
        save(
            train(recipe.shape, coder, rows, steps=recipe.steps, rate=recipe.rate, seed=seed, report=report),
            coder,
            path,
        )

    wording = f"{recipe}{TASK.describe()}"
    return built(f"tiny-adder-{seed}-{recipe_hash(wording, (*_PARTS, *_SHARED))}", build, rebuild=rebuild, cache=cache)


@lru_cache(maxsize=1)
def _learned() -> str:
    from rationem.world.vocabulary import learned

    return learned(_texts(), VOCABULARY)


def _texts() -> Iterator[str]:
    from rationem.world.addition.corpus import text

    rng = generator(0, "addition", "tokenizer")
    for _ in range(_LEARNED_FROM):
        yield "".join(text(rng, TINY))
