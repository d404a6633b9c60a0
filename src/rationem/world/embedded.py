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

#: Whether a rationale's claims are true of the fields; None if it has no readable claims.
Faithful = Callable[[Fields, str], bool | None]

#: Embedded data set -> the check of its rationales.
FAITHFUL: dict[str, Faithful] = {
    "world": questions.faithful,
    "addition": addition.faithful,
    "summaries": summaries.faithful,
}

#: The base models by name.
BASES: dict[str, Base] = {base.name: base for base in (JUDGE, ADDER, SUMMARIZER)}


def faithful_of(notes: Mapping[str, Any]) -> Faithful | None:
    """Return the check of a run's rationales, found by the notes of its sets; None if there is no check."""
    return next((check for name, check in FAITHFUL.items() if notes.get(name)), None)
