"""Rows -> the rows that are read: joined with a second file, filtered, and only the latest rating of a rater."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction

from rationem.data.columns import Columns, check_columns, own_name
from rationem.data.joins import joined, key_text, known_name, whole
from rationem.data.nested import opened
from rationem.data.notations import numbers, plain, read
from rationem.data.records import Row
from rationem.data.texts import is_blank
from rationem.data.thousands import two_sizes, without_separators
from rationem.data.unpivot import Unpivot
from rationem.errors import ConfigError, DataError

_CONDITION = re.compile(r"\s*(.+?)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*", re.S)
_SHOWN = 3

_Table = tuple[str, list[Row]]


@dataclass(frozen=True, slots=True)
class Condition:
    """A row's cell compared with a value: by order as numbers; equal as texts, case aside.

    1.1 and 1.10 may be sections, so as texts they differ; 3 and 3.0 are equal, and a number in the cell is one.
    """

    column: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read ``status=submitted``, ``status!=draft``, ``confidence>=3``.

        Raises:
            ConfigError: it is none of these.
        """
        match = _CONDITION.fullmatch(text)
        if match is None or (match[2] not in ("=", "!=") and not plain(match[3])):
            raise ConfigError(
                f"--where {text!r}: write COLUMN=VALUE, COLUMN!=VALUE or, for numbers, COLUMN>=VALUE (also <=, >, <)."
            )
        return cls(*match.groups())

    @property
    def numeric(self) -> bool:
        """Whether only numbers can meet it."""
        return self.sign not in ("=", "!=")

    def numbers(self, cells: Collection[str]) -> dict[str, str]:
        """Return cell -> its number, of the cells of a column that are numbers in another notation than the value's.

        Raises:
            DataError: of some it is unclear how large they are.
        """
        if not plain(self.value):
            return {}
        if told := two_sizes(cells, (self.value,)):
            raise DataError(f"--where {self.column}{self.sign}{self.value}: {told}")
        joined = without_separators(cells, (self.value,)) or {}
        alone = {
            text: next((one.value for name, one in read(new) if name in _ALONE), new) for text, new in joined.items()
        }
        return alone | numbers(list(cells), (self.value,))[0]

    def holds(self, cell: object, read_as: Mapping[str, str] | None = None) -> bool:
        """Say whether a cell meets the condition; an empty cell is the empty text.

        Args:
            cell: the cell.
            read_as: cell -> its number, from :meth:`numbers`.

        >>> Condition.parse("n>=3").holds("10"), Condition.parse("status=Done").holds("done ")
        (True, True)
        """
        text = key_text(cell)
        if self.numeric:
            text = (read_as or {}).get(text, text)
            return plain(text) and _ORDERS[self.sign](Fraction(text), Fraction(self.value))
        same = whole(text).casefold() == whole(self.value).casefold()
        if plain(text) and plain(self.value) and not isinstance(cell, str):
            same = Fraction(text) == Fraction(self.value)
        return same == (self.sign == "=")


