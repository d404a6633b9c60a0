"""The content of a page: runs, and the sections of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem.report.part import Figure, Table


@dataclass(frozen=True, slots=True)
class Section:
    """A block of a comparison's page after the headline.

    Args:
        title: its heading.
        text: paragraphs, separated by blank lines; plain text.
        table: shown below the text, if any.
        figures: shown below the table.
    """

    title: str
    text: str
    table: Table | None = None
    figures: tuple[Figure, ...] = ()


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
