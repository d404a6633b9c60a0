"""What a run's pages call things: a judge names levels and gives verdicts, which a run of mathematics has none of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Words:
    """The nouns of one kind of task.

    Args:
        who: what was trained.
        said: what it says in the end.
        right: y*, in a sentence.
        label: y*, over a column.
        none: what there is where nothing could be read.
        wrong: what a draw says that was not accepted.
        constant: what always saying the same is called; of levels the best for the scored items.
        shown: how a hinted draw was drawn.
    """

    who: str
    said: str
    right: str
    label: str
    none: str
    wrong: str
    constant: str
    shown: str


_JUDGE = Words(
    "judge",
    "level",
    "the people's level",
    "label",
    "no verdict",
    "another level",
    "best single level",
    "shown the label",
)
_CHOICE = Words(
    "model",
    "letter",
    "the right letter",
    "right letter",
    "no letter",
    "another letter",
    "best single letter",
    "shown the right letter",
)
_OPEN = Words(
    "model",
    "answer",
    "the right answer",
    "right answer",
    "no answer",
    "another answer",
    "most frequent training answer",
    "shown the right answer",
)
_GRADED = Words(
    "model",
    "answer",
    "the given answer",
    "given answer",
    "no answer",
    "too little reward",
    "most frequent training answer",
    "shown the given answer",
)


def words(summary: Mapping[str, Any]) -> Words:
    """Return what to call things on the pages of a run.

    Args:
        summary: what :func:`rationem.report.summarize` returns.
    """
    if is_open(summary):
        return _GRADED if is_graded(summary) else _OPEN
    return _CHOICE if is_choice(summary) else _JUDGE


def is_choice(summary: Mapping[str, Any]) -> bool:
    """Say whether a run answers multiple choice; its items are parted by subject, where they have one."""
    return bool((summary.get("config") or {}).get("task") == "choice")


def is_open(summary: Mapping[str, Any]) -> bool:
    """Say whether any text may be an answer: there are no levels."""
    return (summary.get("scale") or {}).get("levels") == []


def is_graded(summary: Mapping[str, Any]) -> bool:
    """Say whether open answers can be nearly right: then the mean reward counts, not the share of right ones."""
    return is_open(summary) and summary.get("reward") not in ("exact", None)


def leading(summary: Mapping[str, Any]) -> str:
    """Return the number that says how good a run is: a key of a block of scores."""
    return "reward" if is_graded(summary) else "accuracy"
