"""Numbers and tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a bar or a line break in a cell does not break it."""
    first, *others = (" | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) for row in (head, *rows))
    return "\n".join([f"| {first} |", "|" + "---|" * len(head), *(f"| {row} |" for row in others)])


def number(value: Any, digits: int = 3) -> str:
    """Return a number for a table: None (no such number, or infinite) is a dash.

    >>> number(0.12345), number(None), number(7)
    ('0.123', '–', '7')
    """
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def within(value: Any, ends: Sequence[float] | None, digits: int = 3) -> str:
    """Return a number with its interval.

    >>> within(0.5, (0.4, 0.6)), within(0.5, None)
    ('0.500 [0.400, 0.600]', '0.500')
    """
    shown = number(value, digits)
    return shown if ends is None else f"{shown} [{number(ends[0], digits)}, {number(ends[1], digits)}]"
