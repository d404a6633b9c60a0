"""A user's text on a terminal: its characters are shown and never interpreted."""

from __future__ import annotations

from rationem.progress import plain, tolerate

__all__ = ["counted", "plain", "short", "tolerate"]


def short(text: str, width: int = 40) -> str:
    """Return at most ``width`` characters of the text in one plain line, with three dots for omitted text.

    >>> short("a long text that goes on", 10)
    'a long ...'
    """
    line = plain(" ".join(text.split()))
    return line if len(line) <= width else f"{line[: width - 4].rstrip()} ..."


def counted(count: int, one: str, many: str) -> str:
    """Return a number and what it counts, with the verb that goes with it.

    >>> counted(1, "row is", "rows are"), counted(0, "row is", "rows are")
    ('1 row is', '0 rows are')
    """
    return f"{count} {one if count == 1 else many}"
