"""Decides how rows are read: by a preset, the user's columns, or a guess; and which criteria."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rationem.data.answered import found, unnamed
from rationem.data.columns import Columns, fitted, guess, guess_alone, guess_choice
from rationem.data.likely import of_chat
from rationem.data.nested import opened
from rationem.data.presets import PRESETS, named, recognised
from rationem.data.published.preset import TASK_OF, Preset
from rationem.data.records import Row
from rationem.data.texts import is_blank
from rationem.errors import ConfigError, DataError, closest
from rationem.tasks import InputsTask, of_inputs
from rationem.tasks.base import SetReading
from rationem.tasks.rubric import Criterion

#: A criterion's name, or its name and its rating column.
Asked = str | tuple[str, str]

_ALL = ("all",)
#: Most criteria that a column names.
_MOST = 30
#: What --prompt-col names where one text is rated.
NO_PROMPT = "none"


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """How rows are read.

    Args:
        columns: the column names in the rows; for a preset, in its flattened rows.
        criteria: in the order of ``columns.criteria``; a single criterion may have no name.
        preset: the published set, or None.
        guessed: role -> column, if the user named none and the column has another name than the role.
        task: reads the answers, where they are open; else None.
    """

    columns: Columns
    criteria: tuple[Criterion, ...]
    preset: Preset | None = None
    guessed: Mapping[str, str] = field(default_factory=dict)
    task: InputsTask | None = None


def choose(
    preset: str | None,
    columns: Columns | None,
    asked: Sequence[Asked],
    tables: Sequence[Sequence[Row]],
    *,
    items: str | None = None,
    task: InputsTask | None = None,
    weight: str | None = None,
) -> ReadingPlan:
    """Return how to read the tables, none of which is empty.

    In order of precedence: a named preset, the user's columns, a preset that fits the first rows' keys, a guess.

    Args:
        items: "responses" or "choices"; None follows preset or columns.
        task: with open answers; None for other tasks, or if the preset determines it.
        weight: the column of the weights, or a preset's name for it.

    Raises:
        ConfigError: the preset or a criterion is unknown, a preset is named together with columns, or the preset is
            of another task.
    """
    if preset is not None and columns is not None:
        raise ConfigError(f"The preset {preset!r} defines its columns. Give a preset or column names, not both.")
    reading = _reading(preset, columns, asked, tables, items, task)
    if weight is None:
        return reading
    known = reading.preset.weights if reading.preset else {weight: weight}
    if weight not in known:
        has = f"Its weights: {list(known)}." if known else "It has none: omit --weight-col."
        name = reading.preset and reading.preset.name
        raise ConfigError(f"There is no weight {weight!r} in the published set {name}. {has}")
    return replace(reading, columns=replace(reading.columns, weight=weight))


def _reading(
    preset: str | None,
    columns: Columns | None,
    asked: Sequence[Asked],
    tables: Sequence[Sequence[Row]],
    items: str | None,
    task: InputsTask | None,
) -> ReadingPlan:
    first = [table[0] for table in tables]
    published = named(preset) if preset is not None else (recognised(first) if columns is None else None)
    if published is not None and _as_published(published, items, task, is_asked=preset is not None):
        reading = _of_preset(published, asked)
        return replace(reading, task=task or of_inputs(published.task)) if published.task else reading
    if task is not None:
        names = list(dict.fromkeys(name for table in tables for row in table for name in row.cells))
        columns, guessed = found(columns or unnamed(task), task, names)
        return ReadingPlan(columns, (Criterion(),), guessed=guessed, task=task)
    all_rows = [row for table in tables for row in table]
    names = list(dict.fromkeys(name for row in all_rows for name in row.cells))
    if columns is not None:
        columns = fitted(columns if columns.criterion else _with_criteria(columns, asked), names)
        columns, guessed = _CHAT[columns.items](*_REST[columns.items](names, columns), all_rows, names)
        columns = _named_in_rows(columns, asked, all_rows)
        return ReadingPlan(columns, _criteria(columns), guessed=guessed)
    columns = fitted(_with_criteria(Columns(), asked), names)
    columns, guessed = _GUESS[items or "responses"](names, columns.criteria)
    columns, guessed = _CHAT[columns.items](columns, guessed, all_rows, names)
    return ReadingPlan(columns, _criteria(columns), guessed=guessed)


def _choices(names: Collection[str], _: Sequence[tuple[str, str]]) -> tuple[Columns, dict[str, str]]:
    return guess_choice(names)


#: How columns are guessed, by the layout of the items.
_Guess = Callable[[Collection[str], Sequence[tuple[str, str]]], tuple[Columns, dict[str, str]]]
_GUESS: dict[str, _Guess] = {"responses": guess, "choices": _choices}


def _others(names: Collection[str], columns: Columns) -> tuple[Columns, dict[str, str]]:
    """Return the user's columns with the open ones guessed; an explicit "none" for the prompt is no prompt."""
    if columns.prompt == NO_PROMPT and NO_PROMPT not in names:
        return guess_alone(names, columns)
    return guess(names, named=columns)


