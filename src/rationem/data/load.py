"""Files -> checked examples. Nothing is lost silently: a row becomes an example, a count, or an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from rationem.data.answered import to_examples
from rationem.data.best import best_response
from rationem.data.cells import UnknownRating
from rationem.data.choose import Asked, ReadingPlan, choose
from rationem.data.columns import Columns, check_columns
from rationem.data.examples import Rated, Report, merge_raters, pooled, to_rated, unify, unique, with_id
from rationem.data.file_format import FOUND, FileFormat
from rationem.data.gaps import explained
from rationem.data.lettered import lettered, read_choices
from rationem.data.likely import latest_by, likely_ratings
from rationem.data.no_scale import compared, found_in, narrowed, no_scale
from rationem.data.one_hot import one_hot
from rationem.data.opening import open_tables
from rationem.data.presets import flatten_row
from rationem.data.published.preset import Preset
from rationem.data.readers import notes_of
from rationem.data.records import Row
from rationem.data.shapes import AS_THEY_ARE, Shapes, told
from rationem.data.sides import by_name, two_sided_scale
from rationem.data.sources import labels, scan_rows
from rationem.data.unusable import tally
from rationem.data.values import ReadValues, Values, read_values
from rationem.errors import BrokenFile, ConfigError, DataError
from rationem.tasks import InputsTask
from rationem.tasks.pairs import candidates
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import POOLS, Scale
from rationem.types import Example


@dataclass(frozen=True, slots=True)
class LoadedData:
    """The examples of one or more files, and how they were read.

    Args:
        examples: in the order of the files and their rows; ids are unique.
        scale: the levels of the ratings.
        columns: the columns used.
        preset: the name of the published set that was recognised or named, or None.
        notes: ``rows`` read; ``unreadable`` rows beside them; ``identical_duplicates`` kept once; ``several_raters``
            (examples with two or more ratings); ``missing_ratings`` (empty cells beside other ratings); ``unrated``
            (items without a rating on a criterion that need not be rated); ``no_majority`` (items left out because
            their raters are split and a tie has no label; kept with ``raters="each"``); ``repeated_ratings`` of one
            rater, left out;
            ``verdicts_by_name`` (the columns with the system of each response, if verdicts name systems);
            ``empty_responses`` of a preset, marked as such; ``conversations`` (cells that are lists of chat messages,
            read as paragraphs); ``unused_columns``, which were not read; ``shape`` (sentences on rows that are not
            read, see :mod:`.shapes`); ``guessed`` (role -> column); ``values`` (sentences on how rating cells were
            read); ``against`` (sentences on words that run against the scale);
            ``delimiter`` (name of a .csv file -> its delimiter, if that is not a comma).
        criteria: the rated criteria; a single one may have no name.
        candidates: the number of compared responses; 1 if none are compared.
        shared_scale: the scale for reading a further set of the same kind; None if it has its own letters.
        task: the task that read the answers; None if a scale did.
        values: how rating cells were read.
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
    values: ReadValues = field(default_factory=ReadValues)

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
    values: Values | None = None,
    form: FileFormat = FOUND,
    shapes: Shapes = AS_THEY_ARE,
) -> LoadedData:
    """Read the examples of all files.

    Args:
        paths: files of any kind in ``readers.READERS``, folders, or hub data sets ``owner/name#split``.
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
        values, shapes, form: what the user says about rating cells, about rows, and about the files.

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
    tables = _read(paths, report, form)
    counts: Counter[str] = Counter(rows=_size(tables), unreadable=len(skipped or ()) - before)
    tables = shapes.tables(tables, counts)
    reading = choose(preset, columns, criteria, [table for _, table in tables], items=items, task=task, weight=weight)
    tables = _records(tables, reading.preset, counts)
    unused = _unused(tables, reading)
    rows, more = _flat(tables, reading, report, counts)
    rows = shapes.latest(rows, reading.columns, counts)
    report = explained(report, [row for _, row in rows])
    if reading.task is not None:
        answered = _answered(rows, reading, reading.task, report, counts)
        if not answered:
            raise _nothing(paths, counts, (skipped or [])[before:])
        notes = _notes(counts, answered, unused, reading) | _dialects(tables, form) | more
        name = reading.preset.name if reading.preset else None
        own = reading.task.scale
        return LoadedData(answered, own, reading.columns, name, notes, shared_scale=own, task=reading.task)
    given = scale = scale and narrowed(scale, rows, reading.columns)
    if reading.columns.choices is not None:
        rows, scale = lettered(rows, reading.columns, scale, report)
    scale = scale or (reading.preset.scale if reading.preset else None)
    asked = values or Values()
    rows, values_read = _VALUED[reading.columns.items](rows, reading, scale, asked)
    more = more | ({"values": list(values_read.told)} if values_read.told else {})
    more = more | ({"against": list(values_read.against)} if values_read.against else {})
    if reading.preset is None and (responses := compared(rows, reading.columns)):
        rows, names = by_name(rows, reading.columns, responses, scale)
        more = more | ({"verdicts_by_name": list(names)} if names else {})
        unused = [name for name in unused if name not in names]
    if scale is None:
        if skipped is None:
            for _, row in rows:
                check_columns(row, reading.columns.needed(row.cells))
        raise no_scale(rows, reading.columns, values_read.implied, values_read.falling)
    if scale.ordered and compared(rows, reading.columns):
        scale = two_sided_scale(scale)
    rated = _rated(rows, reading, scale, report, counts, nullable=bool(asked.missing or values_read.missing))
    if reading.columns.rater is not None or shapes.merge_equal:
        lenient, later = bool(reading.preset and reading.preset.lenient), partial(_later, rows, reading.columns)
        rated = merge_raters(rated, lenient, report, counts, later)
    examples = unify(unique(pooled(rated, scale, raters, counts), report, counts), report)
    if not examples:
        raise _nothing(paths, counts, (skipped or [])[before:])
    return LoadedData(
        examples,
        scale,
        reading.columns,
        reading.preset.name if reading.preset else None,
        _notes(counts, examples, unused, reading) | _dialects(tables, form) | more,
        reading.criteria,
        candidates(examples[0].fields),
        scale if reading.columns.choices is None else given,
        values=values_read,
    )


def _answered(
    rows: Sequence[tuple[str, Row]], reading: ReadingPlan, task: InputsTask, report: Report, counts: Counter[str]
) -> tuple[Example, ...]:
    """Return the examples of a task with open answers."""
    once, nullable = (reading.preset.once, reading.preset.nullable) if reading.preset else (False, False)
    return to_examples(rows, reading.columns, task, report, counts, once=once, nullable=nullable)


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


def _read(paths: Sequence[str | Path], report: Report, form: FileFormat) -> list[tuple[str, list[Row]]]:
    tables = [(label, _usable(path, report, form)) for label, path in zip(labels(paths), paths, strict=True)]
    empty = [str(path) for path, (_, table) in zip(paths, tables, strict=True) if not table]
    if empty or not tables:
        raise DataError(f"{', '.join(empty) or 'No file is named'}: no rows to use.")
    return tables


def _records(
    tables: list[tuple[str, list[Row]]], preset: Preset | None, counts: Counter[str]
) -> list[tuple[str, list[Row]]]:
    """Return the tables with the records inside the rows of a published set, which are counted as rows."""
    if preset is None or not preset.records:
        return tables
    apart = [(label, [one for row in table for one in preset.apart(row)]) for label, table in tables]
    counts["rows"] += _size(apart) - _size(tables)
    return apart


def _size(tables: Sequence[tuple[str, list[Row]]]) -> int:
    return sum(len(table) for _, table in tables)


def _usable(path: str | Path, report: Report, form: FileFormat) -> list[Row]:
    """Return the readable rows; damage that ends the file early is reported like a bad row."""
    rows: list[Row] = []
    scanned = scan_rows(path, form)
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


def _offered(rows: Sequence[tuple[str, Row]], columns: Columns) -> str:
    return likely_ratings([row for _, row in rows], {columns.prompt, *columns.responses(())})


def _later(rows: Sequence[tuple[str, Row]], columns: Columns) -> str:
    return latest_by([row for _, row in rows], {name for row in rows[:1] for _, name in columns.needed(row[1].cells)})


def _flat(
    tables: Sequence[tuple[str, list[Row]]], reading: ReadingPlan, report: Report, counts: Counter[str]
) -> tuple[list[tuple[str, Row]], dict[str, Any]]:
    """Return (default id, row) of all tables, flattened by a preset if there is one, and a note on their weights."""
    preset = reading.preset
    if preset is None:
        rows = open_tables(tables, reading.columns, report)
        check_columns(tables[0][1][0], _nowhere(rows, reading.columns), partial(_offered, rows, reading.columns))
        return rows, {}
    rows = [(f"{label}-{row.number}", row) for label, table in tables for row in table]
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
    rows: Sequence[tuple[str, Row]],
    reading: ReadingPlan,
    scale: Scale,
    report: Report,
    counts: Counter[str],
    *,
    nullable: bool,
) -> list[Rated]:
    nullable = nullable or (reading.preset is not None and reading.preset.nullable)
    rated: list[Rated] = []
    try:
        for name, row in rows:
            try:
                rated += to_rated(row, reading.columns, scale, name, counts, nullable=nullable)
            except DataError as error:
                report(error)
    except UnknownRating as error:
        found = found_in(rows, reading.columns, (error.criterion,) if scale.parts else None)
        raise DataError(f"{error} {tally(found, scale.of(error.criterion))}") from error
    return rated


def _unused(tables: Sequence[tuple[str, list[Row]]], reading: ReadingPlan) -> list[str]:
    seen = dict.fromkeys(name for _, table in tables for row in table for name in row.cells)
    preset = reading.preset
    used = set(preset.reads) if preset else {name for _, name in reading.columns.needed(list(seen))}
    if preset and reading.columns.weight is not None:
        used.add(preset.weights[reading.columns.weight])
    into = tuple(name for name in used if name not in seen)
    return [
        name for name in seen if name not in used and not any(way.startswith((f"{name}.", f"{name}[")) for way in into)
    ]


def _notes(
    counts: Counter[str], examples: Sequence[Example], unused: list[str], reading: ReadingPlan
) -> dict[str, Any]:
    several = {"several_raters": sum(len(example.ratings) > 1 for example in examples)}
    names = ("rows", "identical_duplicates", "missing_ratings", "unrated", "no_majority", "repeated_ratings")
    notes: dict[str, Any] = {name: counts[name] for name in (*names, "empty_responses", "conversations")} | several
    notes["unused_columns"] = unused
    notes |= {"shape": said} if (said := list(told(counts))) else {}
    notes |= {"unreadable": counts["unreadable"]} if counts["unreadable"] else {}
    return notes | ({"guessed": dict(reading.guessed)} if reading.guessed else {})


def _dialects(tables: Sequence[tuple[str, list[Row]]], form: FileFormat) -> dict[str, dict[str, Any]]:
    """Return what was unusual about csv files -> (file name -> how it was)."""
    told: dict[str, dict[str, Any]] = {}
    for path in map(Path, sorted({row.source.rpartition(":")[0] for _, table in tables for row in table})):
        for what, how in notes_of(path, form).items():
            told.setdefault(what, {})[path.name] = how
    return told


def _valued(
    rows: list[tuple[str, Row]], reading: ReadingPlan, scale: Scale | None, asked: Values
) -> tuple[list[tuple[str, Row]], ReadValues]:
    """Return the rows with their rating cells in the notation of scales, and how they were read."""
    own, responses = reading.preset is None, compared(rows, reading.columns)
    rows, told_of_marks = one_hot(rows, reading.columns, responses, scale) if own else (rows, [])
    if own:
        rows, told_of_best = best_response(
            rows, reading.columns, responses, scale, missing=asked.missing, verdict_from=asked.verdict_from
        )
        told_of_marks += told_of_best
    notations = own and responses is None
    rows, found = read_values(rows, reading.columns, scale, asked, lists=own, notations=notations)
    return rows, replace(found, told=(*told_of_marks, *found.told))


def _as_they_are(rows: list[tuple[str, Row]], *_: object) -> tuple[list[tuple[str, Row]], ReadValues]:
    """Return the rows unchanged: their answers are read elsewhere."""
    return rows, ReadValues()


#: How rating cells are read, by the layout of the items.
_VALUED: dict[str, Callable[..., tuple[list[tuple[str, Row]], ReadValues]]] = {
    "responses": _valued,
    "choices": _as_they_are,
}
