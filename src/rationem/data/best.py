"""Scores of the compared responses, their ranks, or a ranking -> the verdict which response is the best.

===============================================  =================================================
``score_a, score_b`` with 4, 2                    A: the highest score wins
``rank_a, rank_b, rank_c`` with 2, 1, 3           B: the lowest rank wins
``B > A = C`` in one cell                         B: the first wins; two in the first place tie
===============================================  =================================================
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from rationem.data.columns import Columns
from rationem.data.families import families
from rationem.data.ladders import ladder
from rationem.data.nested import structure
from rationem.data.notations import numbers, plain
from rationem.data.records import Row
from rationem.data.sides import place_of
from rationem.data.suggest import typed
from rationem.data.suggest_pair import suggest_pair
from rationem.data.texts import is_blank
from rationem.data.unusable import rated
from rationem.errors import DataError
from rationem.tasks.pairs import fields_of
from rationem.tasks.scale import Scale

#: What several rating columns beside compared responses hold; None where their names and cells decide.
VerdictFrom = Literal["scores", "ranks", "raters"] | None

_Rows = Sequence[tuple[str, Row]]

_TIE = "tie"
#: Names of columns of ranks, of scores, and of raters.
_RANK = re.compile(r"rank|(?<![a-z])(?:place|position)", re.I)
_SCORE = re.compile(r"scor|rating|grade|points|likert", re.I)
#: Names of columns of which the highest number is perhaps the worst.
_BAD = re.compile(r"toxic|error|loss(?![a-z])|severity|harm|risk|violation|perplex|hallucinat|mistake|penalt", re.I)
_RATER = re.compile(r"rater|annotator|judge|labell?er|worker|coder", re.I)
_BETTER, _EQUAL = re.compile(r"\s*(?:>+|≻+)\s*"), re.compile(r"\s*(?:=+|~|≈)\s*")
_MUCH = re.compile(">>|≻≻")
_DEGREES = ' To keep how much better (>>): --scale "A>>B < A>B < A=B < B>A < B>>A", with your own cells.'
#: Most characters of a ranking.
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class _Compared:
    """What a verdict is read from.

    Args:
        names: the rating columns of one criterion.
        responses: the compared columns.
        scale: the levels; None if not known yet.
        missing: cells that are no rating.
    """

    names: Sequence[str]
    responses: Sequence[str]
    scale: Scale | None
    missing: frozenset[str]

    def text(self, cell: object) -> str:
        """Return a cell as text; "" if it holds no rating."""
        text = "" if is_blank(cell) else str(cell).strip()
        return "" if text in self.missing or not rated(text) else text

    def texts(self, row: Row) -> list[str]:
        """Return the rating cells of a row, or the elements of the list in its only one."""
        cells = [row.cells.get(name) for name in self.names]
        inside = structure(cells[0]) if len(cells) == 1 else None
        return list(map(self.text, inside if isinstance(inside, list) else cells))

    def has_lists(self, rows: Sequence[Row]) -> bool:
        """Say whether the only rating column holds a list in every row, with an element for each response."""
        return len(self.names) == 1 and all(
            isinstance(structure(row.cells.get(self.names[0])), list) and len(self.texts(row)) == len(self.responses)
            for row in rows
        )

    @property
    def usual(self) -> tuple[str, ...]:
        """Letters for the responses."""
        return tuple(name[-1].upper() for name in fields_of(len(self.responses)))

    @property
    def letters(self) -> tuple[str, ...]:
        """The names of the responses: the scale's first levels, otherwise letters."""
        return self.scale.levels[: len(self.responses)] if self.scale else self.usual

    def check_scale(self, source: str, found: str) -> None:
        """Raise a DataError if the levels do not name the responses: on a scale of degrees "2" is no second one."""
        scale = self.scale
        if scale is not None and (scale.ordered or len(scale.levels) < len(self.responses)):
            raise DataError(
                f"{source}: {found} say which response is the best, and the levels of the scale {scale.sentence()!r} "
                f'do not name the {len(self.responses)} responses. Use --scale "{_levels(self.usual)}".'
            )

    def tie(self, source: str, shown: str) -> str:
        """Return the level of a tie.

        Raises:
            DataError: the scale has none.
        """
        if self.scale is None:
            return _TIE
        more = self.scale.levels[len(self.responses) :]
        if not more:
            raise DataError(
                f"{source}: {shown} is a tie between the best responses, and the scale {self.scale.sentence()!r} has "
                f'no level for one. Add it: --scale "{_levels(self.letters)}".'
            )
        return next((level for level in more if level.casefold() == _TIE), more[0])


def _levels(names: Sequence[str]) -> str:
    return " | ".join((*names, _TIE))


