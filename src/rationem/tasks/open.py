"""What all tasks with an open answer have in common: no levels, one question, and the form of a completion."""

from __future__ import annotations

from rationem.errors import ConfigError
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import OPEN, Scale
from rationem.types import Fields


class Open:
    """A task without levels; its subclasses have a ``name``, ``inputs``, ``optional`` inputs and a ``marker``."""

    __slots__ = ()

    name: str
    inputs: tuple[str, ...]
    optional: tuple[str, ...]
    marker: str

    #: One thing is asked, once: nothing of a judge's criteria, orders and letters.
    criteria = (Criterion(),)
    choice = False
    pair = False
    orders = 1

    @property
    def scale(self) -> Scale:
        """No levels: any text may be an answer."""
        return OPEN

    @property
    def levels(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def continuations(self) -> tuple[str, ...]:
        """None: what is scored behind a rationale is the item's own y*."""
        return ()

    def format(self, rationale: str, answer: str) -> str:
        """Return a completion in the form that ``parse`` reads."""
        said = f"{self.marker} {answer}"
        return f"{rationale}\n{said}" if rationale else said

    def shown(self, fields: Fields) -> dict[str, str]:
        """Return the task's own inputs, and nothing else of an item; optional ones that it has not are empty.

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
