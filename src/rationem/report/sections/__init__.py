"""The sections of a run's report, in order: each a function of its summary, in a row of the table of its file.

``learned`` says what was learned and how the data was read; ``scores`` holds the tables of scores, ``confidence`` what
predictions are like one by one, ``course`` the iterations, ``demonstrations`` what stood before questions, ``cost``
what the iterations took, ``learning`` evidence and hints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.report.part import Part, Report, Section
from rationem.report.sections import confidence, cost, course, demonstrations, learned, learning, scores

SECTIONS: tuple[Section, ...] = (
    *learned.SECTIONS,
    *scores.SECTIONS,
    *course.SECTIONS,
    *demonstrations.SECTIONS,
    *confidence.SECTIONS,
    *cost.SECTIONS,
    *learning.SECTIONS,
    *learned.LAST,
)


def title(summary: Mapping[str, Any]) -> str:
    """Return the title of a run's report."""
    return f"{summary['config']['scheme']} on {summary['config']['model']}"


def parts(summary: Mapping[str, Any]) -> tuple[Part, ...]:
    """Return the sections that a run has."""
    return tuple(part for one in SECTIONS for part in one.parts(summary))


def on_card(summary: Mapping[str, Any]) -> tuple[Part, ...]:
    """Return the sections that the model card shows below its scores."""
    return tuple(part for one in SECTIONS if one.on_card for part in one.parts(summary))


def of_run(summary: Mapping[str, Any]) -> Report:
    """Return the report of one run; every number in it is in ``summary``."""
    return Report(title(summary), parts(summary))
