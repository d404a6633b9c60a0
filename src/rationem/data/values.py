"""Rating cells -> ratings as a scale writes them: one reading per column, decided from all cells and told before use.

    lists       "[1, 0]", "3;4"               -> several ratings
    --missing   "0", "X"                      -> no rating, in that cell only
    --map       "good=3"                      -> the level that the user names
    notations   "80%", "4/5", "★★★", "4 - ok" -> 80, 4, 3, 4
    --bins      73.5                          -> the number of its bin
    --round     3.33                          -> the nearest level

What is not read by one of these stays as it is, and is a level or an error later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from rationem.data.best import VerdictFrom
from rationem.data.columns import Columns
from rationem.data.direction import against, worse_with_number
from rationem.data.disguised import undisguised
from rationem.data.ladders import normal
from rationem.data.lists import divided, either, mark_of, opened, refuse_shares
from rationem.data.notations import numbers, plain, read
from rationem.data.onto_scale import nearest, numbers_of, one_within
from rationem.data.records import Row
from rationem.data.texts import is_blank
from rationem.data.thousands import readings, two_sizes
from rationem.data.unusable import rated
from rationem.errors import ConfigError, DataError
from rationem.tasks.scale import Scale

_SHOWN, _WIDTH = 8, 30
#: Share of the cells that a notation must explain.
_MOST = 0.9
_MOST_BINS = 50
#: Other spellings of yes and no.
_YES_NO = {
    **dict.fromkeys(("true", "t", "y", "yes", "1", "1.0"), "yes"),
    **dict.fromkeys(("false", "f", "n", "no", "0", "0.0"), "no"),
}

_Rows = Sequence[tuple[str, Row]]


@dataclass(frozen=True, slots=True)
class Values:
    """What the user says about rating cells.

    Args:
        missing: cells that are no rating.
        given: (cell, level).
        round: a number between two levels becomes the nearest, of two equally near ones the better.
        bins: the edges between bins, rising; or one whole number: so many bins of equal width.
        verdict_from: what several rating columns beside compared responses hold.
    """

    missing: tuple[str, ...] = ()
    given: tuple[tuple[str, str], ...] = ()
    round: bool = False
    bins: tuple[str, ...] = ()
    verdict_from: VerdictFrom = None

    @property
    def edges(self) -> tuple[str, ...]:
        """The edges between bins; none if only their number is given."""
        return () if len(self.bins) == 1 and self.bins[0].isdecimal() else self.bins

    @classmethod
    def parse(
        cls,
        missing: str | None,
        given: Sequence[str],
        *,
        round: bool,
        bins: str | None,
        verdict_from: VerdictFrom = None,
    ) -> Values:
        """Read the settings.

        Raises:
            ConfigError: one is malformed.
        """
        pairs = [text.rpartition("=") for text in given]
        for text, (cell, equals, level) in zip(given, pairs, strict=True):
            if not (cell.strip() and equals and level.strip()):
                raise ConfigError(f"--map {text!r}: write CELL=LEVEL, such as good=3.")
        edges = tuple(part.strip() for part in (bins or "").split(",") if part.strip())
        _check_bins(edges)
        codes = tuple(part.strip() for part in (missing or "").split(",") if part.strip())
        return cls(codes, tuple((cell.strip(), level.strip()) for cell, _, level in pairs), round, edges, verdict_from)


@dataclass(frozen=True, slots=True)
class ReadValues:
    """How the rating cells were read.

    Args:
        mapped: cell -> what it was read as, of cells that differ from it.
        missing: cell -> how often it was read as no rating.
        implied: criterion -> a number that the notation names as the highest, such as "5" of "4/5".
        bins: the edges between bins; empty without bins.
        told: sentences.
        falling: criterion -> a sentence, if words beside its numbers say that low numbers are better.
        against: sentences on words that run against the given scale.
    """

    mapped: Mapping[str, str] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    implied: Mapping[str, str] = field(default_factory=dict)
    bins: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    falling: Mapping[str, str] = field(default_factory=dict)
    against: tuple[str, ...] = ()


def read_values(
    rows: _Rows, columns: Columns, scale: Scale | None, asked: Values, *, lists: bool = True, notations: bool = True
) -> tuple[list[tuple[str, Row]], ReadValues]:
    """Return the rows with their rating cells in the notation of scales, and how they were read.

    Args:
        rows: (default id, row).
        columns: names the rating columns.
        scale: the levels; None if they are not known yet.
        asked: what the user says.
        lists: recognise several ratings in a cell; not in published sets.
        notations: recognise numbers in other notations; not in published sets, and not among verdicts on pairs.

    Raises:
        DataError: a cell holds an object or a list of objects, or bins are asked for without numbers.
    """
    read_so_far = ReadValues()
    for criterion in columns.criterion_names:
        one = _Column(columns, criterion, scale and scale.of(criterion), asked, lists, notations)
        rows, found = one.read(rows)
        read_so_far = _together(read_so_far, found)
    return list(rows), read_so_far


@dataclass(frozen=True, slots=True)
class _Column:
    """The rating columns of one criterion."""

    columns: Columns
    criterion: str
    scale: Scale | None
    asked: Values
    lists: bool
    notations: bool

    def read(self, rows: _Rows) -> tuple[_Rows, ReadValues]:
        """Return the rows with this criterion's cells read."""
        opened_rows = [(name, self._opened(row)) for name, row in rows]
        for name in self._names(rows[0][1]) if rows else ():
            refuse_shares([row.cells.get(name) for _, row in opened_rows], rows[0][1].source, name)
        how = "a list" if any(new is not old for (_, new), (_, old) in zip(opened_rows, rows, strict=True)) else ""
        whole = self._counted(opened_rows)
        mark = mark_of(self._without_missing(whole), self.scale) if self.lists and whole else None
        texts = _all(whole, mark)
        missing = Counter({text: count for text, count in texts.items() if self._no_rating(text, texts)})
        levels, implied = self._levels(texts - missing)
        edges = self._edges(levels, texts)
        changed = {text: new for text in texts if (new := self._ended(levels.get(text, text), edges)) != text}
        told = [*self._told(whole, how, mark), *_mapped(changed, texts), *_no_rating(missing)]
        found = ReadValues(changed, missing, {self.criterion: implied} if implied else {}, edges, tuple(told))
        found = replace(found, **self._direction(texts))
        if not (how or mark or changed or missing):
            return rows, found
        return [(name, self._changed(row, mark, changed, missing)) for name, row in opened_rows], found

    def _direction(self, texts: Counter[str]) -> dict[str, Any]:
        if not self.notations:
            return {}
        if self.scale is not None:
            return {"against": (told,)} if (told := against(texts, self.scale)) else {}
        return {"falling": {self.criterion: told}} if (told := worse_with_number(texts)) else {}

    def _names(self, row: Row) -> tuple[str, ...]:
        if self.criterion not in self.columns.rated_in(row.cells):
            return ()
        return tuple(name for name in self.columns.ratings(row.cells, self.criterion) if name in row.cells)

    def _opened(self, row: Row) -> Row:
        if not self.lists:
            return row
        cells = {name: opened(row.cells[name], row.source, name) for name in self._names(row)}
        same = all(row.cells[name] is cell for name, cell in cells.items())
        return row if same or all(_equal(row.cells[name], cell) for name, cell in cells.items()) else _with(row, cells)

    def _counted(self, rows: _Rows) -> Counter[str]:
        found: Counter[str] = Counter()
        for _, row in rows:
            for name in self._names(row):
                cell = row.cells[name]
                found.update(str(one).strip() for one in _several(cell) if not is_blank(one))
        return found

    def _is_missing(self, text: str) -> bool:
        return any(_same(text, code) for code in self.asked.missing)

    def _no_rating(self, text: str, among: Collection[str]) -> bool:
        """Say whether the user or the cell says that there is no rating; a level of the scale is one."""
        if self._is_missing(text):
            return True
        known = self.scale is not None and self.notations and text not in dict(self.asked.given)
        return known and not rated(text, among) and self._level(text) == text and not self._is_level(text)

    def _without_missing(self, texts: Counter[str]) -> Counter[str]:
        return Counter({text: count for text, count in texts.items() if not self._is_missing(text)})

    def _levels(self, texts: Counter[str]) -> tuple[dict[str, str], str]:
        """Return text -> its reading by the user's map and the notations, and the highest number they name."""
        given = {text: level for text in texts for cell, level in self.asked.given if _same(text, cell)}
        others = Counter({text: count for text, count in texts.items() if text not in given})
        if not self.notations or not others:
            return given, ""
        if self.scale is not None and not self.asked.bins:
            return {text: self._level(text) for text in others} | given, ""
        usual = {text: undisguised(text) for text in others}
        found, most = ({}, "") if either(others) else numbers(readable(_counted(usual, others)), self.asked.edges)
        return {text: found.get(new, new) for text, new in usual.items()} | given, most

    def _level(self, text: str) -> str:
        """Return the level that a text means on the known scale; the text itself if it is one, or none."""
        assert self.scale is not None
        if self.scale.level(text) is not None:
            return text
        usual = undisguised(text)
        for candidate in (usual, *numbers_of(usual, self.scale), *self._words_of(usual)):
            if (level := self.scale.level(candidate)) is not None:
                return level
        return one_within(usual, self.scale) if self.asked.round else text

    def _words_of(self, text: str) -> Iterator[str]:
        assert self.scale is not None
        if set(self.scale.levels) == {"no", "yes"}:
            yield _YES_NO.get(text.casefold(), text)
        yield from (level for level in self.scale.levels if normal(level) == normal(text))
        yield from (one.words for _, one in read(text) if one.words)

    def _edges(self, levels: Mapping[str, str], texts: Counter[str]) -> tuple[str, ...]:
        """Return the edges of the bins; one number of bins divides the range of the numbers equally."""
        asked = self.asked.bins
        if not asked:
            return ()
        if told := two_sizes([text for text in texts if text not in dict(self.asked.given)], self.asked.edges):
            raise DataError(f"--bins: in the rating column {self._named()!r}, {told}")
        found = [Fraction(new) for text in texts if plain(new := levels.get(text, text))]
        if not found:
            raise DataError(f"--bins needs numbers, and the rating column {self._named()!r} holds none.")
        if self.asked.edges:
            return asked
        count, low, high = int(asked[0]), min(found), max(found)
        return tuple(f"{float(low + (high - low) * at / count):.6g}" for at in range(1, count))

    def _ended(self, text: str, edges: Sequence[str]) -> str:
        """Return a reading in its bin, or rounded."""
        if not plain(text) or self._is_missing(text):
            return text
        if edges:
            place = sum(Fraction(text) >= Fraction(edge) for edge in edges)
            named = self.scale is not None and len(self.scale.levels) == len(edges) + 1
            return self.scale.levels[place] if named and self.scale is not None else str(place + 1)
        return nearest(text, self.scale) if self.asked.round and self.scale is not None else text

    def _changed(self, row: Row, mark: str | None, levels: Mapping[str, str], missing: Collection[str]) -> Row:
        cells = {name: self._cell(row.cells[name], mark, levels, missing) for name in self._names(row)}
        return _with(row, cells)

    def _cell(self, cell: object, mark: str | None, levels: Mapping[str, str], missing: Collection[str]) -> object:
        if isinstance(cell, list):
            return [self._cell(one, None, levels, missing) for one in cell]
        if is_blank(cell):
            return None
        text = str(cell).strip()
        if mark is not None and mark in text and not self._is_level(text):
            return [self._cell(part, None, levels, missing) for part in divided(text, mark)]
        return None if text in missing else levels.get(text, cell)

    def _is_level(self, text: str) -> bool:
        return self.scale is not None and self.scale.level(text) is not None

    def _named(self) -> str:
        return dict(self.columns.criteria).get(self.criterion, self.columns.rating)

    def _told(self, whole: Counter[str], how: str, mark: str | None) -> Iterator[str]:
        what = f"A cell of {self._named()!r} holds several ratings"
        if how:
            yield f"{what}: {how}."
        if mark is not None:
            parted = "blanks" if mark == " " else repr(mark)
            text = next(text for text in whole if mark in text)
            yield f"{what}, parted by {parted}: {_short(text)} are {', '.join(divided(text, mark))}."


