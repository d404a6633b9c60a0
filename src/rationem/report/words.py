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
        choice=(summary.get("config") or {}).get("task") == "choice",
        orders=summary.get("candidates", 1),
        rule=summary.get("reward"),
    )


def words(summary: Mapping[str, Any]) -> Words:
    """Return what to call things on the pages of a run."""
    return kind_of(summary).words


def is_choice(summary: Mapping[str, Any]) -> bool:
    """Say whether a run answers multiple choice; its items are parted by subject, where they have one."""
    return kind_of(summary).parts == "subject"


def is_open(summary: Mapping[str, Any]) -> bool:
    """Say whether any text may be an answer: there are no levels."""
    return not kind_of(summary).calibrates


def is_graded(summary: Mapping[str, Any]) -> bool:
    """Say whether open answers can be nearly right: then the mean reward counts, not the share of right ones."""
    return leading(summary) == "reward"


def leading(summary: Mapping[str, Any]) -> str:
    """Return the number that says how good a run is: a key of a block of scores."""
    return kind_of(summary).leading
