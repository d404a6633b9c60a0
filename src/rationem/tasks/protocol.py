"""What a task must say of itself: all that differs between kinds of task, so that nobody else asks for the kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rationem.tasks.kinds import Kind
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale
from rationem.tasks.template import Template
from rationem.types import Example, Fields, Parsed, Prompt


class Task(Protocol):
    """What is asked, how an answer is read, and what it is worth.

    ``prompt`` is never handed the answer: the first invariant, by signature. A class of yours takes what it
    does not say itself from :class:`rationem.tasks.base.TaskBase`.
    """

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def kind(self) -> Kind:
        """What numbers and pages need to know of it; a ledger's description gives it back."""
        ...

    @property
    def scale(self) -> Scale:
        """The answers and their order, for the metrics."""
        ...

    @property
    def levels(self) -> tuple[str, ...]:
        """The answers on offer; none where any text may be one."""
        ...

    @property
    def continuations(self) -> tuple[str, ...]:
        """What may follow the verdict marker, one text per level."""
        ...

    @property
    def marker(self) -> str:
        """The text that opens the line of the answer; z ends before it."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields that an item must have."""
        ...

    @property
    def optional(self) -> tuple[str, ...]:
        """The fields that an item can be without."""
        ...

    @property
    def asked(self) -> tuple[str, ...]:
        """The inputs as a caller of ``Judge.rate`` names them."""
        ...

    @property
    def items(self) -> str:
        """How an item is laid out: "responses", "choices", or "inputs" by the task's own names."""
        ...

    def needed(self, item: Mapping[str, object]) -> tuple[str, ...]:
        """Return the fields that this item must have; a ValueError says why it cannot be asked."""
        ...

    def criterion_of(self, item: Mapping[str, object]) -> str | None:
        """Return the name of the criterion that a caller wants this item to be rated for; None for all."""
        ...

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What is asked of an item, each in a prompt of its own; most tasks ask one thing, without a name."""
        ...

    @property
    def orders(self) -> int:
        """In how many orders the responses of an item are shown; 1 where none are compared."""
        ...

    def every_order(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """Return each item in all its orders, the copies behind the original."""
        ...

    def shuffled(self, example: Example, seed: int) -> Example:
        """Return an item with what has no order of its own, such as choices, in one drawn from the seed."""
        ...

    @property
    def wordings(self) -> Mapping[str, Template]:
        """The templates of its prompts by name; none where a program writes them."""
        ...

    @property
    def program(self) -> str | None:
        """``FILE:CLASS`` of the user's program that another process has to be told; None without one."""
        ...

    def prompt(self, fields: Fields) -> Prompt:
        """Return forward(x)."""
        ...

    def hint_prompt(self, fields: Fields, answer: str) -> Prompt:
        """Return rationalize(x, y*)."""
        ...

    def parse(self, text: str) -> Parsed:
        """Split a completion; total: never raises."""
        ...

    def reward(self, predicted: str, answer: str) -> float:
        """Return r(y_hat, y*) in [0, 1]."""
        ...

    @property
    def reads(self) -> str:
        """What ``read`` looks for in a cell, in words; "" where only the task can say."""
        ...

    def read(self, cell: str) -> str | None:
        """Return y* as it is said, from a cell of the user's file; None where it holds none."""
        ...

    def format(self, rationale: str, answer: str) -> str:
        """Return a completion in the form that ``parse`` reads."""
        ...

    def scored(self, answer: str) -> tuple[str, ...]:
        """Return the texts whose probabilities behind the marker are evidence of y*; see ``Kind.place``."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what tells this task from another, for the ledger."""
        ...