def best_response(
    rows: _Rows,
    columns: Columns,
    responses: Sequence[str] | None,
    scale: Scale | None,
    *,
    missing: Sequence[str] = (),
    verdict_from: VerdictFrom = None,
) -> tuple[list[tuple[str, Row]], list[str]]:
    """Return the rows with a verdict instead of scores, ranks or a ranking, and sentences that say so.

    Args:
        rows: (default id, row).
        columns: names the rating columns.
        responses: the compared columns; None if one response is rated, and nothing changes.
        scale: the levels; None if not known yet.
        missing: cells that are no rating.
        verdict_from: what the columns hold, if the user says it.

    Raises:
        DataError: it is unclear what the columns hold, they hold no numbers although the user says so, or a tie has no
            level.
    """
    found, told = list(rows), list[str]()
    if responses is None:
        return found, told
    for criterion in columns.criterion_names:
        name = dict(columns.criteria).get(criterion, columns.rating)
        names = columns.ratings(rows[0][1].cells, criterion) if rows else ()
        compared = _Compared(names, responses, scale, frozenset(missing))
        read = _scored(found, name, compared, verdict_from) or _ranked(found, compared)
        if read is not None:
            verdicts, how = read
            found = [
                (key, replace(row, cells={**row.cells, **cells}))
                for (key, row), cells in zip(found, verdicts, strict=True)
            ]
            told.append(how)
    return found, told


# --- a number for each response


#: The new cells of each row, and the sentence on them.
_Verdicts = tuple[Sequence[Mapping[str, object]], str]


def _scored(rows: _Rows, name: str, compared: _Compared, asked: VerdictFrom) -> _Verdicts | None:
    """Return the verdicts of numbers, one column of them for each response; None if the columns hold none."""
    names, count = compared.names, len(compared.responses)
    if asked == "raters" or not (len(names) == count or compared.has_lists([row for _, row in rows])):
        if asked in ("scores", "ranks"):
            raise DataError(
                f"--verdict-from {asked}: {count} responses are compared, so --rating-col needs {count} columns, one "
                f"for each response in their order, or one whose cells are lists of {count}; it names {len(names)}."
            )
        return None
    cells = [compared.texts(row) for _, row in rows]
    degree = _degrees(cells)
    if not degree:
        if asked is not None:
            shown = next((text for one in cells for text in one if text), "")
            raise DataError(
                f"--verdict-from {asked}: the columns {', '.join(names)} hold no numbers, such as {shown!r}."
            )
        return None
    kind = asked or _kind(rows[0][1].source, cells, degree, compared)
    if kind == "raters":
        return None
    compared.check_scale(rows[0][1].source, f"the {kind} in {', '.join(names)}")
    places = [place_of(name, compared.responses) for name in names]
    order = [places.index(at) for at in range(count)] if _by_place(places) else list(range(count))
    sign = -1 if kind == "ranks" else 1
    verdicts = [
        _best([sign * degree[one[at]] for at in order], row.source, one, compared) if all(one) else None
        for (_, row), one in zip(rows, cells, strict=True)
    ]
    wins = "the lowest rank" if kind == "ranks" else "the highest score"
    counts = Counter(verdict for verdict in verdicts if verdict is not None)
    shown = ", ".join(f"{level} {n}" for level, n in sorted(counts.items()))
    left = f" Rows without all of them have no verdict: {verdicts.count(None)}." if None in verdicts else ""
    told = f"The columns {', '.join(names)} hold {kind}: the response with {wins} is the best ({shown}).{left}"
    return [{name: verdict} for verdict in verdicts], told


def _best(degrees: Sequence[Fraction], source: str, cells: Sequence[str], compared: _Compared) -> str:
    top = [at for at, degree in enumerate(degrees) if degree == max(degrees)]
    return compared.letters[top[0]] if len(top) == 1 else compared.tie(source, f"{', '.join(cells)}")


def _degrees(cells: Sequence[Sequence[str]]) -> Mapping[str, Fraction]:
    """Return text -> number, for all texts in the notations of numbers or words in a known order; else none."""
    texts = {text for one in cells for text in one if text}
    if found := {text: text for text in texts} if all(map(plain, texts)) else numbers(texts)[0]:
        return {text: Fraction(number) for text, number in found.items()}
    words = ladder(texts) or ()
    return {word: Fraction(at) for at, word in enumerate(words)}


def _by_place(places: Sequence[int | None]) -> bool:
    """Say whether the columns' names tell which response each is about."""
    return sorted(at for at in places if at is not None) == list(range(len(places)))


