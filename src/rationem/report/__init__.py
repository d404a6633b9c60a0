"""From a run directory to numbers and pages. Reads files only: every number is computed again from the ledger's
rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rationem.ledger import read_manifest, read_only, write_text
from rationem.progress import out
from rationem.report import text
from rationem.report.page import write_page
from rationem.report.part import Report
from rationem.report.sections import of_run
from rationem.report.summary import summarize
from rationem.report.trust import doubts
from rationem.tasks import from_description
from rationem.tasks.own import is_program

__all__ = ["check_named", "doubts", "markdown", "of_run", "show", "show_plain", "summarize", "write"]


def check_named(directory: Path) -> None:
    """Check that the run's task can be restored: a user's own task is a program, and numbers need its reward.

    Raises:
        ConfigError: it was not named in this process (``--own-task``), or its file has changed.
    """
    db = read_only(directory)
    try:
        task = read_manifest(db)["task"]
    finally:
        db.close()
    if is_program(task):
        from_description(task)


def write(directory: Path, summary: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write ``metrics.json``, ``report.md`` and ``report.html`` beside a run's ledger, and return the summary.

    Args:
        directory: the run directory.
        summary: from :func:`summarize`, if just computed; otherwise it is computed.
    """
    summary = summarize(directory) if summary is None else summary
    write_text(directory / "metrics.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    write_text(directory / "report.md", markdown(summary))
    name = directory.name
    write_page({name: directory}, directory / "report.html", summaries={name: summary})
    return summary


def markdown(summary: Mapping[str, Any]) -> str:
    """Return the report of one run as a Markdown page."""
    return text.markdown(of_run(summary))


def show(report: Report) -> None:
    """Print a report: laid out for a terminal, or as the Markdown page where there is none."""
    from rationem.report.terminal import console

    screen = console.terminal()
    if screen.is_terminal:
        console.show(report, screen)
    else:
        out(text.markdown(report))


def show_plain(report: Report) -> None:
    """Print a report laid out for a terminal, without Markdown where there is none either."""
    from rationem.report.terminal import console

    console.show(report, console.terminal())
