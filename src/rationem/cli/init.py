"""rationem init: a few questions, and the file run.toml with the answers."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from rationem import progress
from rationem.cli.parser import Parser

_YES = {"y": True, "yes": True, "n": False, "no": False}


def arguments(parser: Parser) -> None:
    """Add the file, and the flags of ``fit``: what they say is not asked."""
    from rationem.cli.settings import add_flags
    from rationem.config import FitConfig, Mark, settings_with

    parser.description = (
        "Ask for the data, its scale and the model, and write the answers to a file of settings for check and fit. "
        "What is given by a flag is not asked."
    )
    parser.add_argument("data", nargs="*", help=FitConfig.model_fields["data"].description)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("run.toml"), help="the file; must not exist (default: %(default)s)"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="ask nothing: what is not given stays open")
    add_flags(parser, FitConfig.model_fields)
    parser.hide(set(FitConfig.model_fields) - {"data", *settings_with(Mark.COMMON)})
    parser.examples("rationem init", "rationem init ratings.csv --scale 1-5 --model smollm2 --quick --yes")


def run(options: Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem.cli.settings import given
    from rationem.config import Mark, draft_toml, settings_with
    from rationem.errors import ConfigError
    from rationem.ledger import write_text

    file, known = options.output, given(options)
    if file.exists():
        raise ConfigError(f"{file} already exists. Choose another name with --output; nothing was written.")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"--output {file}: there is no directory {file.parent}.")
    missing = [] if options.yes else [name for name in settings_with(Mark.ASKED) if name not in known]
    said = {**_answers(missing), **known}
    write_text(file, draft_toml(said))
    fit = f"rationem fit --config {file} {'' if 'model' in said else '--model MODEL '}-o runs/first"
    progress.out(f"{file} is written. Next:\n  rationem check --config {file}\n  {fit}")
    return 0


def _answers(names: list[str]) -> dict[str, Any]:
    """Ask for settings on the terminal; an empty answer leaves one open.

    Raises:
        ConfigError: there is no terminal, or the input ends.
    """
    from rationem.config import flag_of
    from rationem.errors import ConfigError

    if names and not sys.stdin.isatty():
        flags = ", ".join("DATA" if name == "data" else flag_of(name) for name in names)
        raise ConfigError(
            f"rationem init would ask for {flags}, and there is no terminal to ask on. Give them as arguments, or "
            "--yes to leave open what is not given. Nothing was written."
        )
    try:
        return {name: value for name in names if (value := _ask(name)) is not None}
    except EOFError:
        raise ConfigError("The input ended before the last question; nothing was written.") from None


def _ask(name: str) -> Any:
    """Return the answer to one question; None if it is empty."""
    import shlex

    from rationem.config import FitConfig
    from rationem.errors import RationemError

    field = FitConfig.model_fields[name]
    logical = field.annotation is bool
    progress.out(f"{name}: {field.description}{' (yes or no; default: no)' if logical else ' (empty: leave open)'}")
    while said := input("> ").strip():
        try:
            value = tuple(shlex.split(said)) if name == "data" else _YES.get(said.lower(), said) if logical else said
            _check(name, value)
            return value
        except (RationemError, ValueError) as error:  # shlex: a quotation mark is never closed
            progress.out(f"{error} Try again, or leave it empty.")
    return None


def _check(name: str, value: Any) -> None:
    """Raise an error if the answer cannot be read: a setting, the files, or the scale."""
    from rationem.config import configured
    from rationem.data.hub import is_hub_name
    from rationem.data.sources import scan_rows
    from rationem.run.prepare import embedded
    from rationem.tasks.scale import Scale

    config = configured(**{name: value})
    if config.scale is not None:
        Scale.parse(config.scale)
    if embedded(config) is None:
        for one in config.data:
            if not is_hub_name(one):  # a hub is not asked yet
                next(iter(scan_rows(one)), None)
