"""rationem demo: what can be tried without data of one's own."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser

_DEMOS = {
    "ratings": "write a CSV file of 200 ratings to try the commands on",
    "schemes": "compare RS, STaR and PPS on the embedded world, in minutes",
}
_NEXT = """Three people rated answers at a town's front desks from 1 to 5. Next, for a first look in minutes:
  rationem model install smollm2
  rationem check {file} --scale 1-5 --rater-col rater
  rationem fit {file} --scale 1-5 --rater-col rater --model smollm2 --demos 4 --quick -o runs/first
  rationem show runs/first
  rationem judge runs/first {file} -o rated.csv"""


def arguments(parser: Parser) -> None:
    """Add the demos."""
    parser.description = "Things to try without data of your own. Without a name, list them."
    parser.examples("rationem demo ratings", "rationem demo schemes --output runs/demo")
    demos = parser.add_subparsers(dest="demo", metavar="NAME")
    made = {name: demos.add_parser(name, help=text, description=f"{_sentence(text)}.") for name, text in _DEMOS.items()}
    made["ratings"].add_argument(
        "-o", "--output", type=Path, default=Path("ratings.csv"), help="the file; must not exist (default: %(default)s)"
    )
    made["ratings"].add_argument("--seed", type=int, default=0, help="seed of its sentences (default: %(default)s)")
    made["ratings"].examples("rationem demo ratings", "rationem demo ratings -o more.csv --seed 1")
    schemes = made["schemes"]
    schemes.add_argument("-o", "--output", default="runs/demo", help="directory of the runs (default: %(default)s)")
    schemes.add_argument("--iterations", type=int, default=6, help="EM iterations (default: %(default)s)")
    schemes.add_argument("--seed", type=int, default=0, help="seed of all runs (default: %(default)s)")
    schemes.examples("rationem demo schemes", "rationem demo schemes --iterations 2 -o runs/short")


def run(options: Namespace) -> int:
    """Run the command; return its exit code."""
    if options.demo is None:
        for name, text in _DEMOS.items():
            progress.out(f"rationem demo {name:10}{text}")
        return 0
    return _ratings(options.output, options.seed) if options.demo == "ratings" else _schemes(options)


def _ratings(file: Path, seed: int) -> int:
    from rationem.errors import ConfigError
    from rationem.world.ratings import write_ratings

    if file.exists():
        raise ConfigError(f"{file} already exists. Choose another name with --output; nothing was written.")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"--output {file}: there is no directory {file.parent}.")
    write_ratings(file, seed=seed)
    progress.out(f"{file} is written: 200 rows. {_NEXT.format(file=shlex.quote(str(file)))}")
    return 0


def _schemes(options: Namespace) -> int:
    from rationem.compare.demo import demo

    progress.show(progress.Rich())
    progress.out(demo(Path(options.output), iterations=options.iterations, seed=options.seed))
    return 0


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
