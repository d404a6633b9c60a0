"""rationem push: upload a run's judge to the Hugging Face hub; docs/sharing.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add the flags."""
    parser.description = (
        "Upload the chosen model of a finished run, with tokenizer, judge card and a model card made from the run. "
        "The wording of the prompt and the names of criteria and columns are included; no example is."
    )
    parser.add_argument("run", type=Path, help="the run directory that rationem fit wrote; it is only read")
    parser.add_argument(
        "name", nargs="?", metavar="OWNER/NAME", help=("the repository; it is created if it does not exist")
    )
    parser.add_argument(
        "--private", action="store_true", help=("create a private repository, and never upload to a public one")
    )
    parser.add_argument("--merged", action="store_true", help="merge an adapter into its base: whole weights")
    parser.add_argument(
        "--base-model", metavar="OWNER/NAME", help="hub id of an adapter's base model, if that is a local directory"
    )
    parser.add_argument("--revision", metavar="BRANCH", help="upload to this branch (default: the main one)")
    parser.examples(
        "rationem push runs/first owner/judge --private",
        "rationem push runs/first --directory judge    (writes it, uploads nothing)",
    )
    parser.add_argument("--directory", type=Path, metavar="DIR", help="write into DIR and upload nothing")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code.

    Raises:
        ConfigError: neither a name nor a directory is given.
    """
    from rationem.errors import ConfigError
    from rationem.export.push import push, write
    from rationem.run.card import read_card

    progress.show(progress.Rich())
    asked = {"merged": options.merged, "base_model": options.base_model}
    if options.directory is not None:
        place = write(options.run, options.directory, name=options.name, **asked)
        card = read_card(place)
        progress.out(f"{place} holds what would be uploaded; nothing was uploaded.")
        for doubt in card.doubts:
            progress.say(f"Warning: {doubt}")
        return 0
    if options.name is None:
        raise ConfigError(
            "No destination. Give OWNER/NAME on the hub, or --directory DIR to see what would be uploaded."
        )
    progress.out(push(options.run, options.name, private=options.private, revision=options.revision, **asked))
    return 0
