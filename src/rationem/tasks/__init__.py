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
from rationem.tasks import choices
from rationem.tasks.answer import OPEN_TASKS, AnswerTask
from rationem.tasks.judge import NAMES, JudgeTask
from rationem.tasks.own import OwnTask, is_own, is_program, is_python, named_before, read_task
from rationem.tasks.protocol import Task
from rationem.tasks.scale import Scale
from rationem.tasks.template import packaged

__all__ = ["InputsTask", "from_description", "named", "of_inputs"]

#: The tasks that read their own inputs.
InputsTask = AnswerTask | OwnTask


def named(name: str) -> Task:
    """Return a task by its name, independent of any data, or a user's own task from its file.

    Raises:
        ConfigError: there is no such task.
    """
    if (found := of_inputs(name)) is not None:
        return found
    usual = {
        "judge": lambda: JudgeTask(Scale.parse("1-5")),
        "choice": lambda: JudgeTask(choices.scale_of(4), template=packaged("choice"), name="choice"),
    }
    if name in usual:
        return usual[name]()
    known = [*NAMES, *OPEN_TASKS]
    raise ConfigError(
        f"There is no task {name!r}.{closest(name, known)} Use one of {known}, or your own: my_task.py:MyTask, "
        "my_task.toml (rationem task new writes one)."
    )


def of_inputs(name: str) -> InputsTask | None:
    """Return the task of this name if it reads its own inputs; otherwise None.

    Raises:
        ConfigError: a user's file cannot be read, or is not a task.
    """
    if is_own(name) or is_python(name):
        return read_task(name)
    return OPEN_TASKS[name]() if name in OPEN_TASKS else None


def from_description(description: Mapping[str, Any]) -> Task:
    """Return the task from its ``describe``, as stored in the ledger and in a judge card.

    Raises:
        ConfigError: the task is unknown, or a program that this process was not told to run.
    """
    if is_program(description):
        return named_before(description)
    if "answer" in description:
        return AnswerTask.from_description(description)
    if description.get("name") in NAMES:
        return JudgeTask.from_description(description)
    raise ConfigError(f"There is no task {description.get('name')!r} that can be read back from its description.")
