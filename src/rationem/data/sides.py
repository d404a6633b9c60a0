"""Verdicts of comparisons that name a system: other columns give the system of each response, row by row.

Systems change sides between rows, so a level with a system's name would mean the first response in one row and the
second in the next. Such a verdict is replaced by the name of the response's column, which identifies its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rationem.data.cells import rating_cells
from rationem.data.columns import Columns
from rationem.data.records import Row
from rationem.data.suggest_pair import suggest_pair
from rationem.data.unusable import rated
from rationem.errors import ConfigError, DataError
from rationem.tasks.scale import Scale

#: A column whose name is made of words, numbers and single capitals: "modelA", "model_a" and "model 1" have two.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
#: Smallest share of verdicts that columns must explain to count as the columns of the systems.
_MOST = 0.5
#: Most characters of a name.
_LONGEST = 200

#: The error with levels, and the error with verdicts.
_LEVELS = "the levels {scale!r} are names of systems"
_BOTH = "the verdicts can be read as places or as names of systems"


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """One row's verdicts, casefolded, and the columns that contain one of them."""

    at: int
    said: frozenset[str]
    held: Mapping[str, str]


def by_name(
    rows: Sequence[tuple[str, Row]], columns: Columns, responses: Sequence[str], scale: Scale | None
) -> tuple[list[tuple[str, Row]], tuple[str, ...]]:
    """Return the rows with each verdict that names a system replaced by its response's column name.

    Args:
        rows: (default id, row).
        columns: the named columns; the systems are looked for in others.
        responses: the compared columns.
        scale: the levels, None if not given.

    Returns:
        The rows, and the columns of the systems in the order of the responses; empty if no verdict names a system.

    Raises:
        DataError: a level is the name of a system that changes sides; or a verdict is both a place and a name.
    """
    given = list(rows)
    if scale is not None and scale.ordered:
        return given, ()
    verdicts = [_verdicts(at, row, columns) for at, (_, row) in enumerate(given)]
    verdicts = [one for one in verdicts if one.said]
    names = _named(verdicts, responses)
    if not names:
        return given, ()
    places = [_place(row.cells, names) for _, row in given]
    if scale is not None:
        levels = [level.casefold() for level in scale.levels[: len(responses)]]
        if set(levels) & {name for place in places for name in place}:
            _check(given, verdicts, places, levels, names, _LEVELS.format(scale=scale.sentence()))
            return given, ()
    found = {text for one in verdicts for text in one.said}
    usual = suggest_pair(found, responses)
    if usual is not None:
        levels = [level.casefold() for level in Scale.parse(usual).levels[: len(responses)]]
        _check(given, verdicts, places, levels, names, _BOTH)
        return given, ()
    return [
        (name, _placed(row, columns, place, responses)) for (name, row), place in zip(given, places, strict=True)
    ], names


def _check(
    rows: Sequence[tuple[str, Row]],
    verdicts: Sequence[_Verdicts],
    places: Sequence[Mapping[str, int]],
    levels: Sequence[str],
    names: Sequence[str],
    what: str,
) -> None:
    """Raise DataError if a verdict read as a level and read as a system's name mean different responses."""
    wrong = [
        one.at
        for one in verdicts
        if any(text in levels and places[one.at].get(text, at) != at for text in one.said for at in [_at(levels, text)])
    ]
    if not wrong:
        return
    where, count = rows[wrong[0]][1].source, f"{len(wrong)} of {len(verdicts)} rows"
    raise DataError(
        f"{where}: {what}, and according to the columns {list(names)} the systems change sides: in {count} a level "
        "would mean the other response. The first level always means the first response: use levels for places, "
        'such as --scale "A | B | tie". Verdicts that are names are then read by those columns, row by row. If they '
        "are places, remove those columns from the file."
    )


def _at(levels: Sequence[str], text: str) -> int:
    return levels.index(text) if text in levels else -1


