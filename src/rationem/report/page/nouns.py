"""A run on a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
