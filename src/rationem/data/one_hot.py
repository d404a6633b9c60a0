"""One column per level, of which exactly one is marked in each row -> one rating column.

``winner_model_a, winner_model_b, winner_tie`` with 1, 0, 0 is the verdict that the first response is better; ``bad,
fair, good`` with 0, 1, 0 is the rating "fair".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rationem.data.columns import Columns
from rationem.data.records import Row
from rationem.data.sides import place_of
from rationem.data.texts import is_blank
from rationem.tasks.scale import Scale

_YES, _NO = frozenset({"1", "1.0", "true", "yes", "x"}), frozenset({"", "0", "0.0", "false", "no"})
#: Fewest rows, and fewest columns without a comparison: several raters' 0 and 1 look alike by chance in fewer.
_FEWEST_ROWS, _FEWEST = 20, 3
_TIE = "tie"

_Rows = Sequence[tuple[str, Row]]


def one_hot(
    rows: _Rows, columns: Columns, responses: Sequence[str] | None, scale: Scale | None
) -> tuple[list[tuple[str, Row]], list[str]]:
    """Return the rows with one rating cell instead of one per level, and sentences that say so.

    Args:
        rows: (default id, row).
        columns: the rating is several columns, "a,b,c".
        responses: the compared columns; None if one response is rated.
        scale: the levels; None if not known yet.
    """
    found, told = list(rows), []
    for criterion in columns.criterion_names:
        name = dict(columns.criteria).get(criterion, columns.rating)
        names = columns.ratings(rows[0][1].cells, criterion) if rows else ()
        marks = [_marks(row.cells, names) for _, row in found]
        if not _is_one_hot(marks, len(names), len(responses or ())):
            continue
        levels = _levels(names, responses, scale)
        found = [(key, _with(row, name, mark, levels)) for (key, row), mark in zip(found, marks, strict=True)]
        told.append(f"The columns {', '.join(names)} mark one level each: {', '.join(levels)}.")
    return found, told


def _marks(cells: Mapping[str, object], names: Sequence[str]) -> list[bool] | None:
    """Return which columns are marked; None if a cell is no mark."""
    texts = ["" if is_blank(cells.get(name)) else str(cells.get(name)).strip().casefold() for name in names]
    return [text in _YES for text in texts] if all(text in _YES | _NO for text in texts) else None


def _is_one_hot(marks: Sequence[list[bool] | None], count: int, responses: int) -> bool:
    if len(marks) < _FEWEST_ROWS or count < max(_FEWEST if not responses else 2, responses):
        return False
    sums = [sum(mark) if mark is not None else count for mark in marks]
    none = sums.count(0) if responses and count == responses else 0  # no mark: a tie
    return max(sums) == 1 and sums.count(1) + none == len(sums) and sums.count(1) > 0


def _levels(names: Sequence[str], responses: Sequence[str] | None, scale: Scale | None) -> list[str]:
    """Return the level of each column: that of its response, by name or place; ties follow."""
    if responses is None:
        return _differing(names, scale)
    places = [place_of(name, responses) for name in names]
    if sorted(place for place in places if place is not None) != list(range(len(responses))):
        places = [at if at < len(responses) else None for at in range(len(names))]
    ties = iter(scale.levels[len(responses) :] if scale is not None else _ties())
    own = scale.levels if scale is not None else responses
    return [own[place] if place is not None else next(ties, _TIE) for place in places]


def _differing(names: Sequence[str], scale: Scale | None) -> list[str]:
    """Return the levels that columns are named after: what differs in their names, if a scale or a mark says so.

    >>> _differing(["Answer.rating.1", "Answer.rating.2"], None), _differing(["bad", "barely"], None)
    (['1', '2'], ['bad', 'barely'])
    """
    shortest = min(map(len, names))
    start = next((at for at in range(shortest) if len({name[at] for name in names}) > 1), shortest)
    while start and names[0][start - 1].isalnum():  # "rating.1" and "rating.10" differ by 1 and 10
        start -= 1
    parts = [name[start:] for name in names]
    if scale is not None:
        levels = [scale.level(part) for part in parts]
        own = all(scale.level(name) is not None for name in names)
        return list(names) if own or None in levels else parts
    return parts if all(parts) else list(names)


def _ties() -> Iterator[str]:
    yield from (_TIE, "tie (both bad)", "tie (both good)")


def _with(row: Row, name: str, mark: list[bool] | None, levels: Sequence[str]) -> Row:
    chosen = mark.index(True) if mark is not None and any(mark) else None
    return replace(row, cells={**row.cells, name: levels[chosen] if chosen is not None else _TIE})
