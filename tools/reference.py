"""docs/reference/cli.md from the metadata of the settings and the parsers of the commands: ``make reference``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from rationem.config import FitConfig, flag_of, group_of, kinds_of
from rationem.config.metadata import TaskKind

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"
HEAD = """# Command line and settings

<!-- Written by `make reference` from the metadata of the settings; a test says whether it is current. -->

Every setting is a flag of `rationem fit` and a key of the TOML file that `--config` names: the flag is the key with two
dashes in front, and a dash for every underscore. Flags override the file. `rationem COMMAND --help` shows the same in
the terminal. [Your ratings](../your-ratings.md) says which flag does what you want.
"""
HEADINGS = {group_of(name) for name in FitConfig.model_fields}
TASKS = {TaskKind.JUDGE: "judge", TaskKind.CHOICE: "choice", TaskKind.OPEN: "open answers"}


@cache
def parser_of(command: str) -> Any:
    """Return the parser of a command with all its flags."""
    from rationem.cli import main

    found = next(one for one in main.parser_of(command)._actions if isinstance(one, argparse._SubParsersAction))
    return found.choices[command] if command else found


@cache
def commands() -> list[str]:
    return list(parser_of("").choices)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def code(text: object) -> str:
    return f"`{str(text).replace('|', chr(92) + '|')}`"


def shown(value: Any) -> str:
    if value in (None, (), ""):
        return "–"
    return code({True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value)


def settings() -> Iterator[str]:
    yield "## Settings"
    for heading, names in groupby(FitConfig.model_fields, group_of):
        yield f"### {heading[0].upper()}{heading[1:]}"
        yield table(["flag", "default", "meaning", "also in"], [setting(name) for name in names])


def setting(name: str) -> list[str]:
    field = FitConfig.model_fields[name]
    choices = [one for one in get_args(field.annotation) if isinstance(one, str)]
    meaning = cell(field.description or "")
    meaning += f"; one of {', '.join(map(code, choices))}" if choices else ""
    only = [TASKS[kind] for kind in TaskKind if kind in kinds_of(name)]
    meaning += f" ({', '.join(only)} only)" if only else ""
    also = [title for title, parser in parsers() if title != "fit" and name in map(setting_of, parser._actions)]
    return ["`DATA`" if name == "data" else code(flag_of(name)), shown(field.default), meaning, ", ".join(also)]


@cache
def parsers() -> list[tuple[str, argparse.ArgumentParser]]:
    """Return every command and subcommand with its parser."""
    found = []
    for name in commands():
        found.append((name, parser_of(name)))
        for inner in parser_of(name)._actions:
            if isinstance(inner, argparse._SubParsersAction):
                found += [(f"{name} {below}", one) for below, one in inner.choices.items()]
    return found


def setting_of(one: argparse.Action) -> str | None:
    """Return the setting that an argument gives; None if it is the command's own."""
    data = one.dest == "data" and not one.option_strings and one.help is not argparse.SUPPRESS
    return one.dest if data or one.container.title in HEADINGS else None


def flags(parser: argparse.ArgumentParser) -> Iterator[list[str]]:
    """Yield a row per argument of a command that is not a setting."""
    for one in parser._actions:
        hidden = one.dest in ("help", "help_all") or one.help is argparse.SUPPRESS
        if setting_of(one) is None and not hidden and not isinstance(one, argparse._SubParsersAction):
            names = ", ".join(map(code, one.option_strings)) or code(one.metavar or one.dest.upper())
            yield [names, cell((one.help or "–") % {**vars(one), "prog": parser.prog})]


def command(title: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"### `rationem {title}`"
    yield from [cell(" ".join(parser.description.split()))] if parser.description else []
    yield from [table(["argument", "meaning"], rows)] if (rows := list(flags(parser))) else []
    if parser.epilog and parser.epilog.startswith("examples:"):
        lines = [f"$ {line.strip()}" for line in parser.epilog.splitlines()[1:]]
        yield "\n".join(["```console", *lines, "```"])


def page() -> str:
    """Return the page."""
    parts = [HEAD.strip(), *settings(), "## Commands", "What a command takes beside settings."]
    parts += [part for title, parser in parsers() for part in command(title, parser)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
