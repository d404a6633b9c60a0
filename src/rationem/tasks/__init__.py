"""Tasks: what is asked, how an answer is read, and how it is rewarded.

``judge``        rate a response, compare several, or choose among letters: the answer is one of the levels
``answer``       one line of text: a number, a summary, or whatever a pattern reads
``own``          a user's class or TOML file
``conformance``  what every task must keep to; ``rationem task check``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.errors import ConfigError, closest
from rationem.tasks.answer import AnswerTask
from rationem.tasks.built_in import BUILT_IN
from rationem.tasks.own import is_own, is_program, is_python, named_before, read_task
from rationem.tasks.protocol import InputsTask, Task

__all__ = ["InputsTask", "from_description", "named", "of_inputs"]


def named(name: str) -> Task:
    """Return a task by its name, independent of any data, or a user's own task from its file.

    Raises:
        ConfigError: there is no such task.
    """
    return BUILT_IN[name].usual() if name in BUILT_IN else _own(name)


def of_inputs(name: str) -> InputsTask | None:
    """Return the task of this name if it reads its own inputs; None if the data makes it.

    Raises:
        ConfigError: there is no such task, or a user's file cannot be read, or is not a task.
    """
    if name not in BUILT_IN:
        return _own(name)
    made = BUILT_IN[name].from_inputs
    return made() if made else None


def _own(name: str) -> InputsTask:
    if is_own(name) or is_python(name):
        return read_task(name)
    raise ConfigError(
        f"There is no task {name!r}.{closest(name, BUILT_IN)} Use one of {list(BUILT_IN)}, or your own: "
        "my_task.py:MyTask, my_task.toml (rationem task new writes one)."
    )


def from_description(description: Mapping[str, Any]) -> Task:
    """Return the task from its ``describe``, as stored in the ledger and in a judge card.

    Raises:
        ConfigError: the task is unknown, or a program that this process was not told to run.
    """
    if is_program(description):
        return named_before(description)
    if "answer" in description:
        return AnswerTask.from_description(description)  # built in, or from a TOML file
    name = description.get("name")
    if not isinstance(name, str) or name not in BUILT_IN:
        raise ConfigError(f"There is no task {name!r} that can be read back from its description.")
    return BUILT_IN[name].read_back(description)
