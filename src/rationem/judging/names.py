"""Callers' items -> the judge's inputs: checks the items and matches the names of inputs (pure).

An input is named by its field ("prompt", "response", ...) or by its column in training. An exact name has precedence;
otherwise case and surrounding spaces are ignored. Columns of ratings, criteria or raters are never inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rationem.data import Row, read_choices
from rationem.data.columns import Columns
from rationem.errors import ConfigError, DataError
from rationem.run.card import Card
from rationem.tasks.choices import field_of
from rationem.tasks.pairs import fields_of as response_fields
from rationem.tasks.protocol import Task

_OPTIONAL = ("reference", "context")
_DOTS = '"..."'


def items_of(items: Iterable[Mapping[str, Any]], needed: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the items; a list is checked completely before its first item is rated.

    Raises:
        ConfigError: they are not items, or one is not a mapping; shows the right call.
    """
    inside = ", ".join(f'"{name}": {"[...]" if name == "choices" else _DOTS}' for name in needed)
    call = f"judge.rate([{{{inside}}}])"
    _check_whole(items, call)
    if isinstance(items, Sequence):
        for number, item in enumerate(items, 1):
            _check_item(number, item, call)
    return _checked(items, call)


def _checked(items: Iterable[Mapping[str, Any]], call: str) -> Iterator[Mapping[str, Any]]:
    for number, item in enumerate(items, 1):
        _check_item(number, item, call)
        yield item


def _check_whole(items: object, call: str) -> None:
    kind = type(items).__name__
    if isinstance(items, Mapping):
        raise ConfigError(f"rate() takes a list of items; this is a single item ({kind}). Call {call}.")
    for method, said in (("to_dicts", "to_dicts()"), ("to_pylist", "to_pylist()"), ("to_dict", 'to_dict("records")')):
        if hasattr(items, "columns") and hasattr(items, method):
            raise ConfigError(
                f"rate() takes a list of items or a pandas DataFrame; this is a table ({kind}). Call "
                f"judge.rate(table.{said}), or rationem.rate_file for a file."
            )
    if isinstance(items, str | bytes):
        raise ConfigError(f"rate() takes a list of items; this is a text ({kind}). Call {call}.")
    if not isinstance(items, Iterable):
        raise ConfigError(f"rate() takes a list of items; this is {items!r} ({kind}). Call {call}.")


def _check_item(number: int, item: object, call: str) -> None:
    if not isinstance(item, Mapping):
        raise ConfigError(
            f"Item {number} is not a mapping of names to texts, but of type {type(item).__name__}. Call {call}."
        )


def trained(columns: Columns, task: Task) -> dict[str, str | None]:
    """Return field -> its column in the training files, None if it had no own column."""
    return _TRAINED[task.items](columns, task)


def _inputs(columns: Columns, _: Task) -> dict[str, str | None]:
    return dict((*columns.inputs, *columns.optional))


def _choices(columns: Columns, _: Task) -> dict[str, str | None]:
    return {"prompt": columns.prompt, "choices": columns.choices, "context": columns.context}


def _responses(columns: Columns, task: Task) -> dict[str, str | None]:
    fields = response_fields(task.orders)
    parts = [part.strip() for part in columns.response.split(",")] if task.orders > 1 else [columns.response]
    responses = dict(zip(fields, parts if len(parts) == len(fields) else [None] * len(fields), strict=True))
    asked = {"prompt": columns.prompt} if "prompt" in task.inputs else {}
    return {**asked, **responses, **{name: getattr(columns, name) for name in _OPTIONAL}}


_TRAINED: dict[str, Callable[[Columns, Task], dict[str, str | None]]] = {
    "inputs": _inputs,
    "choices": _choices,
    "responses": _responses,
}


def hidden(columns: Columns) -> frozenset[str]:
    """Return the columns of ratings or raters, ignoring case and surrounding spaces."""
    rated = [columns.rating, *(column for _, column in columns.criteria)]
    parts = [part for column in rated for part in (column, *column.split(","))]
    return frozenset(_folded(name) for name in (*parts, columns.rater) if name is not None)


