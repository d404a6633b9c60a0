"""The control with k solved examples in the prompt: the same task, shown with answers and without rationales."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rationem.seeds import seed_for
from rationem.tasks.choices import LABELS, is_choice
from rationem.tasks.kinds import Kind
from rationem.tasks.protocol import Task
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale
from rationem.tasks.template import Template
from rationem.types import Example, Fields, Parsed, Prompt


@dataclass(frozen=True, slots=True)
class Shots:
    """A task whose prompts begin with solved examples: question, verdict line, question, verdict line, ..., question.

    Args:
        task: the same task without them.
        shown: the examples, in order; see :func:`choose_shots`.
    """

    task: Task
    shown: tuple[Example, ...]

    @property
    def name(self) -> str:
        """The task's name and the number of examples."""
        return f"{self.task.name}, {len(self.shown)} shots"

    @property
    def scale(self) -> Scale:
        """As without the examples."""
        return self.task.scale

    @property
    def levels(self) -> tuple[str, ...]:
        """As without the examples."""
        return self.task.levels

    @property
    def continuations(self) -> tuple[str, ...]:
        """As without the examples."""
        return self.task.continuations

    @property
    def marker(self) -> str:
        """As without the examples."""
        return self.task.marker

    @property
    def kind(self) -> Kind:
        """As without the examples."""
        return self.task.kind

    @property
    def inputs(self) -> tuple[str, ...]:
        """As without the examples."""
        return self.task.inputs

    @property
    def optional(self) -> tuple[str, ...]:
        """As without the examples."""
        return self.task.optional

    @property
    def asked(self) -> tuple[str, ...]:
        """As without the examples."""
        return self.task.asked

    @property
    def items(self) -> str:
        """As without the examples."""
        return self.task.items

    def needed(self, item: Mapping[str, object]) -> tuple[str, ...]:
        """As without the examples."""
        return self.task.needed(item)

    def criterion_of(self, item: Mapping[str, object]) -> str | None:
        """As without the examples."""
        return self.task.criterion_of(item)

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """As without the examples."""
        return self.task.criteria

    @property
    def orders(self) -> int:
        """As without the examples."""
        return self.task.orders

    @property
    def wordings(self) -> Mapping[str, Template]:
        """As without the examples."""
        return self.task.wordings

    def every_order(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """Return each item in all its orders, as without the examples."""
        return self.task.every_order(examples)

    def shuffled(self, example: Example, seed: int) -> Example:
        """Return an item in another order, as without the examples."""
        return self.task.shuffled(example, seed)

    @property
    def reads(self) -> str:
        """As without the examples."""
        return self.task.reads

    @property
    def program(self) -> str | None:
        """As without the examples."""
        return self.task.program

    def prompt(self, fields: Fields) -> Prompt:
        """Return the solved examples followed by forward(x)."""
        return Prompt(f"{self._solved()}{self.task.prompt(fields).text}")

    def hint_prompt(self, fields: Fields, answer: str) -> Prompt:
        """Return the solved examples followed by rationalize(x, y*)."""
        return Prompt(f"{self._solved()}{self.task.hint_prompt(fields, answer).text}", "rationalize")

    def parse(self, text: str) -> Parsed:
        """Split a completion, as without the examples."""
        return self.task.parse(text)

    def reward(self, predicted: str, answer: str) -> float:
        """Return r(y_hat, y*), as without the examples."""
        return self.task.reward(predicted, answer)

    def read(self, cell: str) -> str | None:
        """Return y* from a cell, as without the examples."""
        return self.task.read(cell)

    def scored(self, answer: str) -> tuple[str, ...]:
        """Return what is scored after the marker, as without the examples."""
        return self.task.scored(answer)

    def format(self, rationale: str, answer: str) -> str:
        """Return a completion, as without the examples."""
        return self.task.format(rationale, answer)

    def describe(self) -> dict[str, Any]:
        """Return the task's description and the ids shown."""
        return {**self.task.describe(), "shots": [x.id for x in self.shown]}

    def _solved(self) -> str:
        texts = (f"{self.task.prompt(x.fields).text}\n{self.task.format('', x.answer)}\n\n" for x in self.shown)
        return "".join(texts)


def choose_shots(train: Sequence[Example], count: int, seed: int, asked: Sequence[Example] = ()) -> tuple[Example, ...]:
    """Return ``count`` training examples, taken from the labels in turn so that no level is missing unnecessarily.

    No item that is asked is shown, on any criterion. At most one example of a group is shown, so that an item does not
    appear with each of its ratings; if there are fewer groups, there are fewer examples. The examples and their order
    depend on the seed and the ids, not on the order of the file.

    Args:
        train: the examples to choose from.
        count: the number of examples.
        seed: the run's seed.
        asked: the items before which the examples are shown.
    """
    hidden = {_inputs(x) for x in asked}
    by_answer: dict[str, list[Example]] = defaultdict(list)
    for x in sorted(train, key=lambda x: seed_for(seed, "shots", x.id)):
        if _inputs(x) not in hidden:
            by_answer[x.answer].append(x)
    turns = sorted(by_answer.values(), key=lambda several: seed_for(seed, "shots", several[0].id))
    longest = max(map(len, turns), default=0)
    dealt = [several[turn] for turn in range(longest) for several in turns if turn < len(several)]
    of_group: dict[str, Example] = {}
    for x in dealt:
        of_group.setdefault(x.group, x)
    return tuple(of_group.values())[:count]


def _inputs(x: Example) -> tuple[tuple[str, str], ...]:
    """Return the rated inputs, without the criterion; choices without their order."""
    left_out = ("criterion", LABELS)
    fields = [("choice" if is_choice(name) else name, text) for name, text in x.fields.items() if name not in left_out]
    return tuple(sorted(fields))
