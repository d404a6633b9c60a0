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


def write(directory: Path) -> dict[str, Any]:
    """Compute the summary of a run and write ``metrics.json``, ``report.md`` and ``report.html`` beside its ledger."""
    summary = summarize(directory)
    write_text(directory / "metrics.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    write_text(directory / "report.md", markdown(summary))
    name = directory.name
    write_page({name: directory}, directory / "report.html", summaries={name: summary})
    return summary
