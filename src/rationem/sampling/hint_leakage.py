"""Signs of hint leakage in a rationale: phrases that mention the hint, and runs of words copied from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rationem.tasks.answer_types import copied
from rationem.types import Parsed

#: Lower case, single blanks. Phrases that honest graders also write are left out: of 2,112 English feedbacks by people
#: (SAF), 7 hold "the correct answer is" and one "as stated above". None of them, and none of FeedbackQA's 9,843, holds
#: any phrase below.
PHRASES = (
    "the hint",
    "i was told",
    "i am told",
    "i was given the",
    "the correct rating",
    "the correct verdict",
    "the given rating",
    "the rating given",
    "the rating i was given",
    "the rating is given as",
    "the provided rating",
    "the stated rating",
    "asked to explain why",
    "asked to justify",
    "explain why the rating is",
)


@dataclass(frozen=True, slots=True)
class HintLeakage:
    """What to look for in hinted drafts, and what to do about it.

    Args:
        filter: "drop" rejects drafts whose rationale holds a phrase; "flag" only counts them; "off" does neither.
        phrases: see :func:`find`.
        max_copied: reject drafts that copy a longer run of y*, as a share of its words (see
            :func:`.answer_types.copied`): in the rationale, and also in the answer if a reward below 1 is enough.
    """

    filter: Literal["off", "flag", "drop"] = "flag"
    phrases: tuple[str, ...] = PHRASES
    max_copied: float = 1.0

    @property
    def counted(self) -> tuple[str, ...]:
        """The phrases to count."""
        return () if self.filter == "off" else self.phrases

    def in_draw(self, parsed: Parsed, answer: str, *, graded: bool) -> bool:
        """Return whether a hinted draft must be rejected.

        Args:
            answer: y*, the hint in its prompt.
            graded: whether an answer other than y* can be accepted.
        """
        if self.filter == "drop" and find(parsed.rationale, self.phrases) is not None:
            return True
        texts = (parsed.rationale, parsed.answer or "") if graded else (parsed.rationale,)
        return self.max_copied < 1 and any((copied(text, answer) or 0) > self.max_copied for text in texts)


def find(text: str, phrases: Sequence[str]) -> str | None:
    """Return the first of the phrases that occurs in the text as whole words, or None.

    Case, spacing and line breaks do not matter.

    Args:
        text: a rationale.
        phrases: in order of priority; a phrase without a word is never found.

    >>> find("As The  hint says", PHRASES)
    'the hint'
    """
    said = _plain(text)
    for phrase in phrases:
        sought = _plain(phrase)
        if sought and re.search(rf"(?<!\w){re.escape(sought)}(?!\w)", said):
            return phrase
    return None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