def _counted(usual: Mapping[str, str], texts: Counter[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for text, new in usual.items():
        found[new] += texts[text]
    return found


def readable(texts: Counter[str]) -> list[str]:
    """Return the texts that can be numbers, if they are nearly all that say something; else all of these."""
    said = Counter({text: count for text, count in texts.items() if rated(text, texts)})
    known = [text for text in said if any(plain(one) or list(read(one)) for one in (text, *readings(text)))]
    return known if sum(said[text] for text in known) >= _MOST * said.total() else list(said)


def _all(texts: Counter[str], mark: str | None) -> Counter[str]:
    found: Counter[str] = Counter()
    for text, count in texts.items():
        for part in divided(text, mark) if mark is not None and mark in text else [text]:
            found[part] += count
    return found


def _mapped(changed: Mapping[str, str], texts: Counter[str]) -> Iterator[str]:
    if changed:
        order = sorted(changed, key=lambda text: (-texts[text], text))
        shown = ", ".join(f"{_short(text)} = {changed[text]} ({texts[text]})" for text in order[:_SHOWN])
        more = f", and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
        yield f"Ratings are read as: {shown}{more}."


def _no_rating(missing: Counter[str]) -> Iterator[str]:
    if missing:
        yield f"Read as no rating: {', '.join(f'{_short(text)} ({count})' for text, count in missing.most_common())}."


def _together(one: ReadValues, other: ReadValues) -> ReadValues:
    return ReadValues(
        {**one.mapped, **other.mapped},
        one.missing + other.missing,
        {**one.implied, **other.implied},
        one.bins or other.bins,
        tuple(dict.fromkeys((*one.told, *other.told))),
        {**one.falling, **other.falling},
        tuple(dict.fromkeys((*one.against, *other.against))),
    )


def _same(text: str, code: str) -> bool:
    if plain(text) and plain(code):
        return Fraction(text) == Fraction(code)
    return text.casefold() == code.casefold()


def _several(cell: object) -> Iterable[object]:
    return cell if isinstance(cell, list) else [cell]


def _equal(cell: object, other: object) -> bool:
    return type(cell) is type(other) and cell == other


def _with(row: Row, cells: Mapping[str, object]) -> Row:
    return replace(row, cells={**row.cells, **cells})


def _short(text: str) -> str:
    return repr(text if len(text) <= _WIDTH else f"{text[: _WIDTH - 4]} ...")


def _check_bins(edges: Sequence[str]) -> None:
    if not edges:
        return
    told = "--bins: write a number of bins from 2 to 50, or the edges between them, rising: 20,40,60,80."
    if not all(plain(edge) for edge in edges):
        raise ConfigError(f"{told} Found: {','.join(edges)}.")
    values = [Fraction(edge) for edge in edges]
    if values != sorted(set(values)) or len(edges) >= _MOST_BINS:
        raise ConfigError(f"{told} Found: {','.join(edges)}.")
    if len(edges) == 1 and edges[0].isdecimal() and not 2 <= int(edges[0]) <= _MOST_BINS:
        raise ConfigError(f"{told} Found: {edges[0]}.")
