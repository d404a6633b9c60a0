"""The kind of task that a run's summary is of, and what its pages call things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.tasks import kinds
from rationem.tasks.kinds import Kind
from rationem.tasks.words import Words


def kind_of(summary: Mapping[str, Any]) -> Kind:
    """Return the kind of task of a run.

    Args:
        summary: what :func:`rationem.report.summarize` returns.
    """
    return kinds.recorded(
        summary["scale"],
        name=(summary.get("config") or {}).get("task"),
        orders=summary.get("candidates", 1),
        rule=summary.get("reward"),
        own=bool(summary.get("own")),
    )


def words(summary: Mapping[str, Any]) -> Words:
    """Return what to call things on the pages of a run."""
    return kind_of(summary).words


def leading(summary: Mapping[str, Any]) -> str:
    """Return the number that says how good a run is: a key of a block of scores."""
    return kind_of(summary).leading
