"""The common part of most tasks: one question, asked once, and the form of a completion."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING

from rationem.errors import ConfigError
from rationem.tasks.demonstration import Demonstration
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale
from rationem.tasks.template import Template
from rationem.types import Example, Fields


class SetReading(Enum):
    """How a task reads rows of a published set."""

    AS_PUBLISHED = auto()
    BY_NAME = auto()  # from columns that have the names of the inputs, unless the user names the set
    NOT = auto()


class TaskBase:
    """The rest of a :class:`~rationem.tasks.protocol.Task`, from its ``name``, ``scale``, ``inputs``, ``optional``
    inputs and ``marker``.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # each task defines these itself

        @property
        def name(self) -> str:
            """The name that users give."""
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
        def marker(self) -> str:
            """Opens the line of the answer."""
            ...

        @property
        def scale(self) -> Scale:
            """The answers and their order."""
            ...

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """One unnamed criterion."""
        return (Criterion(),)

    @property
    def orders(self) -> int:
        """One: no responses are compared."""
        return 1

    @property
    def program(self) -> str | None:
        """None: no program writes its prompts."""
        return None

    @property
    def levels(self) -> tuple[str, ...]:
        """The offered answers; none if any text may be one."""
        return self.scale.levels

    @property
    def continuations(self) -> tuple[str, ...]:
        """What may follow the marker, one text per level."""
        return self.scale.continuations()

    def reads_set(self, for_task: str, inputs: Collection[str]) -> SetReading:
        """Return how the rows of a published set are read: its columns if it has these inputs.

        Args:
            for_task: the task that the set is for.
            inputs: the inputs that it has columns for.
        """
        return SetReading.AS_PUBLISHED if set(self.inputs) == set(inputs) else SetReading.BY_NAME

    @property
    def asked(self) -> tuple[str, ...]:
        """The inputs by the names that callers use."""
        return self.inputs

    @property
    def items(self) -> str:
        """Inputs by the task's own names."""
        return "inputs"

    def needed(self, item: Mapping[str, object]) -> tuple[str, ...]:
        """Return the fields that this item must have."""
        return self.inputs

    def criterion_of(self, item: Mapping[str, object]) -> str | None:
        """Return None: one thing is asked, and "criterion" may be an input like any other."""
        return None

    def every_order(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """Return the items: each has one order."""
        return tuple(examples)

    def shuffled(self, example: Example, seed: int) -> Example:
        """Return the item: nothing in it can change places."""
        return example

    def demonstrations(self, fields: Fields) -> tuple[Demonstration, ...]:
        """Return no demonstrations of the task's own."""
        return ()

    @property
    def reads(self) -> str:
        """Empty: the form of an answer is unknown."""
        return ""

    @property
    def wordings(self) -> Mapping[str, Template]:
        """The templates of its prompts by name."""
        return {}

    def format(self, rationale: str, answer: str) -> str:
        """Return a completion in the form that ``parse`` reads."""
        said = f"{self.marker} {answer}"
        return f"{rationale}\n{said}" if rationale else said

    def scored(self, answer: str) -> tuple[str, ...]:
        """Return the texts that are scored after the marker: every level, or y* if there are none."""
        return self.continuations or (f" {answer}",)

    def shown(self, fields: Fields) -> dict[str, str]:
        """Return the task's own inputs and no other field of an item; missing optional inputs are empty.

        Raises:
            ConfigError: an input is missing.
        """
        missing = [name for name in self.inputs if name not in fields]
        if missing:
            raise ConfigError(
                f"The task {self.name!r} reads {missing}, which an item has not; it has {sorted(fields)}."
            )
        given = {name: fields[name] for name in (*self.inputs, *self.optional) if name in fields}
        return {**dict.fromkeys(self.optional, ""), **given}
