"""The places in a rationale that mention the hint, so that the page can mark them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rationem.sampling import hint_leakage


def finder(phrases: Sequence[str]) -> re.Pattern[str] | None:
    """Return a pattern that finds any of the phrases as :func:`.hint_leakage.find` does; None without phrases."""
    words = [phrase.split() for phrase in phrases if phrase.split()]
    if not words:
        return None
    # The longest first: of two that begin at the same place the longer one is marked.
    either = "|".join(r"\s+".join(map(re.escape, one)) for one in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)


def spans(text: str, end: int | None, phrases: Sequence[str], pattern: re.Pattern[str] | None) -> list[list[int]]:
    """Return the places of phrases in a completion, [start, end] in UTF-16 units, as JavaScript counts.

    Args:
        text: the completion.
        end: the end of its verdict marker; the text after it is not rationale. None is the whole text.
        phrases: the phrases to find.
        pattern: from :func:`finder`.

    Returns:
        Empty if nothing is found. A phrase that is found only after case folding, such as one with a sharp s, marks the
        whole rationale.
    """
    rationale = text if end is None else text[:end]
    if pattern is None or (not rationale.isascii() and hint_leakage.find(rationale, phrases) is None):
        return []
    found = [match.span() for match in pattern.finditer(rationale) if hint_leakage.find(match[0], phrases) is not None]
    if not found and not rationale.isascii():
        found = [(0, len(rationale))]
    return [[units(text, start), units(text, stop)] for start, stop in found]


def units(text: str, offset: int) -> int:
    """Return an offset in UTF-16 units, as JavaScript counts."""
    return offset + sum(character > "\uffff" for character in text[:offset])
