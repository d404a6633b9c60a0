"""rationem show: a run in the terminal, or the full record of one example; docs/show.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add the flags."""
    parser.description = (
        "Show the state of a run: its iterations, the main numbers, a few trials. With --example, everything about "
        "one example. Nothing is written; the run may be in progress."
    )
    parser.add_argument("run", type=Path, help="the run directory that rationem fit or refit wrote")
    parser.add_argument("--example", metavar="ID", help="the id of an example, as in the ledger and the report")
    parser.add_argument(
        "--iteration", type=int, metavar="K", help="only this iteration (without --example: its trials)"
    )
    parser.examples("rationem show runs/first", "rationem show runs/first --example row-12 --all")
    parser.add_argument("--all", action="store_true", help="show whole texts")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem.compare.design import NAME
    from rationem.errors import RunError
    from rationem.report.terminal.console import terminal

    if (options.run / NAME).is_file():
        raise RunError(
            f"{options.run} is a comparison of several runs: rationem report {options.run} shows it. To show one run, "
            "name its directory ARM/seed-S."
        )
    console = terminal()
    if options.example is None:
        from rationem.report.terminal.run import show_run

        show_run(options.run, console, iteration=options.iteration, whole=options.all)
    else:
        from rationem.report.terminal.example import show_example
        from rationem.report.terminal.life import read_life

        show_example(read_life(options.run, options.example, options.iteration), console, whole=options.all)
    return 0
