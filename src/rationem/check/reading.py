"""A configuration -> what the check looks at: the examples, the columns beside them, and the unusable rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rationem import data
from rationem.config import FitConfig
from rationem.data.sources import scan_rows
from rationem.errors import ConfigError, DataError
from rationem.run.prepare import (
    EMBEDDED,
    alike,
    columns_of,
    embedded,
    labelled,
    lettered_alike,
    load,
    make_task,
    prepare,
)
from rationem.tasks import choices
from rationem.tasks.judge import comparing
from rationem.tasks.pairs import fields_of
from rationem.tasks.protocol import Task
from rationem.tasks.rubric import Rubric, read_rubric
from rationem.types import Example, Splits

#: Where a run directory is asked for and there is none.
NO_RUN = Path(os.devnull)


class Unfit(DataError):
    """The data was read, but has no suitable scale, so the check cannot continue; ``code`` is the finding's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Material:
    """The data of a check.

    Args:
        config: the settings, including a suggested scale.
        task: gives the prompts and owns the scale.
        known: the items of DATA.
        tested: the items of a separate test set, else empty.
        scale_from: "given", "rubric", "preset", "suggested" or "world".
        rows: rows read, including unusable ones.
        skipped: the errors of unusable rows.
        inputs: field -> name of its column.
        unused: unused column -> (source of a row -> its cell).
        loaded: the loaded DATA; None for the embedded world.
        test_loaded: the same of the test set.
        splits: the embedded world's sets; None if a fit would make them.
        apart: the unused columns that differ between rows of equal inputs.
        suggested: the settings that the values suggest, the scale among them; none if a scale was given.
        why: a sentence on these.
    """

    config: FitConfig
    task: Task
    known: tuple[Example, ...]
    tested: tuple[Example, ...]
    scale_from: str
    rows: int
    skipped: tuple[DataError, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    loaded: data.LoadedData | None = None
    test_loaded: data.LoadedData | None = None
    splits: Splits | None = None
    apart: frozenset[str] = frozenset()
    suggested: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    @property
    def orders(self) -> int:
        """The number of shown orders of an item."""
        return self.task.orders


def read(config: FitConfig) -> Material:
    """Read DATA and the test set as a fit would, but leave out unusable rows instead of raising their errors.

    Raises:
        Unfit: there is no scale and the ratings suggest none, or the scale is unsuitable for comparisons.
        RationemError: no data is named, a file or column is not there, not one row can be used or has a label, or the
            test set asks for something else than DATA.
    """
    if not config.data:
        raise ConfigError(f"No data given. Name one or more files, or embedded data: {', '.join(EMBEDDED)}.")
    if embedded(config) is not None:
        return _world(config)
    rubric = read_rubric(Path(config.rubric)) if config.rubric else None
    skipped: list[DataError] = []
    config, loaded, scale_from, (suggested, why) = _load(config, rubric, skipped)
    tested = load(config, config.test, rubric, like=loaded, skipped=skipped) if config.test else None
    for names, one in ((config.data, loaded), (config.test, tested)):
        if one is not None and not labelled(one.examples, one.scale):
            text = "the raters of every item are tied, and on this scale a tie has no label."
            raise DataError(f"{', '.join(names)}: {text} Is the scale correct?")
    alike(loaded, tested)
    loaded, tested = lettered_alike(loaded, tested)
    if loaded.candidates > 1:
        _check_pair_scale(loaded)
    table = _table((*config.data, *config.test), config.form)
    columns = [name for one in (loaded, tested) if one for name in one.notes["unused_columns"]]
    return Material(
        config=config,
        task=make_task(config, loaded, rubric),
        known=loaded.examples,
        tested=tested.examples if tested else (),
        scale_from=scale_from,
        rows=sum(one.notes["rows"] + one.notes.get("unreadable", 0) for one in (loaded, tested) if one),
        skipped=tuple(skipped),
        inputs=_inputs(loaded),
        unused={name: {at: cells.get(name) for at, cells in table} for name in dict.fromkeys(columns)},
        loaded=loaded,
        test_loaded=tested,
        apart=_apart(table, tuple(_inputs(loaded).values()), columns),
        suggested=suggested,
        why=why,
    )


def describe(material: Material) -> dict[str, Any]:
    """Return how the data was read and why, as JSON."""
    loaded, config = material.loaded, material.config
    notes = dict(loaded.notes) if loaded else {}
    notes.pop("unused_columns", None)
    return {
        "sources": list(config.data),
        "test_sources": list(config.test),
        "rows": material.rows,
        "items": len(material.known),
        "test_items": len(material.tested),
        "preset": loaded.preset if loaded else None,
        "columns_by": _columns_by(material),
        "columns": _named(loaded.columns) if loaded else dict(material.inputs),
        "unused_columns": list(material.unused),
        "task": material.task.name,
        "criteria": [one.name for one in material.task.criteria],
        "asks": _ASKS[material.task.items](material.orders),
        "pair": material.orders > 1,
        "candidates": material.orders,
        "choice": loaded is not None and loaded.columns.choices is not None,
        "train_rows_by": _rows_by(material),
        "notes": notes,
    }


def _rows_by(material: Material) -> str:
    """Return the unit of a training row: a "rating" if items have several, else an "item"."""
    several = any(len(x.ratings) > 1 for x in material.known)
    return "rating" if several and material.config.raters == "each" else "item"


def _load(
    config: FitConfig, rubric: Rubric | None, skipped: list[DataError]
) -> tuple[FitConfig, data.LoadedData, str, tuple[dict[str, Any], str]]:
    """Return DATA, the source of its scale, and the suggested settings with a sentence on them.

    Without a scale the values suggest one.
    """
    named = "given" if config.scale else "rubric" if rubric and rubric.scale else "preset"
    try:
        return config, load(config, config.data, rubric, skipped=skipped), named, ({}, "")
    except data.NoScale as problem:
        if problem.suggestion is None:
            raise Unfit("no_scale", str(problem)) from problem
        suggested, why = {"scale": problem.suggestion, **problem.settings}, problem.why
    if config.missing and "missing" in suggested:
        suggested["missing"] = f"{config.missing},{suggested['missing']}"
    skipped.clear()
    config = config.replace(**suggested)
    return config, load(config, config.data, rubric, skipped=skipped), "suggested", (suggested, why)


def _check_pair_scale(loaded: data.LoadedData) -> None:
    """Raise Unfit if the scale is unsuitable for comparisons; ignores mistakes in the user's template."""
    try:
        comparing(loaded.scale, loaded.candidates)
    except ConfigError as problem:
        raise Unfit("pair_scale", str(problem)) from problem


def _rows(name: str, form: data.FileFormat) -> Iterator[data.Row | DataError]:
    """Yield the rows, and an error instead of each unreadable row."""
    try:
        yield from scan_rows(name, form)
    except DataError as error:
        yield error


def _table(names: Sequence[str], form: data.FileFormat) -> list[tuple[str, Mapping[str, object]]]:
    """Return (source, cells) of every readable row."""
    rows = (row for name in names for row in _rows(name, form))
    return [(row.source, row.cells) for row in rows if isinstance(row, data.Row)]


def _apart(
    table: Sequence[tuple[str, Mapping[str, object]]], inputs: Sequence[str], columns: Sequence[str]
) -> frozenset[str]:
    """Return the columns that differ between rows of equal inputs; none where the inputs are no columns of the file."""
    first: dict[tuple[str, ...], Mapping[str, object]] = {}
    found: set[str] = set()
    for _, cells in table:
        if not all(name in cells for name in inputs):
            continue
        other = first.setdefault(tuple(str(cells[name]) for name in inputs), cells)
        found.update(name for name in columns if name not in found and other.get(name) != cells.get(name))
    return frozenset(found)


def _world(config: FitConfig) -> Material:
    task, splits = prepare(config)
    known = (*splits.train, *splits.validation)
    fields = {name: name for name in known[0].fields}
    return Material(
        config, task, known, splits.test, "world", len(known) + len(splits.test), inputs=fields, splits=splits
    )


def _compared(orders: int) -> str:
    few = {1: "one response is rated", 2: "two responses are compared"}
    return few.get(orders, f"{orders} responses are compared")


#: What is asked of an item, in words, by ``Task.items``.
_ASKS: dict[str, Callable[[int], str]] = {
    "responses": _compared,
    "choices": lambda _: "one of several choices is correct",
    "inputs": lambda _: "one answer is correct",
}


def _inputs(loaded: data.LoadedData) -> dict[str, str]:
    """Return field -> column; for a comparison every response."""
    return _FIELDS[loaded.items](loaded)


def _own_inputs(loaded: data.LoadedData) -> dict[str, str]:
    return dict((*loaded.columns.inputs, *loaded.columns.optional))


def _responses(loaded: data.LoadedData) -> dict[str, str]:
    several = loaded.columns.response.split(",") if loaded.candidates > 1 else [loaded.columns.response]
    responses = zip(fields_of(loaded.candidates), map(str.strip, several), strict=True)
    asked = {"prompt": loaded.columns.prompt} if loaded.columns.prompt else {}
    return {**asked, **dict(responses), **_beside(loaded.columns)}


def _choices(loaded: data.LoadedData) -> dict[str, str]:
    levels = loaded.scale.levels
    several = [name.strip() for name in (loaded.columns.choices or "").split(",")]
    own = several if len(several) > 1 else [f"{several[0]}, {letter}" for letter in levels]
    letters = zip(map(choices.field_of, levels), own, strict=False)
    return {"prompt": loaded.columns.prompt, **dict(letters), **_beside(loaded.columns)}


def _beside(columns: data.Columns) -> dict[str, str]:
    others = {"reference": columns.reference, "context": columns.context}
    return {role: name for role, name in others.items() if name is not None}


_FIELDS = {"inputs": _own_inputs, "responses": _responses, "choices": _choices}


def _named(columns: data.Columns) -> dict[str, str]:
    """Return role -> column of the columns used, a criterion as ``rating of NAME``."""
    told = {role: name for role, name in columns.to_dict().items() if isinstance(name, str) and name}
    if columns.inputs:
        read = {**dict((*columns.inputs, *columns.optional)), "answer": columns.rating}
        return read | {role: name for role, name in told.items() if role in ("id", "group", "weight")}
    if columns.choices is not None:
        told.pop("response")
        told["answer"] = told.pop("rating")
    if columns.criteria:
        told.pop("rating", None)
    return told | {f"rating of {name}": column for name, column in columns.criteria}


def _columns_by(material: Material) -> str:
    loaded, config = material.loaded, material.config
    if loaded is None:
        return "those of the embedded world"
    if loaded.preset:
        how = "named" if config.preset else "recognised by its columns"
        return f"of the preset {loaded.preset}, {how}"
    if columns_of(config) is not None:
        return "named by flags, the others by default names"
    guessed = loaded.notes.get("guessed")
    return f"guessed ({', '.join(guessed)}), the others by default names" if guessed else "by default names"
