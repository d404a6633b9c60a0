"""The findings of a check: a closed vocabulary, with severities and the resulting exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: Most places that a finding names.
SHOWN = 5


class Severity(StrEnum):
    """An error makes a fit impossible or worthless; a warning makes its numbers doubtful; a note informs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Args:
        severity: see :class:`Severity`.
        code: the name of its kind; ``docs/check.md`` lists all.
        message: what was found and what to do, in one or two sentences.
        count: the number of affected rows, items or columns; None if there is nothing to count.
        places: the first of them, as ``file:row`` or ``file:row: reason``.
    """

    severity: Severity
    code: str
    message: str
    count: int | None = None
    places: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return {
            "severity": self.severity.value,
            "code": self.code,
            "message": self.message,
            "count": self.count,
            "places": list(self.places),
        }


def error(code: str, message: str, count: int | None = None, places: Sequence[str] = ()) -> Finding:
    """Return an error that names its first places."""
    return Finding(Severity.ERROR, code, message, count, tuple(places[:SHOWN]))


def warning(code: str, message: str, count: int | None = None, places: Sequence[str] = ()) -> Finding:
    """Return a warning that names its first places."""
    return Finding(Severity.WARNING, code, message, count, tuple(places[:SHOWN]))


def note(code: str, message: str, count: int | None = None, places: Sequence[str] = ()) -> Finding:
    """Return a note that names its first places."""
    return Finding(Severity.NOTE, code, message, count, tuple(places[:SHOWN]))


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return errors, then warnings, then notes, each in the order found."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 if there is an error, else 0: warnings do not stop a script."""
    return int(any(finding.severity is Severity.ERROR for finding in findings))
