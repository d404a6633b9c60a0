"""rationem demo: what can be tried without data of one's own."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser

_DEMOS = {
    "schemes": "compare RS, STaR and PPS on the embedded world, in minutes",
}


def arguments(parser: Parser) -> None:
    """Add the demos."""
    parser.description = "Things to try without data of your own. Without a name, list them."
    parser.examples("rationem demo schemes --output runs/demo")
    demos = parser.add_subparsers(dest="demo", metavar="NAME")
    text = _DEMOS["schemes"]
    schemes = demos.add_parser("schemes", help=text, description=text[0].upper() + text[1:] + ".")
    schemes.add_argument("-o", "--output", default="runs/demo", help="directory of the runs (default: %(default)s)")
    schemes.add_argument("--iterations", type=int, default=6, help="EM iterations (default: %(default)s)")
    schemes.add_argument("--seed", type=int, default=0, help="seed of all runs (default: %(default)s)")


def run(options: Namespace) -> int:
    """Run the command; return its exit code."""
    if options.demo is None:
        for name, text in _DEMOS.items():
            progress.out(f"rationem demo {name:10}{text}")
        return 0
    progress.show(progress.Rich())
    from rationem.compare.demo import demo

    progress.out(demo(Path(options.output), iterations=options.iterations, seed=options.seed))
    return 0