def _verdicts(at: int, row: Row, columns: Columns) -> _Verdicts:
    """Return the verdicts of a row; none if the row lacks the columns."""
    wanted = {name for criterion in columns.criterion_names for name in columns.ratings(row.cells, criterion)}
    if not wanted <= row.cells.keys():
        return _Verdicts(at, frozenset(), {})
    cells = [cell for criterion in columns.criterion_names for cell in rating_cells(row, columns, criterion)]
    said = frozenset(_folded(cell) for cell in cells if isinstance(cell, str) and rated(cell))
    read = {name for _, name in columns.needed(row.cells)}
    short = {name: cell for name, cell in row.cells.items() if isinstance(cell, str) and len(cell) <= _LONGEST}
    texts = {name: _folded(cell) for name, cell in short.items() if name not in read}
    return _Verdicts(at, said, {name: text for name, text in texts.items() if text})


def _named(verdicts: Sequence[_Verdicts], responses: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the systems: named like the responses, with one of them equal to the verdict."""
    held = dict.fromkeys(name for one in verdicts for name, text in one.held.items() if text in one.said)
    kinds: dict[tuple[str, ...], dict[int, str]] = {}
    for name in held:
        words = _words(name)
        for at, key in enumerate(_keys(responses)):
            if key and key <= set(words):
                kinds.setdefault(tuple(word for word in words if word not in key), {})[at] = name
    whole = [tuple(of[at] for at in range(len(responses))) for of in kinds.values() if len(of) == len(responses)]
    shares = {names: sum(_one(one, names) for one in verdicts) / len(verdicts) for names in whole}
    best = max(shares, key=shares.__getitem__, default=())
    return best if best and shares[best] >= _MOST else ()


def _one(one: _Verdicts, names: Sequence[str]) -> bool:
    """Say whether the names differ and some verdict of the row is one of them."""
    texts = [one.held.get(name) for name in names]
    return len(set(texts)) == len(texts) and any(text in one.said for text in texts)


def place_of(name: str, responses: Sequence[str]) -> int | None:
    """Return the place of the response that a column's name means, by its distinguishing words; None for another.

    >>> place_of("winner_model_b", ("response_a", "response_b")), place_of("winner_tie", ("response_a", "response_b"))
    (1, None)
    """
    words = set(_words(name))
    places = [at for at, key in enumerate(_keys(responses)) if key and key <= words]
    return places[0] if len(places) == 1 else None


def _keys(responses: Sequence[str]) -> list[set[str]]:
    """Return the distinguishing words of each response's column: "a" and "b" for response_a and response_b."""
    words = [set(_words(name)) for name in responses]
    return [own - set().union(*(other for at, other in enumerate(words) if at != n)) for n, own in enumerate(words)]


def _words(name: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(name)]


def _place(cells: Mapping[str, object], names: Sequence[str]) -> dict[str, int]:
    """Return casefolded system name -> its place in a row; empty if two systems are equal."""
    texts = [_folded(cells.get(name)) for name in names]
    return {text: at for at, text in enumerate(texts) if text} if len(set(texts)) == len(texts) else {}


def _placed(row: Row, columns: Columns, place: Mapping[str, int], responses: Sequence[str]) -> Row:
    """Return a row with its verdicts replaced by the responses' column names."""

    def read(cell: object) -> object:
        if isinstance(cell, list):
            return [read(one) for one in cell]
        at = place.get(_folded(cell)) if isinstance(cell, str) else None
        return cell if at is None else responses[at]

    wanted = {name for criterion in columns.criterion_names for name in columns.ratings(row.cells, criterion)}
    return replace(row, cells={**row.cells, **{name: read(row.cells[name]) for name in wanted & row.cells.keys()}})


def _folded(cell: object) -> str:
    return " ".join(str(cell).split()).casefold() if isinstance(cell, str) else ""


def two_sided_scale(scale: Scale) -> Scale:
    """Return the scale of a graded pair; an unsuitable one unchanged, for the task to reject with a full message."""
    try:
        return scale.for_pair()
    except ConfigError:
        return scale