def match(
    available: Collection[str], names: Mapping[str, str | None], never: Collection[str], taken: Collection[str] = ()
) -> dict[str, str]:
    """Return field -> the matching available name; fields without a match are left out.

    Args:
        available: the names of a file's columns, or of an item's keys.
        names: field -> name in training, :func:`trained`; an optional field without one is not matched.
        never: :func:`hidden`.
        taken: available names that are already used.

    Raises:
        DataError: two names match one field, and neither is exact.
    """
    found: dict[str, str] = {}
    fields = [field for field, name in names.items() if name is not None or field not in _OPTIONAL]

    def free() -> list[str]:
        return [name for name in available if name not in taken and name not in found.values()]

    for field in fields:
        if (name := names[field]) is not None and name in free():
            found[field] = name
    for field in fields:
        if field not in found and field in free() and _folded(field) not in never:
            found[field] = field
    for field in fields:
        if field not in found and (same := _like(free(), {field, names[field]}, never)):
            found[field] = _only(same, field)
    return found


def rename(item: Mapping[str, Any], columns: Columns | None, task: Task) -> Mapping[str, Any]:
    """Return an item with its keys renamed to the fields; other keys stay unchanged.

    Raises:
        DataError: two of its names match one field.
    """
    needed = task.asked
    names = trained(columns, task) if columns else _plain(needed)
    never = hidden(columns) if columns else frozenset()
    optional = [name for name in _OPTIONAL if name in names]
    by_field = all(field in item and _folded(field) not in never for field in needed)
    by_training = all(names[field] in item for field in needed)
    for field in (*(needed if by_training and by_field else ()), *optional):
        if (name := names[field]) is not None and field in item and name in item:
            _only(sorted({field, name}), field)
    wanted = {field: name for field, name in names.items() if field not in needed} if by_field else names
    found = match(item, wanted, never, needed if by_field else ())
    rest = {key: value for key, value in item.items() if key not in found.values() and _allowed(key, names, never)}
    return {**rest, **{field: item[name] for field, name in found.items()}}


def _allowed(key: object, fields: Collection[str], never: Collection[str]) -> bool:
    """Say whether a key may stay: a rating with the name of a field must not become that field later."""
    return key not in fields or _folded(key) not in never


def _plain(needed: Sequence[str]) -> dict[str, str | None]:
    """Return the fields as their own names, for the embedded world, which has no columns."""
    return {field: field for field in (*needed, *_OPTIONAL)}


def with_choices(item: Mapping[str, Any], columns: Columns | None) -> Mapping[str, Any]:
    """Return an item of multiple choice with a field for each choice, from any form of the choices.

    Raises:
        ValueError: its choices are invalid; the message says why.
    """
    if field_of("A") in item:
        return item
    several = [name.strip() for name in ((columns.choices if columns else None) or "").split(",")]
    if "choices" in item:
        read = Columns(choices="choices")
    elif len(several) > 1 and set(several[:2]) <= set(item):
        read = Columns(choices=",".join(name for name in several if name in item))
    else:
        return item
    try:
        found = read_choices(Row(dict(item), "the item", 1), read)
    except DataError as error:
        raise ValueError(str(error).removeprefix("the item: ")) from error
    return {**item, **found.fields}


def columns_of(card: Card) -> Columns | None:
    """Return the columns of the training files, None for the embedded world's."""
    return None if card.columns is None else Columns.from_dict(card.columns)


def _like(available: Sequence[str], wanted: Collection[str | None], never: Collection[str]) -> list[str]:
    folded = {_folded(name) for name in wanted if name is not None}
    return [name for name in available if _folded(name) in folded and _folded(name) not in never]


def _only(names: Sequence[str], field: str) -> str:
    if len(names) > 1:
        told = " and ".join(repr(name) for name in names)
        raise DataError(f"Both {told} could be the {field.replace('_', ' ')}. Remove or rename one of them.")
    return names[0]


def _folded(name: object) -> str:
    return str(name).strip().casefold()