#: Notations of numbers that a cell has by itself.
_ALONE = ("percent", "decimal comma", "minus sign")
#: How two numbers are compared by order.
_ORDERS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
}


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the user says about rows.

    Args:
        where: only rows that meet all conditions are read.
        latest_by: of a rater's ratings of one item only the one with the highest value in this column counts.
        merge_equal: rows with equal inputs are one item, rated by several unnamed people.
        join: files whose columns are added to the rows with the same key.
        on: the key's column, or "LEFT=RIGHT" if its names differ.
        unpivot: the columns that become rows.
    """

    where: tuple[Condition, ...] = ()
    latest_by: str | None = None
    merge_equal: bool = False
    join: tuple[str, ...] = ()
    on: str | None = None
    unpivot: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.unpivot:
            Unpivot(self.unpivot)  # names that cannot be read are refused now
        if bool(self.join) != bool(self.on):
            raise ConfigError("--join FILE and --on KEY belong together: KEY is the column that both files have.")

    def tables(self, tables: Sequence[_Table], counts: Counter[str]) -> list[_Table]:
        """Return the tables made long, joined and filtered; count ``unjoined`` and ``filtered`` rows.

        Raises:
            DataError: a column is missing, no key occurs in both files, or no row is left.
        """
        found = Unpivot(self.unpivot).tables(tables, counts) if self.unpivot else list(tables)
        for path in self.join:
            found = joined(found, path, self.on or "", counts, self._may_remain)
        if not self.where:
            return found
        rows = [row for _, table in found for row in table]
        where = [replace(one, column=known_name(rows, one.column, "--where")) for one in self.where]
        read_as = [_read(one, rows, counts) for one in where]
        kept = [(label, [row for row in table if _meets(row, where, read_as)]) for label, table in found]
        counts["filtered"] += sum(map(len, (table for _, table in found))) - sum(len(table) for _, table in kept)
        if not any(table for _, table in kept):
            told = ", ".join(f"{one.column}{one.sign}{one.value}" for one in where)
            raise DataError(f"No row meets --where {told}. {_values(found, where[0].column)}")
        return [one for one in kept if one[1]]

    def _may_remain(self, row: Row) -> bool:
        """Say whether no condition on a column that a row has leaves it out."""
        names = {own_name(one.column, row.cells): one for one in self.where}
        cells = opened(row, names).cells
        return all(one.holds(cells[name]) for name, one in names.items() if cells.get(name) is not None)

    def latest(self, rows: Sequence[tuple[str, Row]], columns: Columns, counts: Counter[str]) -> list[tuple[str, Row]]:
        """Return the latest rating of each rater, item and criterion; count the others as ``superseded``.

        Raises:
            DataError: the column is missing, or its values are neither numbers nor ISO dates.
        """
        name = self.latest_by
        if name is None:
            return list(rows)
        name = own_name(name, rows[0][1].cells) if rows else name
        rows = [(default, opened(row, [name])) for default, row in rows]
        for _, row in rows:
            check_columns(row, [("order", name)])
        when = _order([row for _, row in rows], name)
        best: dict[object, int] = {}
        for at, (_, row) in enumerate(rows):
            key = _key(row, columns)
            before = best.get(key)
            if before is None or when[at] >= when[before]:
                best[key] = at
        counts["superseded"] += len(rows) - len(best)
        return [rows[at] for at in sorted(best.values())]


def _meets(row: Row, where: Sequence[Condition], read_as: Sequence[Mapping[str, str]]) -> bool:
    cells = opened(row, [one.column for one in where]).cells
    return all(one.holds(cells.get(one.column), known) for one, known in zip(where, read_as, strict=True))


def _read(one: Condition, rows: Sequence[Row], counts: Counter[str]) -> dict[str, str]:
    """Return cell -> its number, of the column of a condition on numbers; count cells that are none."""
    if not one.numeric:
        return {}
    cells = Counter(key_text(opened(row, [one.column]).cells.get(one.column)) for row in rows)
    del cells[""]
    read_as = one.numbers(list(cells))
    counts["not_numbers"] += sum(n for text, n in cells.items() if not plain(read_as.get(text, text)))
    return read_as


def _values(tables: Sequence[_Table], name: str) -> str:
    """Return what a column holds, for a message."""
    held = Counter(str(opened(row, [name]).cells.get(name)).strip() for _, table in tables for row in table)
    return f"The column {name!r} holds {', '.join(f'{text!r} ({n})' for text, n in held.most_common(_SHOWN))}."


#: Rows are read as they are.
AS_THEY_ARE = Shapes()


def _key(row: Row, columns: Columns) -> tuple[str, ...]:
    """Return what identifies a rating: item, rater and criterion."""
    item = [name for _, name in columns.asks(row.cells)] if columns.id is None else [columns.id]
    item += [name for name in (columns.context, columns.reference) if name and columns.id is None]
    names = (*item, *(name for name in (columns.rater, columns.criterion) if name))
    return tuple(str(row.cells.get(name)) for name in names)


def _order(rows: Sequence[Row], name: str) -> list[Fraction]:
    """Return the times of all rows, or their numbers; a time without a zone is UTC."""
    texts = ["" if is_blank(row.cells[name]) else str(row.cells[name]).strip() for row in rows]
    if all(map(plain, texts)):
        return list(map(Fraction, texts))
    times: list[Fraction] = []
    for row, text in zip(rows, texts, strict=True):
        try:
            time = datetime.fromisoformat(text)
        except ValueError as error:
            raise DataError(
                f"{row.source}: --latest-by {name}: {text!r} is neither a number nor a date such as "
                "2024-05-31 or 2024-05-31T12:30:00, so which rating is the latest is unknown."
            ) from error
        times.append(Fraction((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()))
    return times


def told(counts: Counter[str]) -> Iterator[str]:
    """Yield sentences on rows that are not read, with their numbers."""
    for name, sentence in _TOLD.items():
        if counts[name]:
            yield sentence.format(counts[name])


_TOLD = {
    "unpivoted": "Rows that --unpivot made of columns: {}.",
    "unpivoted_empty": "Empty cells, or groups of cells, left out by --unpivot: {}.",
    "unjoined": "Rows of DATA without a partner in the joined file, left out: {}.",
    "unused_in_join": "Keys of the joined file that DATA does not have: {}.",
    "filtered": "Rows left out by --where: {}.",
    "not_numbers": "Cells that are no number, where --where compares numbers; their rows are left out: {}.",
    "superseded": "Ratings replaced by a later one of the same rater (--latest-by): {}.",
    "other_criteria": "Rows of criteria that are not asked for: {}.",
    "merged_rows": "Rows with equal inputs, read as ratings of one item by several people (--merge-equal): {}.",
}
