"""rationem report: recompute the numbers and pages of runs and comparisons from their ledgers."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add the directories."""
    parser.add_argument("run", nargs="+", help="directories of runs or comparisons")
    parser.examples("rationem report runs/first", "rationem report runs/schemes runs/second")


def run(options: Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem import report
    from rationem.compare import design, page
    from rationem.compare.results import summarize
    from rationem.errors import ReadOnly

    progress.show(progress.Rich())
    for run in map(Path, options.run):
        compared = (run / design.NAME).is_file()
        for one in [file.parent for file in run.glob("*/*/ledger.sqlite")][:1] if compared else [run]:
            report.check_named(one)
        found = summarize(run) if compared else report.summarize(run)
        try:
            page.write(run, found) if compared else report.write(run, found)
        except ReadOnly as error:  # a read-only medium: the requested output is the report
            progress.say(f"Warning: {error} The report is only printed here.")
        report.show(page.of_comparison(found) if compared else report.of_run(found))
    return 0
