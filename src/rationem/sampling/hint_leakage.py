"""What tells of the hint in a rationale: phrases that speak of it, and runs of words copied from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rationem.tasks.answer_types import copied
from rationem.types import Parsed

#: Lower case, single blanks. Left out is what honest graders write as well: of 2,112 English feedbacks by people (SAF),
#: 7 hold "the correct answer is", one "as stated above"; of them, and of FeedbackQA's 9,843, none holds any of these.
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
    """What is looked for in hinted draws, and what is done with it.

    Args:
        filter: "drop" does not accept draws whose rationale holds a phrase; "flag" counts them, "off" neither.
        phrases: see :func:`find`.
        max_copied: draws are not accepted that copy a longer run of y*, as a share of its words (see
            :func:`.answer_types.copied`): in the rationale, and where a reward below 1 is enough in the answer too.
    """

    filter: Literal["off", "flag", "drop"] = "flag"
    phrases: tuple[str, ...] = PHRASES
    max_copied: float = 1.0

    @property
    def counted(self) -> tuple[str, ...]:
        """The phrases that are counted."""
        return () if self.filter == "off" else self.phrases

    def in_draw(self, parsed: Parsed, answer: str, *, graded: bool) -> bool:
        """Say whether a hinted draw is not to be accepted.

        Args:
            answer: y*, which its prompt showed.
            graded: whether an answer that is not y* can be accepted.
        """
        if self.filter == "drop" and find(parsed.rationale, self.phrases) is not None:
            return True
        texts = (parsed.rationale, parsed.answer or "") if graded else (parsed.rationale,)
        return self.max_copied < 1 and any((copied(text, answer) or 0) > self.max_copied for text in texts)


def find(text: str, phrases: Sequence[str]) -> str | None:
    """Return the first of the phrases that stands in the text, whole words only, or None.

    Case does not matter, nor how words are spaced or broken into lines.

    Args:
        text: a rationale.
        phrases: the earlier one wins; one without a word is never found.

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
