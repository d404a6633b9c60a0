"""Truncation on request only: the middle of an over-long response is left out, marked in the text, and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rationem.engines.chat import Chat
from rationem.tasks.protocol import Task
from rationem.types import Example, Splits


def truncate(example: Example, field: str, length: Callable[[Example], int], limit: int) -> Example:
    """Return the example with the middle of ``field`` left out as far as needed to fit.

    Args:
        field: the input to shorten; the others stay whole.
        length: the tokens of the example's longest prompt.
        limit: in tokens.

    Returns:
        The example itself if it fits; the shortened one with ``elided`` set to the number of characters left out; or
        the example itself if shortening this field is not enough, to be counted as too long.
    """
    if length(example) <= limit:
        return example
    low, high = 0, len(example.fields[field])
    if length(_cut(example, field, 0)) > limit:
        return example
    while low + 1 < high:
        keep = (low + high) // 2
        low, high = (keep, high) if length(_cut(example, field, keep)) <= limit else (low, keep)
    return _cut(example, field, low)


def _cut(example: Example, field: str, keep: int) -> Example:
    text = example.fields[field]
    head, tail = text[: (keep + 1) // 2], text[len(text) - keep // 2 :]
    left_out = len(text) - keep
    marked = f"{head}\n[... {left_out} characters left out ...]\n{tail}"
    return replace(example, fields={**example.fields, field: marked}, elided=left_out)


def elided(splits: Splits, task: Task, chat: Chat, limit: int) -> Splits:
    """Return the sets with over-long responses shortened, so that prompts of every proposal fit.

    Args:
        limit: most tokens of a prompt.
    """

    def length(x: Example) -> int:
        hints = task.kind.hints(x.answer)
        prompts = (task.prompt(x.fields), *(task.hint_prompt(x.fields, hint) for hint in hints))
        return max(len(chat.encode(prompt)) for prompt in prompts)

    def shortened(examples: Sequence[Example]) -> tuple[Example, ...]:
        return tuple(truncate(x, task.kind.shortened(x.fields), length, limit) for x in examples)

    return Splits(shortened(splits.train), shortened(splits.validation), shortened(splits.test), splits.notes)
