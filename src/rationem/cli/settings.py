"""One flag per field of ``FitConfig``, the same for every command that takes it."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Collection
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from rationem.cli.parser import Parser

if TYPE_CHECKING:
    from rationem.config import FitConfig


def add_settings(parser: Parser, names: Collection[str]) -> None:
    """Add DATA, ``--config`` and one flag per named field of FitConfig; the short help shows the common ones."""
    from rationem.config import FitConfig, Mark, settings_with

    parser.add_argument("data", nargs="*", help=FitConfig.model_fields["data"].description)
    parser.add_argument("--config", type=Path, help="a TOML file with any of the settings below; flags override it")
    add_flags(parser, names)
    parser.hide(set(names) - {"data", *settings_with(Mark.COMMON)})


def add_flags(parser: Parser, names: Collection[str], *, defaults: bool = True, heading: str = "") -> None:
    """Add one flag per named field of FitConfig, under the heading of its group; DATA is not a flag.

    Args:
        defaults: show the default in the help; False if it is not FitConfig's own default.
        heading: one heading for all of them, in place of their groups'.
    """
    from rationem.config import FitConfig, aliases, group_of

    parser.aliases |= aliases()
    shown = [name for name in FitConfig.model_fields if name in names and name != "data"]
    for title, members in groupby(shown, lambda name: heading or group_of(name)):
        group = parser.add_argument_group(title)
        for name in members:
            _add_flag(group, name, defaults=defaults)


def _add_flag(group: argparse._ArgumentGroup, name: str, *, defaults: bool) -> None:
    """Add a setting's flag; its arguments follow from the field."""
    from rationem.config import FitConfig, Mark, flag_of, marks_of

    field, flag = FitConfig.model_fields[name], flag_of(name)
    text = (field.description or "").replace("%", "%%")
    if defaults and field.default not in (None, (), "", False):
        text += f" (default: {field.default})"
    if field.annotation in (bool, bool | None):
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif Mark.ONE_TEXT in marks_of(name):
        group.add_argument(flag, type=shlex.split, metavar="FLAGS", help=text)
    elif _is_several(field.annotation):
        group.add_argument(flag, action="extend", nargs="+", metavar=_value(name), help=text)
    else:
        choices = [c for c in get_args(field.annotation) if isinstance(c, str)] or None
        group.add_argument(flag, metavar=None if choices else _value(name), choices=choices, help=text)


def _value(name: str) -> str:
    """Return what stands for a flag's value in the help.

    >>> _value("learning_rate"), _value("prompt_col")
    ('RATE', 'COLUMN')
    """
    last = name.rpartition("_")[2]
    return "COLUMN" if last == "col" else last.upper()


def _is_several(annotation: Any) -> bool:
    """Return whether a setting holds several values: a tuple, or an optional tuple."""
    return tuple in (get_origin(annotation), *map(get_origin, get_args(annotation)))


def given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line names."""
    from rationem.config import FitConfig

    found = {name: getattr(options, name, None) for name in FitConfig.model_fields}
    found["data"] = tuple(options.data) or None
    return {name: value for name, value in found.items() if value is not None}


def read_settings(options: argparse.Namespace, path: Path | None = None) -> FitConfig:
    """Return the configuration of ``--config`` with the flags on top.

    A file that the command names is trusted. A run's own ``config.toml`` is not: its references outside the run must be
    vouched for.

    Args:
        options: the parsed arguments of the command.
        path: the ``config.toml`` of the run to resume, if ``--config`` names no file.

    Raises:
        ConfigError: see :func:`rationem.config.read_config` and :func:`rationem.run.trust.check`.
    """
    from rationem.config import read_config
    from rationem.run import trust

    asked, path = given(options), options.config or path
    config = read_config(path, asked)
    if path is not None and os.path.lexists(path.absolute().parent / "ledger.sqlite"):
        trust.check(config, asked, path.absolute().parent)
    return config
