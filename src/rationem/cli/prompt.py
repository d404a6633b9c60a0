"""``rationem prompt DATA --show 3``: exactly what the model sees, forward and hinted."""

from __future__ import annotations

import argparse

from rationem import progress
from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add the flags: those that decide how the data is read and what is asked, and the model."""
    from rationem.cli.settings import add_settings
    from rationem.config import TakenBy, settings_with

    parser.add_argument("--show", type=int, default=3, metavar="N", help="training examples to show (default: 3)")
    add_settings(parser, settings_with(TakenBy.PROMPT))
    parser.examples(
        "rationem prompt ratings.csv --scale 1-5 --model smollm2",
        "rationem prompt ratings.csv --scale 1-5 --show 1 --instruction 'Is it kind?'",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem.check.prompts import describe, prompts
    from rationem.cli.settings import read_settings

    progress.show(progress.Rich())
    config = read_settings(options)
    for line in describe(prompts(config, options.show), config.model):
        progress.out(line)
    return 0
