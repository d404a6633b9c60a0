"""What the pages of a run call things: a judge names levels and gives verdicts, which mathematics has none of."""

from __future__ import annotations

from dataclasses import dataclass


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
        row: y*, of one item.
    """

    who: str
    said: str
    right: str
    label: str
    none: str
    wrong: str
    constant: str
    shown: str
    row: str = "label"


JUDGE = Words(
    "judge",
    "level",
    "the people's level",
    "label",
    "no verdict",
    "another level",
    "best single level",
    "shown the label",
)
CHOICE = Words(
    "model",
    "letter",
    "the right letter",
    "right letter",
    "no letter",
    "another letter",
    "best single letter",
    "shown the right letter",
)
OPEN = Words(
    "model",
    "answer",
    "the right answer",
    "right answer",
    "no answer",
    "another answer",
    "most frequent training answer",
    "shown the right answer",
    row="answer",
)
GRADED = Words(
    "model",
    "answer",
    "the given answer",
    "given answer",
    "no answer",
    "too little reward",
    "most frequent training answer",
    "shown the given answer",
    row="answer",
)
