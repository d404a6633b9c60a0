"""The kinds of task: what metrics and pages need to know of a run's task, without its wording.

A task holds its kind. A stored run or card has only the task's description;
:func:`rationem.tasks.built_in.described` returns the same kind from that, without running a user's program.

``Kind``         one of the levels is right: a rating, or which of several responses is best
``ChoiceKind``   one of the item's own letters is right
``OpenKind``     any text may be right
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rationem.errors import ConfigError
from rationem.tasks import answer_types, choices, words
from rationem.tasks.scale import OPEN, Scale
from rationem.types import Example, Fields, Finish, Outcome, Trial


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the levels is correct.

    Args:
        scale: the levels.
        orders: the number of shown orders of an item; 1 if no responses are compared.
        rule: the name of the reward; None if a description does not have it.
    """

    scale: Scale
    orders: int = 1
    rule: str | None = "exact"

    @property
    def words(self) -> words.Words:
        """The words that pages use."""
        return words.JUDGE

    @property
    def leading(self) -> str:
        """The number that measures how good a run is: a key of a block of scores."""
        return "accuracy"

    @property
    def parts(self) -> str:
        """The field that divides the items of a report; "" for none."""
        return "criterion"

    @property
    def page(self) -> str:
        """The numbers that pages show: of "levels", of "answers" that are correct or not, or of "rewards"."""
        return "levels"

    def part_of(self, example: Example) -> str:
        """Return the name of an example's criterion or subject; "" if it has none."""
        return example.fields.get("criterion") or example.fields.get(choices.SUBJECT, "")

    @property
    def estimator(self) -> str:
        """How several drafts make one prediction: by the mean probability of the levels, or by consensus of the
        answers.
        """
        return "levels"

    def check_levels(self, task: str, asked: str, instead: str) -> None:
        """Check that a setting that needs levels can be met; they can.

        Args:
            task: the task's name.
            asked: the setting and what it needs.
            instead: what to do without levels.
        """

    @property
    def scores(self) -> int:
        """The number of scores after a rationale: one per level, or y* alone."""
        return len(self.scale.levels)

    def place(self, answer: str) -> int:
        """Return the index of the score of y* among them."""
        return self.scale.rank(answer)

    def offered(self, fields: Fields) -> tuple[str, ...]:
        """Return the answers that an item offers, those of its criterion; none if any text may be one."""
        return self.scale.of(fields.get("criterion", "")).levels

    def offers(self, fields: Fields, answer: str) -> bool:
        """Return whether an item offers this answer."""
        return answer in self.offered(fields)

    def mask(self, fields: Fields) -> tuple[bool, ...] | None:
        """Return which levels an item offers; None if it offers all."""
        own = self.offered(fields)
        return None if len(own) == len(self.scale.levels) else tuple(level in own for level in self.scale.levels)

    def others(self, example: Example, examples: Iterable[Example]) -> list[str]:
        """Return the wrong answers that an item could be shown instead of y*."""
        return [level for level in self.offered(example.fields) if level != example.answer]

    def level_of(self, answer: str) -> str:
        """Return what an answer counts as where answers are balanced: itself."""
        return answer

    def hints(self, answer: str) -> tuple[str, ...]:
        """Return the answers for whose hints a shortened prompt leaves room."""
        return self.scale.levels

    def shortened(self, fields: Fields) -> str:
        """Return the field to shorten if a prompt is too long: the response, or the longest of several."""
        responses = [name for name in fields if name.startswith("response")]
        return longest(fields, responses or fields)

    def priors(self, marginals: Mapping[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        """Return criterion -> the training marginal that an unparsed draft contributes."""
        return dict(marginals)

    def says(self, trial: Trial, answer: str) -> bool:
        """Return whether a draft gives this answer."""
        return has_said(trial, answer)

    def log_prior(self, answer: str, marginal_L: Sequence[float]) -> float:
        """Return log mu(y*) of the training marginal over the levels, nats."""
        return math.log(marginal_L[self.scale.rank(answer)])


@dataclass(frozen=True, slots=True)
class ChoiceKind(Kind):
    """One of the item's own letters is correct; an item with fewer choices than levels offers only its own."""

    @property
    def words(self) -> words.Words:
        """The words that pages use."""
        return words.CHOICE

    @property
    def parts(self) -> str:
        """The subject."""
        return "subject"

    def offered(self, fields: Fields) -> tuple[str, ...]:
        """Return the letters of the item's choices."""
        return choices.letters(fields) or self.scale.levels

    def shortened(self, fields: Fields) -> str:
        """Return the question: choices are never shortened."""
        return "prompt"


@dataclass(frozen=True, slots=True)
class OwnKind(Kind):
    """One of the levels of a user's own class is correct."""

    @property
    def words(self) -> words.Words:
        """The words that pages use."""
        return words.OWN

    @property
    def parts(self) -> str:
        """Nothing: the class asks one question."""
        return ""

    def shortened(self, fields: Fields) -> str:
        """Return the longest input, whatever its name."""
        return longest(fields, fields)


@dataclass(frozen=True, slots=True)
class OpenKind(Kind):
    """Any text may be correct: the item's own y* is scored after a rationale."""

    scale: Scale = OPEN

    @property
    def words(self) -> words.Words:
        """The words that pages use."""
        return words.GRADED if self.leading == "reward" else words.OPEN

    @property
    def leading(self) -> str:
        """The mean reward if an answer can be nearly correct; otherwise the share of correct ones."""
        return "accuracy" if self.rule in ("exact", None) else "reward"

    @property
    def parts(self) -> str:
        """Nothing: field names belong to the user, even one called "subject"."""
        return ""

    @property
    def page(self) -> str:
        """Of answers, or of rewards if these can be between 0 and 1."""
        return {"accuracy": "answers", "reward": "rewards"}[self.leading]

    def part_of(self, example: Example) -> str:
        """Return "": see :attr:`parts`."""
        return ""

    @property
    def estimator(self) -> str:
        """By the answer that agrees most with the others."""
        return "consensus"

    def check_levels(self, task: str, asked: str, instead: str) -> None:
        """Raise a ConfigError: there are no levels."""
        raise ConfigError(f"{asked}, but the task {task!r} has open answers and no levels. {instead}")

    @property
    def scores(self) -> int:
        """One: that of y*."""
        return 1

    def place(self, answer: str) -> int:
        """Return the place of the only score."""
        return 0

    def offers(self, fields: Fields, answer: str) -> bool:
        """Return True: without levels every answer is possible."""
        return True

    def mask(self, fields: Fields) -> tuple[bool, ...] | None:
        """Return None: there are no levels."""
        return None

    def others(self, example: Example, examples: Iterable[Example]) -> list[str]:
        """Return the answers of the other items."""
        return [answer for answer in sorted({x.answer for x in examples}) if answer != example.answer]

    def level_of(self, answer: str) -> str:
        """Return "": texts are not balanced."""
        return ""

    def hints(self, answer: str) -> tuple[str, ...]:
        """Return y*: the length of any other answer is unknown."""
        return (answer,) if answer else ()

    def shortened(self, fields: Fields) -> str:
        """Return the longest input, whatever its name."""
        return longest(fields, fields)

    def priors(self, marginals: Mapping[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        """Return nothing: texts have no marginal."""
        return {}

    def says(self, trial: Trial, answer: str) -> bool:
        """Return whether the draft's reward reaches the threshold; a different text may express the same answer."""
        return trial.outcome is Outcome.ACCEPTED

    def log_prior(self, answer: str, marginal_L: Sequence[float]) -> float:
        """Return log p of the text under an uninformed model; there is no training marginal."""
        return answer_types.unknown(answer)


def longest(fields: Fields, names: Iterable[str]) -> str:
    """Return the field with the longest text; of equals, the first."""
    return max(names, key=lambda name: len(fields[name]))


def has_said(trial: Trial, answer: str) -> bool:
    """Return whether a draft is complete and states exactly this answer: cut off, "1" may be the start of "10"."""
    return trial.draft.finish is Finish.STOP and trial.parsed.answer == answer


def own_kind(scale: Scale, rule: str | None) -> Kind:
    """Return the kind of a user's class: one of its levels is correct, or any text may be."""
    return OpenKind(rule=rule) if scale == OPEN else OwnKind(scale, rule=rule)
