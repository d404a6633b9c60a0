"""A run on a page, and the texts that many of its rows share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rationem.report.page.prompts import Wording
from rationem.report.page.sample import Candidates
from rationem.tasks.kinds import Kind
from rationem.types import Example


@dataclass(frozen=True, slots=True)
class Told:
    """One run and its numbers.

    Args:
        name: its name on the page.
        directory: the run directory.
        summary: of ``rationem.report.summarize``.
    """

    name: str
    directory: Path
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """One run's ledger and what is the same for all its trials and items.

    Args:
        sets: split -> its examples.
        phrases: what mentions the hint.
        there: the trials that the page could show.
    """

    told: Told
    db: sqlite3.Connection
    sets: Mapping[str, tuple[Example, ...]]
    wording: Wording
    kind: Kind
    phrases: tuple[str, ...]
    there: Candidates


@dataclass(slots=True)
class Numbered:
    """Texts that many rows share, each stored once; a row holds its number."""

    found: dict[Any, int] = field(default_factory=dict)

    def number(self, one: Any) -> int:
        """Return the number of a text, a new one the first time."""
        return self.found.setdefault(one, len(self.found))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.found)


@dataclass(frozen=True, slots=True)
class Shared:
    """The texts that rows of all runs share, by what they are."""

    levels: Numbered = field(default_factory=Numbered)
    purposes: Numbered = field(default_factory=Numbered)
    hints: Numbered = field(default_factory=Numbered)
    examples: Numbered = field(default_factory=Numbered)
    fields: Numbered = field(default_factory=Numbered)
    parts: Numbered = field(default_factory=Numbered)
