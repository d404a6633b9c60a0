"""Tasks: what is asked, how an answer is read, and what it is worth.

``judge``        rate a response, compare several, or choose among letters: the answer is one of the levels
``answer``       one line of text: a number, a summary, or whatever a pattern reads
``own``          a user's class or TOML file
``conformance``  what every task must keep to; ``rationem task check``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.errors import ConfigError
from rationem.tasks.answer import AnswerTask
from rationem.tasks.judge import NAMES, JudgeTask
from rationem.tasks.own import OwnTask, named_before

__all__ = ["AnyTask", "from_description"]

#: Every kind of task that a run can have.
AnyTask = JudgeTask | AnswerTask | OwnTask


def from_description(description: Mapping[str, Any]) -> AnyTask:
    """Return the task that its ``describe`` described, as the ledger and a judge's card hold it.

    Raises:
        ConfigError: it is no task of ours, or a program that this process was not told to run.
    """
    if "own" in description:
        return named_before(description)
    if "answer" in description:
        return AnswerTask.from_description(description)
    if description.get("name") in NAMES:
        return JudgeTask.from_description(description)
    raise ConfigError(f"There is no task {description.get('name')!r} that can be read back from its description.")
