"""The embedded data whose rationales can be checked, and the embedded base models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rationem.types import Fields
from rationem.world import addition, questions, summaries
from rationem.world.addition.base import ADDER
from rationem.world.base import JUDGE
from rationem.world.bases import Base
from rationem.world.summaries.base import SUMMARIZER

#: Says whether what a rationale claims is true of the fields; None where that cannot be read.
Faithful = Callable[[Fields, str], bool | None]

#: Embedded data -> how its rationales are checked.
FAITHFUL: dict[str, Faithful] = {
    "world": questions.faithful,
    "addition": addition.faithful,
    "summaries": summaries.faithful,
}

#: The base models by name.
BASES: dict[str, Base] = {base.name: base for base in (JUDGE, ADDER, SUMMARIZER)}


def faithful_of(notes: Mapping[str, Any]) -> Faithful | None:
    """Return how the rationales of a run are checked, by the notes of its sets; None where they cannot be."""
    return next((check for name, check in FAITHFUL.items() if notes.get(name)), None)
