"""The kinds of task: what a run's numbers and pages need to know of its task, and nothing of its wording.

A task holds its kind. A run or a card that is read back has its description, and :func:`described` returns the same
kind from that, without running a user's program.

``Kind``         one of the levels is right: a rating, or which of several responses is best
``ChoiceKind``   one of the item's own letters is right
``OpenKind``     any text may be right
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rationem.tasks import answer_types, choices, words
from rationem.tasks.scale import OPEN, Scale
from rationem.types import Example, Fields, Finish, Outcome, Trial


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the levels is right.

    Args:
        scale: the levels.
        orders: in how many orders the responses of an item are shown; 1 where none are compared.
        rule: the name of the reward; None where a description does not say.
    """

    scale: Scale
    orders: int = 1
    rule: str | None = "exact"

    @property
    def words(self) -> words.Words:
        """What pages call things."""
        return words.JUDGE

    @property
    def leading(self) -> str:
        """The number that says how good a run is: a key of a block of scores."""
        return "accuracy"

    @property
    def parts(self) -> str:
        """What parts the items of a report: the field that names it; "" for nothing."""
        return "criterion"

    @property
    def page(self) -> str:
        """Which numbers its pages show: of "levels", of "answers" that are right or not, or of "rewards"."""
        return "levels"

    def part_of(self, example: Example) -> str:
        """Return the name of what an example is rated for, or of its subject; "" where that has none."""
        return example.fields.get("criterion") or example.fields.get(choices.SUBJECT, "")

    @property
    def estimator(self) -> str:
        """How several draws make one prediction: by their levels' mean probability, or by the answers' consensus."""
        return "levels"

    @property
    def calibrates(self) -> bool:
        """Whether a prediction is a distribution over levels, which a temperature can calibrate."""
        return True

    @property
    def scores(self) -> int:
        """How many scores stand behind a rationale: one per level, or y* alone."""
        return len(self.scale.levels)

    def place(self, answer: str) -> int:
        """Return where the score of y* stands among them."""
        return self.scale.rank(answer)

    def offered(self, fields: Fields) -> tuple[str, ...]:
        """Return the answers among which an item asks; none where any text may be one."""
        return self.scale.levels

    def offers(self, fields: Fields, answer: str) -> bool:
        """Say whether an item can be answered so."""
        return answer in self.offered(fields)

    def mask(self, fields: Fields) -> tuple[bool, ...] | None:
        """Return which levels an item offers; None where it offers all."""
        own = self.offered(fields)
        return None if len(own) == len(self.scale.levels) else tuple(level in own for level in self.scale.levels)

    def others(self, example: Example, examples: Iterable[Example]) -> list[str]:
        """Return the wrong answers that an item could be shown in the place of y*."""
        return [level for level in self.offered(example.fields) if level != example.answer]

    def hints(self, answer: str) -> tuple[str, ...]:
        """Return the answers for whose hint a shortened prompt keeps room."""
        return self.scale.levels

    def shortened(self, fields: Fields) -> str:
        """Return which field gives way where a prompt is too long: the response, or the longest of several."""
        responses = [name for name in fields if name.startswith("response")]
        return longest(fields, responses or fields)

    def priors(self, marginals: Mapping[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        """Return criterion -> the training marginal that a draw without a verdict contributes."""
        return dict(marginals)

    def says(self, trial: Trial, answer: str) -> bool:
        """Say whether a draft gives this answer."""
        return has_said(trial, answer)

    def log_prior(self, answer: str, marginal_L: Sequence[float]) -> float:
        """Return log mu(y*) of the training marginal over the levels, nats."""
        return math.log(marginal_L[self.scale.rank(answer)])


@dataclass(frozen=True, slots=True)
class ChoiceKind(Kind):
    """One of the item's own letters is right; an item with fewer choices than levels offers its own."""

    @property
    def words(self) -> words.Words:
        """What pages call things."""
        return words.CHOICE

    @property
    def parts(self) -> str:
        """The subject."""
        return "subject"

    def offered(self, fields: Fields) -> tuple[str, ...]:
        """Return the letters of the item's choices."""
        return choices.letters(fields) or self.scale.levels

    def shortened(self, fields: Fields) -> str:
        """Return the question: each choice stays whole."""
        return "prompt"


@dataclass(frozen=True, slots=True)
class OwnKind(Kind):
    """One of the levels of a user's own class is right."""

    @property
    def words(self) -> words.Words:
        """What pages call things."""
        return words.OWN

    @property
    def parts(self) -> str:
        """Nothing: the class asks one thing."""
        return ""

    def shortened(self, fields: Fields) -> str:
        """Return the longest input, whatever the user calls his inputs."""
        return longest(fields, fields)


@dataclass(frozen=True, slots=True)
class OpenKind(Kind):
    """Any text may be right: what is scored behind a rationale is the item's own y*."""

    scale: Scale = OPEN

    @property
    def words(self) -> words.Words:
        """What pages call things."""
        return words.GRADED if self.leading == "reward" else words.OPEN

    @property
    def leading(self) -> str:
        """The mean reward where an answer can be nearly right; else the share of right ones."""
        return "accuracy" if self.rule in ("exact", None) else "reward"

    @property
    def parts(self) -> str:
        """Nothing: an item's fields are what the user calls them, a mail's "subject" too."""
        return ""

    @property
    def page(self) -> str:
        """Of answers, or of rewards where these can be between 0 and 1."""
        return {"accuracy": "answers", "reward": "rewards"}[self.leading]

    def part_of(self, example: Example) -> str:
        """Return "": see :attr:`parts`."""
        return ""

    @property
    def estimator(self) -> str:
        """By the answer that the others agree with most."""
        return "consensus"

    @property
    def calibrates(self) -> bool:
        """No: how far answers agree is one number."""
        return False

    @property
    def scores(self) -> int:
        """One: that of y*."""
        return 1

    def place(self, answer: str) -> int:
        """Return the place of the only score."""
        return 0

    def offers(self, fields: Fields, answer: str) -> bool:
        """Say yes: nothing is on offer, so everything is."""
        return True

    def mask(self, fields: Fields) -> tuple[bool, ...] | None:
        """Return None: there are no levels."""
        return None

    def others(self, example: Example, examples: Iterable[Example]) -> list[str]:
        """Return the answers of the other items."""
        return [answer for answer in sorted({x.answer for x in examples}) if answer != example.answer]

    def hints(self, answer: str) -> tuple[str, ...]:
        """Return y*: another answer is as long as it likes."""
        return (answer,) if answer else ()

    def shortened(self, fields: Fields) -> str:
        """Return the longest input, whatever the user calls his inputs."""
        return longest(fields, fields)

    def priors(self, marginals: Mapping[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        """Return nothing: there is no marginal of texts."""
        return {}

    def says(self, trial: Trial, answer: str) -> bool:
        """Say whether the draft's answer earned enough to be accepted: another text may say the same."""
        return trial.outcome is Outcome.ACCEPTED

    def log_prior(self, answer: str, marginal_L: Sequence[float]) -> float:
        """Return log p of the text for a model that knows nothing of it; there is no training marginal."""
        return answer_types.unknown(answer)


def longest(fields: Fields, names: Iterable[str]) -> str:
    """Return which of these fields has the longest text, of equals the first."""
    return max(names, key=lambda name: len(fields[name]))


def has_said(trial: Trial, answer: str) -> bool:
    """Say whether a draft came to its end and says this very answer: cut off, "1" may be the beginning of "10"."""
    return trial.draft.finish is Finish.STOP and trial.parsed.answer == answer


def described(task: Mapping[str, Any]) -> Kind:
    """Return the kind of the task that ``describe`` described, as a ledger or a card holds it."""
    return recorded(
        task["scale"],
        name=task.get("name"),
        orders=task.get("candidates", 2) if task.get("pair") else 1,
        rule=task.get("reward"),
        own="own" in task,
    )


def recorded(
    scale: Mapping[str, Any], *, name: str | None, orders: int = 1, rule: str | None = "exact", own: bool = False
) -> Kind:
    """Return the kind of a task with this scale, as ``Scale.describe`` has it, and this name.

    Args:
        scale: the levels, or none.
        name: of the task.
        orders: in how many orders responses are shown.
        rule: the reward's name.
        own: whether it is a user's class.
    """
    found = Scale.from_description(scale)
    if own:
        return own_kind(found, rule)
    if found == OPEN:
        return OpenKind(rule=rule)
    return (ChoiceKind if name == "choice" else Kind)(found, orders, rule)


def own_kind(scale: Scale, rule: str | None) -> Kind:
    """Return the kind of a user's class: one of its levels is right, or any text may be."""
    return OpenKind(rule=rule) if scale == OPEN else OwnKind(scale, rule=rule)
