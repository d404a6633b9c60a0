"""The built-in tasks, a row each: how one is made, read back from its description, and its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rationem.tasks import choices
from rationem.tasks.answer import OPEN_TASKS, AnswerTask
from rationem.tasks.judge import JudgeTask
from rationem.tasks.kinds import ChoiceKind, Kind, OpenKind, own_kind
from rationem.tasks.protocol import InputsTask, Task
from rationem.tasks.scale import OPEN, Scale
from rationem.tasks.template import packaged


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One built-in task.

    Args:
        read_back: makes the task from its ``describe``.
        usual: makes the task as it is without any data.
        from_inputs: makes the task if it reads its own inputs; None if the data's columns and scale make it.
        kind: makes the kind of a stored task from its scale, its number of shown orders and its reward's name.
    """

    read_back: Callable[[Mapping[str, Any]], Task]
    usual: Callable[[], Task]
    from_inputs: Callable[[], InputsTask] | None = None
    kind: Callable[[Scale, int, str | None], Kind] = Kind


def _judge() -> JudgeTask:
    return JudgeTask(Scale.parse("1-5"))


def _choice() -> JudgeTask:
    return JudgeTask(choices.scale_of(4), template=packaged("choice"), name="choice")


#: Name -> row.
BUILT_IN: dict[str, TaskRow] = {
    "judge": TaskRow(JudgeTask.from_description, _judge),
    "choice": TaskRow(JudgeTask.from_description, _choice, kind=ChoiceKind),
    **{name: TaskRow(AnswerTask.from_description, made, made) for name, made in OPEN_TASKS.items()},
}


def described(task: Mapping[str, Any]) -> Kind:
    """Return the kind of a task from its ``describe``, as stored in a ledger or a card."""
    return recorded(
        task["scale"],
        name=task.get("name"),
        orders=task.get("candidates", 2) if task.get("pair") else 1,
        rule=task.get("reward"),
        own="own" in task,
    )


def recorded(
    scale: Mapping[str, Any], *, name: str | None, orders: int = 1, rule: str | None = "exact", own: bool = False
) -> Kind:
    """Return the kind of a task with this scale, in the form of ``Scale.describe``, and this name.

    Args:
        scale: the levels, or none.
        name: the task's name.
        orders: the number of shown orders.
        rule: the reward's name.
        own: whether it is a user's class.
    """
    found = Scale.from_description(scale)
    if own:
        return own_kind(found, rule)
    if found == OPEN:
        return OpenKind(rule=rule)
    return (BUILT_IN[name].kind if name in BUILT_IN else Kind)(found, orders, rule)
