"""Tasks: what is asked, how an answer is read, and what it is worth.

``judge``    rate a response, compare several, or choose among letters: the answer is one of the levels
``answer``   one line of text: a number, a summary, or whatever a pattern reads
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.errors import ConfigError
from rationem.tasks.answer import AnswerTask
from rationem.tasks.judge import NAMES, JudgeTask

__all__ = ["from_description"]


def from_description(description: Mapping[str, Any]) -> JudgeTask | AnswerTask:
    """Return the task that its ``describe`` described, as the ledger and a judge's card hold it.

    Raises:
        ConfigError: it is no task of ours.
    """
    if "answer" in description:
        return AnswerTask.from_description(description)
    if description.get("name") in NAMES:
        return JudgeTask.from_description(description)
    raise ConfigError(f"There is no task {description.get('name')!r} that can be read back from its description.")
