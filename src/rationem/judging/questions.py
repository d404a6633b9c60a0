"""Items -> cases: the prompts for the judge, one case per item and criterion, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rationem.data.truncate import truncate
from rationem.errors import ConfigError, DataError, closest
from rationem.run.card import Card
from rationem.tasks.pairs import turned
from rationem.tasks.protocol import Task
from rationem.types import Engine, Example, Fields, Prompt


@dataclass(frozen=True, slots=True)
class Case:
    """One criterion of one item.

    Args:
        criterion: its name, "" if the judge's only criterion has none.
        prompts: one prompt, or one per order of a comparison; none if the item is unusable.
        problem: why it is unusable.
        too_long: whether the prompts are too long; then they are not sent.
        elided: characters left out of the responses to make the prompts fit.
        offered: the levels that the item offers; None for all.
        fields: the item's inputs in the given order.
    """

    criterion: str
    prompts: tuple[Prompt, ...]
    problem: str = ""
    too_long: bool = False
    elided: int = 0
    offered: tuple[bool, ...] | None = None
    fields: Fields = field(default_factory=dict)


def chosen(task: Task, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the criteria to rate: the named ones, or all of the judge's.

    Raises:
        ConfigError: the judge has no such criterion, or one is named twice.
    """
    known = [criterion.name for criterion in task.criteria]
    if not names:
        return tuple(known)
    for name in names:
        if name not in known:
            has = f"Its criteria: {known}." if any(known) else "It has a single criterion without a name."
            raise ConfigError(f"The judge has no criterion {name!r}.{closest(name, known)} {has}")
    if len(set(names)) < len(names):
        raise ConfigError(f"A criterion is given twice: {list(names)}.")
    return tuple(names)


def cases(item: Mapping[str, str], criteria: Sequence[str], card: Card, task: Task, engine: Engine) -> list[Case]:
    """Return one case per criterion of an item, with prompts that fit the judge.

    Raises:
        DataError: a required input is missing.
    """
    try:
        fields = read(item, task)
    except ValueError as error:
        return unusable(criteria, str(error))
    return [_case(fields, criterion, card, task, engine) for criterion in criteria]


def unusable(criteria: Sequence[str], problem: str) -> list[Case]:
    """Return the cases of an unusable item."""
    return [Case(criterion, (), problem) for criterion in criteria]


def read(item: Mapping[str, str], task: Task) -> dict[str, str]:
    """Return only the inputs of an item, without empty optional ones.

    Raises:
        DataError: an input is missing.
        ValueError: an input is empty, not a text, or has half a character; the message says so.
    """
    needed, optional = task.inputs, list(task.optional)
    for name in needed:
        if name not in item:
            raise DataError(
                f"An item has no {name!r}.{closest(name, item)} The judge needs {list(needed)} and can use "
                f"{optional}; found {list(item)}."
            )
    needed = task.needed(item)
    given = {name: item[name] for name in (*needed, *optional) if name in item}
    for name, text in given.items():
        _check(name, text, needed)
    return {name: text for name, text in given.items() if name in needed or (text and text.strip())}


def _check(name: str, text: object, needed: Sequence[str]) -> None:
    if text is None and name not in needed:
        return
    if not isinstance(text, str):
        raise ValueError(f"the {name} is not a text but of type {type(text).__name__}")
    if name in needed and not text.strip():
        raise ValueError(f"the {name} is empty")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the {name} contains a lone surrogate character at {error.start}") from error


def _case(fields: Fields, criterion: str, card: Card, task: Task, engine: Engine) -> Case:
    example = Example("", {**fields, "criterion": criterion} if criterion else fields, (*task.levels, "")[0], "")
    if card.elide:
        example = _shortened(example, card.max_prompt_tokens, task, engine)
    turns = range(1, task.orders)
    prompts = [task.prompt(x.fields) for x in (example, *(turned(example, task.scale, turn) for turn in turns))]
    longest = max(engine.prompt_tokens(prompt) for prompt in prompts)
    if longest <= card.max_prompt_tokens:
        offered = task.kind.mask(example.fields)
        return Case(criterion, tuple(prompts), elided=example.elided, offered=offered, fields=example.fields)
    problem = f"the prompt has {longest} tokens; the judge reads at most {card.max_prompt_tokens}"
    return Case(criterion, (), problem, too_long=True)


def _shortened(example: Example, limit: int, task: Task, engine: Engine) -> Example:
    """Truncate as in training, which left room for the hint, so that the judge sees the same texts."""

    def length(x: Example) -> int:
        prompts = (task.prompt(x.fields), *(task.hint_prompt(x.fields, hint) for hint in task.kind.hints("")))
        return max(engine.prompt_tokens(prompt) for prompt in prompts)

    return truncate(example, task.kind.shortened(example.fields), length, limit)
