"""Run directory -> numbers and pages. Reads files only: every number is computed again from the ledger's rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rationem.ledger import write_text
from rationem.report.page import write_page
from rationem.report.summary import summarize
from rationem.report.text import markdown
from rationem.report.trust import doubts

__all__ = ["doubts", "markdown", "summarize", "write"]


def write(directory: Path, summary: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write ``metrics.json``, ``report.md`` and ``report.html`` beside a run's ledger, and return the summary.

    Args:
        directory: the run directory.
        summary: of :func:`summarize`, where it has just been computed; else it is computed.
    """
    summary = summarize(directory) if summary is None else summary
    write_text(directory / "metrics.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    write_text(directory / "report.md", markdown(summary))
    name = directory.name
    write_page({name: directory}, directory / "report.html", summaries={name: summary})
    return summary
