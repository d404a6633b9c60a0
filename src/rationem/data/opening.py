"""Rows of files -> rows with a cell for every named path, one row per rater; a missing key is null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rationem.data.columns import Columns
from rationem.data.examples import Report
from rationem.data.nested import apart, opened
from rationem.data.records import Row
from rationem.data.texts import is_blank
from rationem.errors import DataError


def open_tables(tables: Sequence[tuple[str, list[Row]]], columns: Columns, report: Report) -> list[tuple[str, Row]]:
    """Return (default id, row) with the cells that paths lead to, one row per rater of a list of raters.

    A key that other rows of the table have is null in a row without it.
    """
    found: list[tuple[str, Row]] = []
    for label, table in tables:
        rows = [(f"{label}-{row.number}", one) for row in table for one in _by_rater(row, columns, report)]
        known = {name for _, row in rows for name in row.cells}
        known &= {name for _, name in columns.needed(known)}
        found += [
            (name, replace(row, cells={**dict.fromkeys(missing), **row.cells}) if missing else row)
            for name, row in rows
            for missing in [sorted(known - row.cells.keys())]
        ]
    return found


def _by_rater(row: Row, columns: Columns, report: Report) -> list[Row]:
    """Return a row for every rater, without ratings that a rater of several has not given."""
    if columns.rater is None:
        return [opened(row, columns.dotted)]
    rated = {name for one in columns.criterion_names for name in columns.ratings(row.cells, one)}
    try:
        rows = apart(row, sorted(rated), columns.rater)
    except DataError as error:
        report(error)
        return []
    rows = [opened(one, columns.dotted) for one in rows]
    given = [one for one in rows if not all(is_blank(one.cells.get(name)) for name in rated)]
    return given or rows[:1]
