"""rationem export: write a run's kept set for other trainers; docs/sharing.md."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from rationem import progress
from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add the flags."""
    parser.description = (
        "Write the kept set of an M-step as a file for other trainers: the prompts without a hint, and the kept "
        "completions. The file contains the texts of your data."
    )
    parser.add_argument("run", type=Path, help="the run directory that rationem fit wrote; it is only read")
    parser.add_argument(
        "--to",
        choices=("trl", "messages", "parquet"),
        required=True,
        help="trl: JSON lines of prompt and completion; messages: JSON lines of conversations; parquet: a table with "
        "token ids",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the file")
    parser.add_argument(
        "--iteration",
        type=_iteration,
        default="chosen",
        metavar="K",
        help="its number, 'chosen' (by validation, the default) or 'last'",
    )
    parser.examples(
        "rationem export runs/first --to trl -o kept.jsonl",
        "rationem export runs/first --to parquet --iteration last -o kept.parquet",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem.export.export import export

    done = export(options.run, options.to, options.output, iteration=options.iteration, force=options.force)
    named = f" ({options.iteration})" if isinstance(options.iteration, str) else ""
    progress.out(
        f"{done.path}: {done.samples} samples of {done.examples} examples, the kept set of iteration "
        f"{done.iteration}{named}"
    )
    if done.unlike and options.to != "parquet":
        progress.out(
            f"For {done.unlike} of them the chat template gives other tokens than those sampled (docs/sharing.md); "
            "--to parquet contains the sampled tokens."
        )
    return 0


def _iteration(text: str) -> int | Literal["chosen", "last"]:
    if text in ("chosen", "last"):
        return "chosen" if text == "chosen" else "last"
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number from 1, 'chosen' or 'last'")
    return int(text)
