"""``rationem check DATA...``: how a fit would read the data, and what is wrong with it; docs/check.md."""

from __future__ import annotations

import argparse

from rationem import progress
from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add the flags: those of ``fit``, so that one command line serves both, and ``--json``."""
    from rationem.cli.settings import add_settings
    from rationem.config import FitConfig

    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument(
        "--probe", action="store_true", help="also draw a few drafts from --model: how many can be read?"
    )
    add_settings(parser, FitConfig.model_fields)
    parser.examples(
        "rationem check ratings.csv --scale 1-5",
        "rationem check ratings.csv --scale 1-5 --model smollm2 --probe",
        "rationem check choices.parquet --task choice --json",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; return 0, or 1 if a fit would refuse the data or learn nothing useful from it."""
    import json
    import sys

    from rationem.check.checkup import examine
    from rationem.check.show import show
    from rationem.cli.settings import read_settings
    from rationem.report.plain import tolerate

    tolerate(sys.stdout)
    progress.show(progress.Silent() if options.json else progress.Rich())
    checkup = examine(read_settings(options), probe=options.probe)
    if options.json:
        progress.out(json.dumps(checkup.as_dict(), indent=1, allow_nan=False))
    else:
        show(checkup)
    return checkup.exit_code
