"""Files -> checked examples. Nothing is lost silently: a row becomes an example, a count, or an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rationem.data.answered import to_examples
from rationem.data.cells import UnknownRating, rating_cells
from rationem.data.choose import Asked, ReadingPlan, choose
from rationem.data.columns import Columns, check_columns
from rationem.data.examples import Rated, Report, merge_raters, pooled, to_rated, unify, unique, with_id
from rationem.data.lettered import lettered, read_choices
from rationem.data.nested import opened
from rationem.data.presets import flatten_row
from rationem.data.published.preset import Preset
from rationem.data.readers import Row, unusual_delimiters
from rationem.data.sides import by_name
from rationem.data.sources import labels, scan_rows
from rationem.data.suggest import suggest, typed
from rationem.data.suggest_pair import meant, suggest_pair, unclear
from rationem.data.unusable import notations, tally
from rationem.errors import BrokenFile, ConfigError, DataError
from rationem.tasks import InputsTask
from rationem.tasks.pairs import candidates
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import POOLS, Scale
from rationem.types import Example

_SHOWN = 12
#: An example of a scale, for messages without a suggestion.
_ANY = "Bad < Fair < Good"


class NoScale(DataError):
    """No scale is given or known; ``suggestion`` is the scale that the values suggest, as text, or None."""

    def __init__(self, message: str, suggestion: str | None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class LoadedData:
    """The examples of one or more files, and how they were read.

    Args:
        examples: in the order of the files and their rows; ids are unique.
        scale: the levels of the ratings.
        columns: the columns used.
        preset: the name of the published set that was recognised or named, or None.
        notes: ``rows`` read; ``identical_duplicates`` kept once; ``several_raters`` (examples with two or more
            ratings); ``missing_ratings`` (empty cells beside other ratings); ``unrated`` (items without a rating on
            a criterion that need not be rated); ``no_majority`` (items left out because their raters are
            split and a tie has no label; kept with ``raters="each"``); ``repeated_ratings`` of one rater, left out;
            ``verdicts_by_name`` (the columns with the system of each response, if verdicts name systems);
            ``empty_responses`` of a preset, marked as such; ``conversations`` (cells that are lists of chat messages,
            read as paragraphs); ``unused_columns``, which were not read;
            ``guessed`` (role -> column); ``delimiter`` (name of a .csv file -> its delimiter, if that is not a comma).
        criteria: the rated criteria; a single one may have no name.
        candidates: the number of compared responses; 1 if none are compared.
        shared_scale: the scale for reading a further set of the same kind; None if it has its own letters.
        task: the task that read the answers; None if a scale did.
    """

    examples: tuple[Example, ...]
    scale: Scale
    columns: Columns
    preset: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    criteria: tuple[Criterion, ...] = (Criterion(),)
    candidates: int = 1
    shared_scale: Scale | None = None
    task: InputsTask | None = None

    @property
    def items(self) -> str:
        """How an item is laid out: "responses", "choices" or "inputs"."""
        return self.columns.items


def load(
    paths: Sequence[str | Path],
    *,
    scale: Scale | None = None,
    columns: Columns | None = None,
    preset: str | None = None,
    criteria: Sequence[Asked] = (),
    raters: str = "mean",
    skipped: list[DataError] | None = None,
    items: str | None = None,
    task: InputsTask | None = None,
    weight: str | None = None,
) -> LoadedData:
    """Read the examples of all files.

    Args:
        paths: csv, tsv, json, jsonl, parquet or SAF's xml files, folders, or hub data sets ``owner/name#split``.
        scale: the levels; may be omitted if a preset defines them.
        columns: the user's column names; if given, presets are not recognised.
        preset: the name of a published set; if None, a known one is recognised by its keys.
        criteria: names of criteria, or (name, rating column); empty or "all" for all that preset or columns have.
        raters: the label of several ratings: "mean", "median" or "majority" (levels without an order: always the
            majority); "each" is "mean", for :func:`expand_raters` to open later. All ratings are kept.
        skipped: if given, unusable rows are left out and their errors appended; the ids of other rows do not change.
        items: "responses" or "choices"; None where preset or columns tell. The scale of choices is of as many letters
            as the item with the most choices has, where none is given.
        task: with open answers, which reads them; None for other tasks, or if the preset determines it.
        weight: the column of the rows' weights in training, or a preset's name for it.

    Returns:
        The examples. Ids default to ``"<file stem>-<row>"`` with the number in ``Example.source``, and with as much of
        the path as needed if two files share a stem; ``"<id>/<criterion>"`` if there are criteria.

    Raises:
        DataError: a file, a row or every row is unusable; the message says where, what was found and what to do.
        NoScale: there is no scale; the error has the suggested one.
        ConfigError: the preset or a criterion is unknown, a preset is named together with columns, or ``raters``.
    """
    if raters not in ("each", *POOLS):
        raise ConfigError(f"Several raters' label is 'each' or one of {list(POOLS)}, not {raters!r}.")
    report: Report = _raise if skipped is None else skipped.append
    before = len(skipped or ())
    tables = _read(paths, report)
    reading = choose(preset, columns, criteria, [table for _, table in tables], items=items, task=task, weight=weight)
    unused = _unused(tables, reading)
    counts: Counter[str] = Counter(rows=sum(len(table) for _, table in tables))
    rows, more = _flat(tables, reading, report, counts)
    if reading.task is not None:
        once, nullable = (reading.preset.once, reading.preset.nullable) if reading.preset else (False, False)
        answered = to_examples(rows, reading.columns, reading.task, report, counts, once=once, nullable=nullable)
        if not answered:
            raise _nothing(paths, counts, (skipped or [])[before:])
        notes = _notes(counts, answered, unused, reading) | _delimiters(tables) | more
        name = reading.preset.name if reading.preset else None
        scale = reading.task.scale
        return LoadedData(answered, scale, reading.columns, name, notes, shared_scale=scale, task=reading.task)
    given = scale
    if reading.columns.choices is not None:
        rows, scale = lettered(rows, reading.columns, scale, report)
    scale = scale or (reading.preset.scale if reading.preset else None)
    if reading.preset is None and (responses := _compared(rows, reading.columns)):
        rows, names = by_name(rows, reading.columns, responses, scale)
        more = more | ({"verdicts_by_name": list(names)} if names else {})
        unused = [name for name in unused if name not in names]
    if scale is None:
        if skipped is None:
            for _, row in rows:
                check_columns(row, reading.columns.needed(row.cells))
        raise _no_scale(rows, reading.columns)
    if scale.ordered and _compared(rows, reading.columns):
        scale = _two_sided(scale)
    try:
        rated = list(_rated(rows, reading, scale, report, counts))
    except UnknownRating as error:
        raise DataError(f"{error} {tally(_found(rows, reading.columns), scale)}") from error
    if reading.columns.rater is not None:
        rated = merge_raters(rated, bool(reading.preset and reading.preset.lenient), report, counts)
    examples = unify(unique(pooled(rated, scale, raters, counts), report, counts), report)
    if not examples:
        raise _nothing(paths, counts, (skipped or [])[before:])
    return LoadedData(
        examples,
        scale,
        reading.columns,
        reading.preset.name if reading.preset else None,
        _notes(counts, examples, unused, reading) | _delimiters(tables) | more,
        reading.criteria,
        candidates(examples[0].fields),
        scale if reading.columns.choices is None else given,
    )


def load_feedbackqa(*paths: str | Path) -> LoadedData:
    """Read FeedbackQA as published: question and passage as inputs, four named levels, grouped by question."""
    return load(paths, preset="feedbackqa")


def _nothing(paths: Sequence[str | Path], counts: Counter[str], skipped: Sequence[DataError]) -> DataError:
    names = ", ".join(map(str, paths))
    if skipped:
        return DataError(f"{names}: no row can be used. The first error: {skipped[0]}")
    return DataError(f"{names}: no row has a label; counted {dict(counts)}.")


def _raise(error: DataError) -> None:
    raise error


def _read(paths: Sequence[str | Path], report: Report) -> list[tuple[str, list[Row]]]:
    tables = [(label, _usable(path, report)) for label, path in zip(labels(paths), paths, strict=True)]
    empty = [str(path) for path, (_, table) in zip(paths, tables, strict=True) if not table]
    if empty or not tables:
        raise DataError(f"{', '.join(empty) or 'No file is named'}: no rows to use.")
    return tables


def _usable(path: str | Path, report: Report) -> list[Row]:
    """Return the readable rows; damage that ends the file early is reported like a bad row."""
    rows: list[Row] = []
    scanned = scan_rows(path)
    try:
        for row in scanned:
            if isinstance(row, DataError):
                report(row)
            else:
                rows.append(row)
    except DataError as error:
        if not rows:
            raise
        report(BrokenFile(f"{error} Nothing after this place is read."))
    return rows


def _flat(
    tables: Sequence[tuple[str, list[Row]]], reading: ReadingPlan, report: Report, counts: Counter[str]
) -> tuple[list[tuple[str, Row]], dict[str, Any]]:
    """Return (default id, row) of all tables, flattened by a preset if there is one, and a note on their weights."""
    rows = [(f"{label}-{row.number}", row) for label, table in tables for row in table]
    preset = reading.preset
    if preset is None:
        rows = [(name, opened(row, reading.columns.dotted)) for name, row in rows]
        check_columns(rows[0][1], _nowhere(rows, reading.columns))
        return rows, {}
    flat = []
    for name, row in rows:
        try:
            flat.append((name, with_id(flatten_row(row, preset, rated=True), reading.columns, name)))
        except DataError as error:
            report(error)
    weights: dict[str, Any] = {}
    if flat and reading.columns.weight is not None:
        flat, weights["weights"] = _weighed(flat, reading.columns.weight, preset)
    if preset.empty:
        counts["empty_responses"] = sum(_texts(row, reading.columns).count(preset.empty) for _, row in flat)
    return flat, weights


def _weighed(rows: list[tuple[str, Row]], name: str, preset: Preset) -> tuple[list[tuple[str, Row]], str]:
    """Return published rows with their weight instead of its source cell, and how that cell was interpreted."""
    found = preset.weigh([row.cells[name] for _, row in rows])
    if found.unknown == len(rows):
        raise DataError(
            f"Not one of {len(rows)} rows has a number as {name!r} ({preset.weights[name]}.{name}), which "
            "--weight-col names. Omit it to give all rows the same weight."
        )
    weighed = [
        (default_id, replace(row, cells={**row.cells, name: weight}))
        for (default_id, row), weight in zip(rows, found.weights, strict=True)
    ]
    without = f" {found.unknown} rows without a number have the mean weight of the others." if found.unknown else ""
    return weighed, f"Rows are weighted by {name!r} ({found.reading}).{without}"


def _texts(row: Row, columns: Columns) -> list[object]:
    """Return the responses of a published row, or its choices."""
    if columns.choices is not None:
        return list(read_choices(row, columns).texts)
    return [row.cells[name] for name in columns.responses(row.cells)]


def _nowhere(rows: Sequence[tuple[str, Row]], columns: Columns) -> list[tuple[str, str]]:
    """Return the named columns that no row has, to report one error instead of one per row."""
    names = {name for _, row in rows for name in row.cells}
    return [(role, name) for role, name in columns.needed(names) if name not in names]


def _rated(
    rows: Iterable[tuple[str, Row]], reading: ReadingPlan, scale: Scale, report: Report, counts: Counter[str]
) -> Iterator[Rated]:
    nullable = reading.preset is not None and reading.preset.nullable
    for name, row in rows:
        try:
            yield from to_rated(row, reading.columns, scale, name, counts, nullable=nullable)
        except DataError as error:
            report(error)


def _unused(tables: Sequence[tuple[str, list[Row]]], reading: ReadingPlan) -> list[str]:
    seen = dict.fromkeys(name for _, table in tables for row in table for name in row.cells)
    preset = reading.preset
    used = set(preset.reads) if preset else {name for _, name in reading.columns.needed(list(seen))}
    if preset and reading.columns.weight is not None:
        used.add(preset.weights[reading.columns.weight])
    into = tuple(name for name in used if name not in seen)
    return [name for name in seen if name not in used and not any(way.startswith(f"{name}.") for way in into)]


def _notes(
    counts: Counter[str], examples: Sequence[Example], unused: list[str], reading: ReadingPlan
) -> dict[str, Any]:
    several = {"several_raters": sum(len(example.ratings) > 1 for example in examples)}
    names = ("rows", "identical_duplicates", "missing_ratings", "unrated", "no_majority", "repeated_ratings")
    notes: dict[str, Any] = {name: counts[name] for name in (*names, "empty_responses", "conversations")} | several
    notes["unused_columns"] = unused
    return notes | ({"guessed": dict(reading.guessed)} if reading.guessed else {})


def _delimiters(tables: Sequence[tuple[str, list[Row]]]) -> dict[str, dict[str, str]]:
    files = {row.source.rpartition(":")[0] for _, table in tables for row in table}
    found = unusual_delimiters(map(Path, sorted(files)))
    return {"delimiter": found} if found else {}


def _found(rows: Sequence[tuple[str, Row]], columns: Columns) -> Counter[str]:
    """Count the nonempty rating cells, as text, of rows that have the columns."""
    found: Counter[str] = Counter()
    for _, row in rows:
        for criterion in columns.criterion_names:
            if set(columns.ratings(row.cells, criterion)) <= set(row.cells):
                cells = rating_cells(row, columns, criterion)
                found.update(str(cell).strip() for cell in cells if cell is not None)
    return found


def _no_scale(rows: Sequence[tuple[str, Row]], columns: Columns) -> NoScale:
    found = _found(rows, columns)
    name = ", ".join(column for _, column in columns.criteria) or columns.rating
    asked = f"{rows[0][1].source}: what are the levels of the rating? The column {name!r} holds"
    shown = ", ".join(map(repr, list(found)[:_SHOWN])) + (", ..." if len(found) > _SHOWN else "")
    held = f"{asked} {len(found)} different values: {shown}."
    responses = _compared(rows, columns)
    if responses is None:
        scale = suggest(found.elements())
        form = typed(scale or _ANY)
        told = f"Give all levels, from worst to best in your order, for example `--scale {form}`."
        return NoScale(f"{held} {notations(found)}{told}", scale)
    scale = suggest_pair(found, responses)
    if scale is None:
        return NoScale(f"{rows[0][1].source}: in column {name!r}: {unclear(found, responses)}", None)
    return NoScale(f"{held} {meant(scale, responses)}: `--scale {typed(scale)}`.", scale)


def _compared(rows: Iterable[tuple[str, Row]], columns: Columns) -> tuple[str, ...] | None:
    """Return the columns of the compared responses, from the first row that has them; None if there are none."""
    if columns.choices is not None:
        return None
    return next((names for _, row in rows if len(names := columns.responses(row.cells)) > 1), None)


def _two_sided(scale: Scale) -> Scale:
    """Return the scale of a graded pair; an unsuitable one unchanged, for the task to reject with a full message."""
    try:
        return scale.for_pair()
    except ConfigError:
        return scale
