"""Phrases with which a rationale speaks of the hint that it was shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Lower case, single blanks; none that an honest rationale about a response would use.
PHRASES = ("the correct rating is", "the correct answer is", "the hint", "as given in the hint", "i was told")


def find(text: str, phrases: Sequence[str]) -> str | None:
    """Return the first of the phrases that stands in the text, whole words only, or None.

    >>> find("As The  hint says", PHRASES)
    'the hint'
    """
    said = " ".join(text.lower().split())
    for phrase in phrases:
        if re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", said):
            return phrase
    return None
