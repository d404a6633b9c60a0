"""The interface of a task: everything that differs between kinds of task, so that no other module asks for the kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, Self

from rationem.tasks.base import SetReading
from rationem.tasks.demonstration import Demonstration
from rationem.tasks.kinds import Kind
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale
from rationem.tasks.template import Template
from rationem.types import Example, Fields, Parsed, Prompt


class Task(Protocol):
    """What is asked, how an answer is read, and how it is rewarded.

    ``prompt`` never receives the answer: the first invariant, by signature. A class of yours inherits defaults from
    :class:`rationem.tasks.base.TaskBase`.
    """

    @property
    def name(self) -> str:
        """The name that users give."""
        ...

    @property
    def kind(self) -> Kind:
        """What metrics and pages need to know of the task; it can be restored from a ledger's description."""
        ...

    @property
    def scale(self) -> Scale:
        """The answers and their order, for the metrics."""
        ...

    @property
    def levels(self) -> tuple[str, ...]:
        """The offered answers; none if any text may be one."""
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
        """The required fields."""
        ...

    @property
    def optional(self) -> tuple[str, ...]:
        """The optional fields."""
        ...

    @property
    def asked(self) -> tuple[str, ...]:
        """The inputs by the names that callers of ``Judge.rate`` use."""
        ...

    @property
    def items(self) -> str:
        """The layout of an item: "responses", "choices", or "inputs" by the task's own names."""
        ...

    def needed(self, item: Mapping[str, object]) -> tuple[str, ...]:
        """Return the fields that this item must have; a ValueError says why it cannot be asked."""
        ...

    def criterion_of(self, item: Mapping[str, object]) -> str | None:
        """Return the name of the criterion that a caller requests for this item; None for all."""
        ...

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The criteria of an item, each in its own prompt; most tasks have one, without a name."""
        ...

    @property
    def orders(self) -> int:
        """The number of shown orders of an item; 1 if no responses are compared."""
        ...

    def every_order(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """Return each item in all its orders, copies after the original."""
        ...

    def shuffled(self, example: Example, seed: int) -> Example:
        """Return an item whose unordered parts, such as choices, have an order drawn from the seed."""
        ...

    def demonstrations(self, fields: Fields) -> tuple[Demonstration, ...]:
        """Return the task's own demonstrations, laid out as an item with these fields; none if it has no form for
        them.

        They show the form of an answer. They are about nothing in any data, and depend on what is asked and on which
        inputs the item has, not on its texts.
        """
        ...

    @property
    def wordings(self) -> Mapping[str, Template]:
        """The templates of its prompts by name; none if a program writes them."""
        ...

    @property
    def program(self) -> str | None:
        """``FILE:CLASS`` of the user's program, which another process must be told; None without one."""
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
        """A description of what ``read`` looks for in a cell; "" if only the task knows."""
        ...

    def read(self, cell: str) -> str | None:
        """Return y* as the model states it, from a cell of the user's file; None if it has no answer."""
        ...

    def format(self, rationale: str, answer: str) -> str:
        """Return a completion in the form that ``parse`` reads."""
        ...

    def scored(self, answer: str) -> tuple[str, ...]:
        """Return the texts whose probabilities after the marker are evidence of y*; see ``Kind.place``."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what identifies this task, for the ledger."""
        ...


class InputsTask(Task, Protocol):
    """A task that reads its own inputs from columns of the user's file, whatever the data holds."""

    def reworded(self, changed: Mapping[str, Any]) -> Self:
        """Return the task with another ``template``, ``hint``, ``instruction``, ``rule`` or ``marker``."""
        ...

    def reads_set(self, for_task: str, inputs: Collection[str]) -> SetReading:
        """Return how the rows of a published set are read; see :meth:`rationem.tasks.base.TaskBase.reads_set`."""
        ...
