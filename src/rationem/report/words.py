"""The kind of task of a run's summary, and the words of its pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.tasks.built_in import recorded
from rationem.tasks.kinds import Kind
from rationem.tasks.words import Words
from rationem.types import Outcome


def kind_of(summary: Mapping[str, Any]) -> Kind:
    """Return the kind of task of a run.

    Args:
        summary: the result of :func:`rationem.report.summarize`.
    """
    return recorded(
        summary["scale"],
        name=(summary.get("config") or {}).get("task"),
        orders=summary.get("candidates", 1),
        rule=summary.get("reward"),
        own=bool(summary.get("own")),
    )


def words(summary: Mapping[str, Any]) -> Words:
    """Return the words of a run's pages."""
    return kind_of(summary).words


def leading(summary: Mapping[str, Any]) -> str:
    """Return the number that measures how good a run is: a key of a block of scores."""
    return kind_of(summary).leading


def outcome_names(called: Words) -> dict[str, str]:
    """Return outcome -> its name on the page."""
    return {
        Outcome.ACCEPTED: "accepted",
        Outcome.WRONG: called.wrong,
        Outcome.UNPARSEABLE: called.none,
        Outcome.TRUNCATED: "cut at the limit",
        Outcome.LEAKED: "tells of the hint",
        Outcome.ENGINE_FAILED: "failed by the engine",
    }