def _as_named(_: Collection[str], columns: Columns) -> tuple[Columns, dict[str, str]]:
    return columns, {}


def _no_chat(
    columns: Columns, guessed: Mapping[str, str], _: Sequence[Row], __: Collection[str]
) -> tuple[Columns, dict[str, str]]:
    return columns, dict(guessed)


#: How a column of chats is read, if it can be.
_CHAT = {"responses": of_chat, "choices": _no_chat}
#: How the columns that the user does not name are guessed beside the others.
_REST = {"responses": _others, "choices": _as_named}


def _as_published(preset: Preset, items: str | None, task: InputsTask | None, *, is_asked: bool) -> bool:
    """Return whether the rows of a published set are read as such, and not from columns with a task's names.

    Args:
        is_asked: whether the user names the set.

    Raises:
        ConfigError: the set is for another task.
    """
    if task is not None:
        asked, way = task.name, task.reads_set(preset.for_task, dict(preset.columns.inputs))
    else:
        asked = TASK_OF.get(items or "", preset.for_task)
        way = SetReading.AS_PUBLISHED if asked == preset.for_task else SetReading.NOT
    if way is SetReading.AS_PUBLISHED or (way is SetReading.BY_NAME and not is_asked):
        return way is SetReading.AS_PUBLISHED
    others = [other.name for other in PRESETS.values() if other.named_only and other.for_task == asked]
    more = f" --preset {' or '.join(others)} reads published rows for {asked}." if others else ""
    raise ConfigError(
        f"These are rows of the published set {preset.name}, whose task is {preset.for_task}, but the task is {asked} "
        f"(from --task, or that of DATA). Omit --task, or name the columns to read them differently.{more}"
    )


def _of_preset(preset: Preset, asked: Sequence[Asked]) -> ReadingPlan:
    if not asked or tuple(asked) == _ALL:
        return ReadingPlan(preset.columns, preset.criteria, preset)
    by_column = {criterion.column or criterion.name: criterion for criterion in preset.criteria if criterion.name}
    chosen = []
    for name, column in map(_pair, asked):
        if column not in by_column:
            known = (
                f"Its criteria: {list(by_column)}."
                if by_column
                else ("Its only criterion has no name: omit --criterion.")
            )
            raise ConfigError(f"{preset.name} has no criterion {column!r}.{closest(column, by_column)} {known}")
        chosen.append(replace(by_column[column], name=name, column=column))
    columns = replace(preset.columns, criteria=tuple((criterion.name, criterion.column) for criterion in chosen))
    return ReadingPlan(columns, tuple(chosen), preset)


def _with_criteria(columns: Columns, asked: Sequence[Asked]) -> Columns:
    if not asked or (tuple(asked) == _ALL and columns.criteria):
        return columns
    if tuple(asked) == _ALL:
        raise ConfigError("'all' is for presets and rubrics, which name their criteria. Name yours: --criterion a,b.")
    if not columns.criteria:
        return replace(columns, criteria=tuple(map(_pair, asked)))
    known = dict(columns.criteria)
    for name, _ in map(_pair, asked):
        if name not in known:
            raise ConfigError(f"There is no criterion {name!r}.{closest(name, known)} Known: {list(known)}.")
    return replace(columns, criteria=tuple((name, known[name]) for name, _ in map(_pair, asked)))


def _pair(asked: Asked) -> tuple[str, str]:
    return (asked, asked) if isinstance(asked, str) else asked


def _named_in_rows(columns: Columns, asked: Sequence[Asked], rows: Sequence[Row]) -> Columns:
    """Return the columns with the criteria that the rows name, if a column does; of several, the asked ones.

    Raises:
        ConfigError: no row names an asked criterion.
        DataError: there are too many different names.
    """
    if columns.criterion is None:
        return columns
    cells = (opened(row, [columns.criterion]).cells.get(columns.criterion) for row in rows)
    named = list(dict.fromkeys(str(cell).strip() for cell in cells if not is_blank(cell)))
    wanted = [] if tuple(asked) == _ALL else [name for name, _ in map(_pair, asked)]
    for name in wanted:
        if name not in named:
            raise ConfigError(f"No row is of the criterion {name!r}.{closest(name, named)} Named: {named[:_MOST]}.")
    if len(named) > _MOST and not wanted:
        raise DataError(
            f"The column {columns.criterion!r} names {len(named)} different criteria, such as {named[:3]}. Is it the "
            "criterion's name? If so, choose some: --criterion a,b."
        )
    return replace(columns, criteria=tuple((name, columns.rating) for name in wanted or named))


def _criteria(columns: Columns) -> tuple[Criterion, ...]:
    return tuple(Criterion(name, column=column) for name, column in columns.criteria) or (Criterion(),)