def _kind(
    source: str, cells: Sequence[Sequence[str]], degree: Mapping[str, Fraction], compared: _Compared
) -> Literal["scores", "ranks", "raters"]:
    """Return what the columns hold, by their names and cells.

    Numbers can be raters' verdicts if they are levels of the scale, or without a scale if they look like verdicts.
    Columns that are not named like the responses then hold verdicts, as ever.

    Raises:
        DataError: it is unclear.
    """
    names, scale = compared.names, compared.scale
    named = _by_place([place_of(name, compared.responses) for name in names])
    by_rank, by_score, by_rater = (all(map(words.search, names)) for words in (_RANK, _SCORE, _RATER))
    if scale is None:
        verdicts = min(degree.values()) < 0 or suggest_pair(degree, compared.responses) is not None
    else:
        verdicts = scale.ordered or all(scale.level(text) is not None for text in degree)
    listed = len(names) == 1 and (by_rank or by_score)  # a list called scores or ranks, with one for each response
    if (by_rater and not by_rank and not by_score) or (verdicts and not named and not listed):
        return "raters"
    if verdicts or by_rater or (scale is None and not named):
        raise DataError(_unclear(source, compared, ("scores", "ranks", "raters")))
    whole = all(number.denominator == 1 for number in degree.values())
    if by_rank and not by_score and whole and named:
        return "ranks"
    bad = any(map(_BAD.search, names))
    if by_rank or bad or not named or _like_ranks([[degree[text] for text in one] for one in cells if all(one)]):
        raise DataError(_unclear(source, compared, ("scores", "ranks")))
    return "scores"


def _like_ranks(rows: Sequence[Sequence[Fraction]]) -> bool:
    """Say whether the numbers of every row are the ranks 1 to k in some order, or at most k if some are equal."""
    return bool(rows) and all(
        sorted(one) == list(range(1, len(one) + 1)) or (len(set(one)) < len(one) and max(one) <= len(one))
        for one in rows
    )


_MEANINGS = {
    "scores": "a score of each response, of which the highest wins",
    "ranks": "a rank of each response, of which 1 wins",
    "raters": "the verdicts of several raters",
}


def _unclear(source: str, compared: _Compared, ways: Sequence[str]) -> str:
    told = "; ".join(f"{_MEANINGS[way]}: `--verdict-from {way}`" for way in ways)
    more = f' With scores and ranks the scale is that of the verdict: --scale "{_levels(compared.usual)}".'
    more += _each(compared)
    return f"{source}: what do the columns {', '.join(compared.names)} hold? {told[0].upper()}{told[1:]}.{more}"


def _each(compared: _Compared) -> str:
    """Return the way to rate each response by itself, if the columns' names show which belong together."""
    patterns = [next(iter(families(names)), "") for names in (compared.responses, compared.names)]
    told = " ".join(map(typed, patterns))
    return f" To rate each response by itself: `--unpivot {told}`." if all(patterns) else ""


# --- a ranking in one cell


def _ranked(rows: _Rows, compared: _Compared) -> _Verdicts | None:
    """Return the first of each ranking, if all rating cells are rankings."""
    names, scale = compared.names, compared.scale
    cells = [{name: structure(row.cells.get(name)) for name in names} for _, row in rows]
    texts = {text for one in cells for cell in one.values() for text in map(compared.text, _elements(cell)) if text}
    firsts = {text: _first(text) for text in texts}
    known = scale is not None and any(scale.level(text) is not None for text in texts)
    if known or not any(map(_BETTER.search, texts)) or not all(firsts.values()):
        return None

    compared.check_scale(rows[0][1].source, f"the rankings in {', '.join(names)}")

    def verdict(text: str, source: str) -> str | None:
        first = firsts.get(text) or ()
        return None if not text else first[0] if len(first) == 1 else compared.tie(source, text)

    def verdicts(cell: object, source: str) -> object:
        read = [verdict(compared.text(one), source) for one in _elements(cell)]
        return read if isinstance(cell, list) else read[0]

    read = [
        {name: verdicts(cell, row.source) for name, cell in one.items()}
        for one, (_, row) in zip(cells, rows, strict=True)
    ]
    told = f"Rating cells hold rankings ({', '.join(names)}): of each, the first response is the best."
    return read, told + (_DEGREES if any(map(_MUCH.search, texts)) and len(compared.responses) == 2 else "")


def _elements(cell: object) -> list[object]:
    return cell if isinstance(cell, list) else [cell]


def _first(text: str) -> tuple[str, ...] | None:
    """Return those in the first place of a ranking; None if a text is none.

    >>> _first("B > A=C"), _first("A = B > C"), _first("fair"), _first("A > A")
    (('B',), ('A', 'B'), None, None)
    """
    if len(text) > _LONGEST or not (_BETTER.search(text) or _EQUAL.search(text)):
        return None
    places = [_EQUAL.split(place) for place in _BETTER.split(text)]
    named = [one for place in places for one in place]
    return tuple(places[0]) if all(named) and len(set(named)) == len(named) else None
