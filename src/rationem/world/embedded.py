"""What the embedded data and models are known by: whose rationales can be checked, and what a recipe says of sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rationem.types import Fields
from rationem.world import addition, questions, summaries
from rationem.world.training import Shape

#: Says whether what a rationale claims is true of the fields; None where that cannot be read.
Faithful = Callable[[Fields, str], bool | None]

#: Embedded data -> how its rationales are checked.
FAITHFUL: dict[str, Faithful] = {
    "world": questions.faithful,
    "addition": addition.faithful,
    "summaries": summaries.faithful,
}


def faithful_of(notes: Mapping[str, Any]) -> Faithful | None:
    """Return how the rationales of a run are checked, by the notes of its sets; None where they cannot be."""
    return next((check for name, check in FAITHFUL.items() if notes.get(name)), None)


def shape_of(model: str) -> tuple[Shape, int]:
    """Return an embedded model's shape and the size of its vocabulary, by its recipe: nothing is built."""
    if model == "tiny-adder":
        from rationem.world.addition import base
        from rationem.world.addition.recipe import TINY as ADDER

        return ADDER.shape, base.VOCABULARY
    if model == "tiny-summarizer":
        from rationem.world.summaries import base as summarizer

        return summarizer.SHAPE, summarizer.VOCABULARY
    from rationem.world.recipe import TINY
    from rationem.world.tokens import VOCABULARY

    return Shape(TINY.hidden, TINY.layers, TINY.heads, TINY.inner), VOCABULARY
