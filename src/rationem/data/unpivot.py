"""Columns -> rows: a table with one column per item, or one group of columns per response, made long.

========================  ======================================  ===============================================
``--unpivot``             columns of the file                     columns of each new row
========================  ======================================  ===============================================
``'Rate [*]'``            Rater, Rate [essay 1], Rate [essay 2]   Rater, column ("essay 1", ...), Rate
``'answer_*' 'score_*'``  question, answer_a, score_a, answer_b,  question, column ("a", "b"), answer, score
                          score_b
``essay1 essay2``         rater, essay1, essay2                   rater, column ("essay1", ...), value
========================  ======================================  ===============================================
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from rationem.data.columns import own_name
from rationem.data.nested import column_names
from rationem.data.records import Row
from rationem.data.texts import is_blank
from rationem.errors import ConfigError, DataError, closest

#: The new column with what the star stands for, and that with the cells of columns that are named in full.
COLUMN, VALUE = "column", "value"
_STAR = "*"
_EDGES = " \t_-.:/[](){}"
#: How a reader numbers columns of one name.
_RENAMED = re.compile(r"(.*) \([0-9]+\)", re.DOTALL)

_Table = tuple[str, list[Row]]


@dataclass(frozen=True, slots=True)
class Unpivot:
    """The columns that become rows.

    Args:
        names: patterns with one star each, whose columns belong together where the star stands for the same text; or
            full names of columns.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        stars = {name.count(_STAR) for name in self.names}
        if stars not in ({0}, {1}):
            raise ConfigError(
                f"--unpivot {' '.join(map(repr, self.names))}: write one * in each, such as 'answer_*' 'score_*', or "
                "the full names of the columns."
            )
        if len(set(self.new)) < len(self.new):
            raise ConfigError(
                f"--unpivot {' '.join(map(repr, self.names))}: two new columns have the name {self.new[0]!r}."
            )

    @property
    def new(self) -> tuple[str, ...]:
        """The names of the new columns with the cells."""
        return new_names(self.names)

    def tables(self, tables: Sequence[_Table], counts: Counter[str]) -> list[_Table]:
        """Return the tables with a row for each column or group; count ``unpivoted`` rows and ``unpivoted_empty``.

        A row whose new cells are all empty is left out.

        Raises:
            DataError: no column fits, or a new column has the name of another.
        """
        found = []
        for label, table in tables:
            columns = list(dict.fromkeys(name for row in table for name in row.cells))
            groups = self._groups(columns, table[0].source)
            rows: list[Row] = []
            for row in table:
                made = list(self._made(row, groups))
                counts["unpivoted_empty"] += len(groups) - len(made)
                rows += [replace(one, number=len(rows) + at) for at, one in enumerate(made, 1)]
            counts["rows"] += len(rows) - len(table)
            counts["unpivoted"] += len(rows)
            found.append((label, rows))
        return found

    def _made(self, row: Row, groups: Mapping[str, Sequence[str]]) -> Sequence[Row]:
        taken = {name for names in groups.values() for name in names}
        rest = {name: cell for name, cell in row.cells.items() if name not in taken}
        rows = [
            replace(
                row,
                cells={**rest, COLUMN: key, **dict(zip(self.new, map(row.cells.get, names), strict=True))},
                source=f"{row.source}#{at}",
            )
            for at, (key, names) in enumerate(groups.items(), 1)
        ]
        return [one for one in rows if not all(is_blank(one.cells[name]) for name in self.new)]

    def _groups(self, columns: Sequence[str], source: str) -> dict[str, tuple[str, ...]]:
        """Return what the star stands for -> the columns that become one row, in the order of the file."""
        if _STAR in self.names[0]:
            fitting = [_fitting(pattern, columns, source) for pattern in self.names]
            groups = {
                one.key: tuple(each[folded].name for each in fitting)
                for folded, one in fitting[0].items()
                if all(folded in each for each in fitting)
            }
        else:
            groups = {own: (own,) for name in self.names for own in [own_name(name, columns)]}
        missing = [name for names in groups.values() for name in names if name not in columns]
        if not groups or missing:
            wanted = missing[0] if missing else self.names[0].replace(_STAR, "")
            told = (
                f"there is no column {missing[0]!r}" if missing else f"no columns fit {' '.join(map(repr, self.names))}"
            )
            raise DataError(
                f"{source}: --unpivot: {told}.{closest(wanted, columns)} The columns are {_shown(columns)}."
            )
        rest = set(columns) - {name for names in groups.values() for name in names}
        if clash := sorted(rest & {COLUMN, *self.new}):
            raise DataError(
                f"{source}: --unpivot makes a column {clash[0]!r}, and the file has another of that name. Rename it."
            )
        return groups


def new_names(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the new columns with the cells.

    >>> new_names(("Rate [*]", "*_comment")), new_names(("essay1", "essay2"))
    (('Rate', 'comment'), ('value',))
    """
    if not any(_STAR in pattern for pattern in patterns):
        return (VALUE,)
    parts = [[part.strip(_EDGES) for part in pattern.split(_STAR)] for pattern in patterns]
    return tuple("_".join(filter(None, part)) or VALUE for part in parts)


@dataclass(frozen=True, slots=True)
class _Fitting:
    """A column, and what the star stands for in its name."""

    name: str
    key: str


def _fitting(pattern: str, columns: Sequence[str], source: str) -> dict[str, _Fitting]:
    """Return the columns that fit a pattern, by the key in lower case: as everywhere, case and blanks do not matter.

    Raises:
        DataError: two columns fit with one key, or the star stands for nothing.
    """
    found: dict[str, _Fitting] = {}
    for name in columns:
        key, renamed = _between(pattern, name), _RENAMED.fullmatch(name)
        if key is None and renamed and f"{renamed[1]} (1)" in columns:
            key = _between(pattern, renamed[1])
        if key is None:
            continue
        if not key:
            raise DataError(
                f"{source}: --unpivot {pattern!r}: the * stands for nothing in the column {name!r}. Name the column, "
                "or write a pattern that does not fit it."
            )
        if (before := found.get(key.casefold())) is not None:
            raise DataError(
                f"{source}: --unpivot {pattern!r}: the * stands for {key!r} in two columns, {before.name!r} and "
                f"{name!r}. Rename one of them."
            )
        found[key.casefold()] = _Fitting(name, key)
    return found


def _between(pattern: str, name: str) -> str | None:
    """Return what the star of a pattern stands for in a name; None if the name does not fit.

    >>> _between("Rate [*]", "rate [ e1 ]"), _between("Rate [*]", "Rate []"), _between("answer_*", "answer")
    ('e1', '', None)
    """
    start, _, end = pattern.partition(_STAR)
    low = name.casefold()
    fits = len(name) >= len(start) + len(end) and low.startswith(start.casefold()) and low.endswith(end.casefold())
    key = name[len(start) : len(name) - len(end)].strip() if fits else ""
    return key if key or (fits and start.strip() and end.strip()) else None


def _shown(columns: Collection[str]) -> str:
    names = column_names(dict.fromkeys(columns))
    return f"{names[:12]}" + (" and more" if len(names) > 12 else "")
