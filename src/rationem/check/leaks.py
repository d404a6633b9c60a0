"""Evidence on columns -> findings: inputs that give the answer away, and unused columns."""

from __future__ import annotations

from collections.abc import Sequence

from rationem.check.columns import Evidence
from rationem.check.findings import Finding, error, note, warning
from rationem.report.plain import plain
from rationem.tasks.pairs import MOST, fields_of

#: A rated column may be called "comment"; an unused column of that name is suspicious.
_RATED = ("prompt", "response", *fields_of(MOST))


def leaks(columns: Sequence[Evidence]) -> list[Finding]:
    """Return the findings on columns that reveal the answer by name or text, inputs first."""
    found = [finding for column in columns if column.role is not None for finding in _of_input(column)]
    return found + [finding for column in columns if column.role is None for finding in _of_unused(column)]


def _of_input(column: Evidence) -> list[Finding]:
    name, found = f"The input {column.role} (column {plain(column.column)!r})", []
    if column.holds_label:
        text = f"{name} gives the answer away: {_reason(column)}. A judge would read it; do not use this column."
        found.append(error("label_leak", text))
    elif column.name_suggests and column.role not in _RATED:
        text = f"{name} is an {column.name_suggests} according to its name: a judge would read what it should find out."
        found.append(error("label_leak", f"{text} Do not use the column, or rename it if the name misleads."))
    elif column.tends_to_name_label:
        text = (
            f"{name} names the answer more often than by chance: {_named(column)}. Check whether it gives the "
            "answer away."
        )
        found.append(warning("label_named", text))
    elif column.name_suggests:
        text = (
            f"{name} is an {column.name_suggests} according to its name. This is correct if people rated it; "
            "otherwise it is a leak."
        )
        found.append(warning("suspicious_input", text))
    if column.constant:
        found.append(warning("constant_input", f"{name} is the same text in all {column.filled} examined rows."))
    if column.looks_like_id:
        found.append(warning("id_input", f"{name} looks like an id: all cells differ and none contains a space."))
    return found


def _of_unused(column: Evidence) -> list[Finding]:
    name = f"The column {plain(column.column)!r} is not read"
    if column.holds_label:
        return [note("unused_answer", f"{name}, which is right: {_reason(column)}.")]
    if column.name_suggests:
        return [note("unused_answer", f"{name}: according to its name it holds an {column.name_suggests}.")]
    if column.tends_to_name_label:
        return [note("unused_answer", f"{name}: it names the answer more often than by chance, {_named(column)}.")]
    if column.constant:
        return [note("constant_column", f"{name}; it is the same in all rows.")]
    if column.looks_like_id:
        return [note("id_column", f"{name}; it looks like an id (--id-col).")]
    return []


def _reason(column: Evidence) -> str:
    of = f" (for the criterion {plain(column.criterion)!r})" if column.criterion else ""
    return f"{_shares(column)}{of}"


def _shares(column: Evidence) -> str:
    if column.is_label >= 0.9:
        return f"it is the answer itself in {column.is_label:.0%} of its cells"
    if column.says_label:
        return f"it names the answer, {_named(column)}"
    return (
        f"equal cells have equal answers in {column.purity:.0%} of the rows where cells repeat "
        f"({column.purity_by_chance:.0%} by chance)"
    )


def _named(column: Evidence) -> str:
    return f"in {column.names_label:.0%} of its cells ({column.names_by_chance:.0%} by chance)"
