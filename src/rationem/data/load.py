"""Files -> checked examples. Nothing is lost silently: a row becomes an example, a count, or an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rationem.data.columns import Columns, check_columns, rating_cells, to_example
from rationem.data.presets import PRESETS, Preset
from rationem.data.readers import Row, read_rows
from rationem.errors import ConfigError, DataError, closest
from rationem.scale import Scale
from rationem.types import Example

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Loaded:
    """The examples of one or more files, and how they were read.

    Args:
        examples: in the order of the files and their rows; ids are unique.
        scale: the levels of the ratings.
        columns: the columns that were read.
        preset: the name of the published set that was recognised or named, or None.
        notes: ``rows`` read, ``identical_duplicates`` kept once, ``several_raters`` (examples with two or
            more ratings), ``missing_ratings`` (empty cells beside other ratings), ``unused_columns`` never
            looked at.
    """

    examples: tuple[Example, ...]
    scale: Scale
    columns: Columns
    preset: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def load(
    paths: Sequence[str | Path],
    *,
    scale: Scale | None = None,
    columns: Columns | None = None,
    preset: str | None = None,
) -> Loaded:
    """Read the examples of all files.

    Args:
        paths: csv, tsv, json, jsonl or parquet files.
        scale: the levels; may be left out where a preset knows them.
        columns: the user's column names; where they are given no preset is looked for.
        preset: the name of a published set; where it is None, a known one is recognised by its keys.

    Returns:
        The examples. Ids default to ``"<file stem>-<row>"`` with the number that ``Example.source`` shows,
        and with as much of the path as it takes where two files share a stem.

    Raises:
        DataError: a file or row cannot be used; the message names both, says what was found and what to do.
        ConfigError: the preset is unknown, or named together with columns.
    """
    tables = _read(paths)
    rows = [row for _, table in tables for row in table]
    chosen = _choose(preset, columns, [table[0] for _, table in tables])
    columns = chosen.columns if chosen else columns or Columns()
    unused = _unused(rows, columns)
    if chosen is not None:
        scale = scale or chosen.scale
        tables = [(label, [_flat(row, chosen) for row in table]) for label, table in tables]
        rows = [row for _, table in tables for row in table]
    if scale is None:
        raise DataError(_no_scale(rows, columns))
    examples, duplicates = _unique(
        to_example(row, columns, scale, f"{label}-{row.number}") for label, table in tables for row in table
    )
    notes = {
        "rows": len(rows),
        "identical_duplicates": duplicates,
        "several_raters": sum(len(example.ratings) > 1 for example in examples),
        "missing_ratings": sum(rating_cells(row, columns).count(None) for row in rows),
        "unused_columns": unused,
    }
    return Loaded(examples, scale, columns, chosen.name if chosen else None, notes)


def load_feedbackqa(*paths: str | Path) -> Loaded:
    """Read FeedbackQA as published: question and passage in, four named levels out, grouped by question."""
    return load(paths, preset="feedbackqa")


def _read(paths: Sequence[str | Path]) -> list[tuple[str, list[Row]]]:
    files = [Path(path) for path in paths]
    real = [file.resolve() for file in files]
    for position, file in enumerate(files):
        if real[position] in real[:position]:
            raise DataError(f"{file} is named twice. Name every data file once.")
    tables = [(label, read_rows(file)) for label, file in zip(_labels(real), files, strict=True)]
    empty = [str(file) for file, (_, table) in zip(files, tables, strict=True) if not table]
    if empty or not tables:
        raise DataError(f"{', '.join(empty) or 'No file is named'}: there is no row to use.")
    return tables


def _labels(files: Sequence[Path]) -> list[str]:
    def label(file: Path, depth: int) -> str:
        return "/".join(file.parts[-depth:]) if depth else file.stem

    def shortest(file: Path) -> str:
        deepest = max(len(other.parts) for other in files)
        named = (
            label(file, depth)
            for depth in range(deepest + 1)
            if [label(other, depth) for other in files].count(label(file, depth)) == 1
        )
        return next(named, str(file))

    return [shortest(file) for file in files]


def _choose(name: str | None, columns: Columns | None, first_rows: Sequence[Row]) -> Preset | None:
    if name is not None:
        if name not in PRESETS:
            raise ConfigError(f"There is no preset {name!r}.{closest(name, PRESETS)} Known: {list(PRESETS)}.")
        if columns is not None:
            raise ConfigError(f"The preset {name!r} knows its columns. Give a preset or column names, not both.")
        return PRESETS[name]
    if columns is not None:
        return None
    matching = (preset for preset in PRESETS.values() if any(preset.matches(row.cells) for row in first_rows))
    return next(matching, None)


def _flat(row: Row, preset: Preset) -> Row:
    if not preset.matches(row.cells):
        raise DataError(
            f"{row.source}: not a row of {preset.name}, which has {preset.schema}; found the keys "
            f"{list(row.cells)}. Name the columns instead, or read files of different kinds apart."
        )
    return replace(row, cells=preset.flatten(row.cells))


def _unused(rows: Sequence[Row], columns: Columns) -> list[str]:
    seen = dict.fromkeys(name for row in rows for name in row.cells)
    used = {name for _, name in columns.needed(rows[0].cells)}
    return [name for name in seen if name not in used]


def _no_scale(rows: Sequence[Row], columns: Columns) -> str:
    found: dict[str, None] = {}
    for row in rows:
        check_columns(row, columns)
        found |= {str(cell).strip(): None for cell in rating_cells(row, columns) if cell is not None}
    more = ", ..." if len(found) > _SHOWN else ""
    shown = ", ".join(repr(value) for value in list(found)[:_SHOWN]) + more
    return (
        f"{rows[0].source}: what are the levels of the rating? The column {columns.rating!r} holds "
        f"{len(found)} different values: {shown}. Give all levels, from worst to best in your order, "
        f"for example `--scale {_suggestion(found)}`."
    )


def _suggestion(values: Iterable[str]) -> str:
    known = list(values)
    try:
        numbers = [float(value) for value in known]
    except ValueError:
        return f'"{" < ".join(known[:_SHOWN])}"' if len(known) > 1 else '"Bad < Fair < Good"'
    if not numbers or not all(number.is_integer() for number in numbers):
        return '"' + " < ".join(sorted(known, key=float)[:_SHOWN]) + '"' if len(known) > 1 else "1-5"
    low, high = int(min(numbers)), int(max(numbers))
    return f'"{low} to {high}"' if low < 0 else f"{low}-{high if high > low else low + 1}"


def _unique(examples: Iterable[Example]) -> tuple[tuple[Example, ...], int]:
    seen: dict[str, Example] = {}
    duplicates = 0
    for example in examples:
        first = seen.setdefault(example.id, example)
        if first is example:
            continue
        if replace(example, source=first.source) != first:
            raise DataError(_conflict(first, example))
        duplicates += 1
    return tuple(seen.values()), duplicates


def _conflict(first: Example, second: Example) -> str:
    ratings = [list(example.ratings) or [example.answer] for example in (first, second)]
    what = f"with two labels, {ratings[0]} and {ratings[1]}" if ratings[0] != ratings[1] else "with two contents"
    return (
        f"{second.source}: the id {second.id!r} stands there and in {first.source} {what}. Ids must be "
        "unique. Where each row is one rater's view of the same item, name that column as the group "
        "(`--group-col NAME`) instead of the id."
    )
