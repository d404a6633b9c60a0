"""What is read of the rows: a preset, the user's columns, or a guess; and which criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rationem.data.columns import Columns, guess, guess_choice
from rationem.data.presets import named, recognised
from rationem.data.published.preset import Preset
from rationem.data.readers import Row
from rationem.errors import ConfigError, closest
from rationem.rubric import Criterion

#: A criterion by its name, or its name and its rating column.
Asked = str | tuple[str, str]

_ALL = ("all",)


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are read.

    Args:
        columns: the names in the rows; for a preset, in those that it flattens.
        criteria: in the order of ``columns.criteria``; one without a name where there is only one.
        preset: the published set, or None.
        guessed: role -> column, where the user named none and the name is not the role's own.
    """

    columns: Columns
    criteria: tuple[Criterion, ...]
    preset: Preset | None = None
    guessed: Mapping[str, str] = field(default_factory=dict)


def choose(
    preset: str | None,
    columns: Columns | None,
    asked: Sequence[Asked],
    tables: Sequence[Sequence[Row]],
    *,
    choice: bool | None = None,
) -> Reading:
    """Return how to read the tables, none of which is empty.

    A named preset wins; then the user's columns; then a preset that the first rows' keys fit; then a guess.

    Args:
        choice: whether they are multiple choice; None follows preset or columns.

    Raises:
        ConfigError: the preset or a criterion is unknown, a preset is named together with columns, or the preset is
            of another task.
    """
    if preset is not None and columns is not None:
        raise ConfigError(f"The preset {preset!r} knows its columns. Give a preset or column names, not both.")
    first = [table[0] for table in tables]
    found = named(preset) if preset is not None else (recognised(first) if columns is None else None)
    if found is not None:
        _check_task(found, choice)
        return _of_preset(found, asked)
    if columns is not None:
        columns = _with_criteria(columns, asked)
        return Reading(columns, _criteria(columns))
    names = list(dict.fromkeys(name for table in tables for row in table for name in row.cells))
    if choice:
        columns, guessed = guess_choice(names)
        return Reading(columns, _criteria(columns), guessed=guessed)
    columns, guessed = guess(names, _with_criteria(Columns(), asked).criteria)
    return Reading(columns, _criteria(columns), guessed=guessed)


def _check_task(preset: Preset, choice: bool | None) -> None:
    if choice is not None and choice != preset.choice:
        is_task, asked = ("choice", "judge") if preset.choice else ("judge", "choice")
        raise ConfigError(
            f"These are rows of the published set {preset.name}, whose task is {is_task}, and the task is "
            f"{asked} (by --task, or because DATA is). Leave --task out, or name the columns to read them otherwise."
        )


def _of_preset(preset: Preset, asked: Sequence[Asked]) -> Reading:
    if not asked or tuple(asked) == _ALL:
        return Reading(preset.columns, preset.criteria, preset)
    by_column = {criterion.column or criterion.name: criterion for criterion in preset.criteria if criterion.name}
    chosen = []
    for name, column in map(_pair, asked):
        if column not in by_column:
            known = f"It has {list(by_column)}." if by_column else "It has one without a name: leave --criterion out."
            raise ConfigError(f"{preset.name} has no criterion {column!r}.{closest(column, by_column)} {known}")
        chosen.append(replace(by_column[column], name=name, column=column))
    columns = replace(preset.columns, criteria=tuple((criterion.name, criterion.column) for criterion in chosen))
    return Reading(columns, tuple(chosen), preset)


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


def _criteria(columns: Columns) -> tuple[Criterion, ...]:
    return tuple(Criterion(name, column=column) for name, column in columns.criteria) or (Criterion(),)
