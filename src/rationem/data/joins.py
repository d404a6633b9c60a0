"""A second file joined by a key, such as texts in one file and their ratings in another."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rationem.data.columns import own_name
from rationem.data.lines import stem_of
from rationem.data.nested import column_names, opened
from rationem.data.records import Row
from rationem.data.sources import read_rows
from rationem.data.texts import is_blank
from rationem.errors import DataError, closest

#: An integer as a table of decimals writes it.
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_SHOWN = 3

_Table = tuple[str, list[Row]]


def joined(
    tables: Sequence[_Table], path: str, on: str, counts: Counter[str], meets: Callable[[Row], bool]
) -> list[_Table]:
    """Return the rows with the cells of each row of a second file that has the same key.

    A row without one is left out and counted; so is a row without a key. A column that both have keeps its name; the
    second file's is STEM.NAME.

    Args:
        tables: the rows of DATA, by file.
        path: the second file.
        on: the key's column, or "LEFT=RIGHT".
        counts: gets ``unjoined`` and ``unused_in_join``.
        meets: whether a row of one of the files may remain after the join.

    Raises:
        DataError: a column is missing, no key occurs in both files, or a key occurs several times in both, in rows that
            may remain.
    """
    left, _, right = (part.strip() for part in on.partition("="))
    rows, others = [row for _, table in tables for row in table], read_rows(path)
    left, right = known_name(rows, left, "--on"), known_name(others, right or left, "--on")
    keys, theirs = _keys(rows, left, others, right)
    partners: dict[str, list[Row]] = defaultdict(list)
    for row, key in zip(others, theirs, strict=True):
        if key:
            partners[key].append(row)
    stem, of_row = stem_of(Path(path)), iter(keys)
    known = {name for row in rows for name in row.cells}
    remaining = [(key, row) for key, row in zip(keys, rows, strict=True) if meets(row)]
    _refuse_several(
        path, remaining, partners, lambda other: meets(_with(Row(dict.fromkeys(known), "", 0), other, "", stem))
    )
    found, missed = [], []
    for label, table in tables:
        made = []
        for row in table:
            key = next(of_row)
            missed += [] if key in partners else [key]
            made += [_with(row, other, right, stem) for other in partners.get(key, ())]
        found.append((label, made))
    if not any(made for _, made in found):
        raise DataError(
            f"--join {path}: no {left!r} of DATA occurs as {right!r} there. DATA has {missed[:_SHOWN]}, the file "
            f"{list(partners)[:_SHOWN]}."
        )
    counts["unjoined"] += len(missed)
    counts["unused_in_join"] += len(partners.keys() - set(keys))
    return [one for one in found if one[1]]


def known_name(rows: Sequence[Row], name: str, flag: str) -> str:
    """Return the rows' own name of a column; a key that some JSON objects lack is null there.

    Raises:
        DataError: no row has it.
    """
    names = dict.fromkeys(one for row in rows for one in row.cells)
    own = own_name(name, names)
    if rows and not any(own in opened(row, [own]).cells for row in rows):
        known = column_names(rows[0].cells)
        raise DataError(f"{rows[0].source}: {flag}: there is no column {name!r}.{closest(name, known)}")
    return own


def key_text(cell: object) -> str:
    """Return a cell as it is compared: a number as text, the integral ones without decimals; "" if it is empty.

    >>> key_text(7.0), key_text(" 1.10 "), key_text("007"), key_text(None)
    ('7', '1.10', '007', '')
    """
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if is_blank(cell) else str(cell).strip()


def whole(text: str) -> str:
    """Return an integer without the zeros of a decimal; any other text as it is: 1.10 is perhaps no number.

    >>> whole("7.0"), whole("1.10"), whole("007")
    ('7', '1.10', '007')
    """
    match = _WHOLE.fullmatch(text)
    return match[1] if match else text


def _keys(rows: Iterable[Row], left: str, others: Iterable[Row], right: str) -> tuple[list[str], list[str]]:
    """Return the key of every row of both files: "7.0" is "7" unless a file has both."""
    found = [
        [key_text(opened(row, [name]).cells.get(name)) for row in part]
        for part, name in ((rows, left), (others, right))
    ]
    same = all(len({*map(whole, part)}) == len({*part}) for part in found)
    keys, theirs = ([*map(whole, part)] if same else part for part in found)
    return keys, theirs


def _refuse_several(
    path: str, rows: Sequence[tuple[str, Row]], partners: dict[str, list[Row]], meets: Callable[[Row], bool]
) -> None:
    """Refuse a key that several rows of both files have; equal rows of the second file are one."""
    count = Counter(key for key, _ in rows)
    for key, several in partners.items():
        if count[key] < 2 or len(several) < 2:
            continue
        partners[key] = _different(several)
        found = [row for row in partners[key] if meets(row)]
        if len(found) > 1:
            place = next(row.source for one, row in rows if one == key)
            raise DataError(
                f"--join {path}: the key {key!r} is in {count[key]} rows of DATA (first: {place}) and in {len(found)} "
                f"of the file ({', '.join(row.source for row in found[:_SHOWN])}), and these differ, so which belongs "
                "to which is unknown. Remove or rename the wrong ones, or leave them out by --where."
            )


def _different(rows: Sequence[Row]) -> list[Row]:
    return [row for at, row in enumerate(rows) if all(row.cells != before.cells for before in rows[:at])]


def _with(row: Row, other: Row, key: str, stem: str) -> Row:
    added = {
        (f"{stem}.{name}" if name in row.cells else name): cell for name, cell in other.cells.items() if name != key
    }
    return replace(row, cells={**row.cells, **added})
