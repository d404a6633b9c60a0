"""One flag per field of ``FitConfig``, for every command that takes a part of them, so that they can never differ."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from rationem.config import FitConfig

_GROUPS = {
    "data": "what to learn from",
    "model": "model, task and scheme",
    "temperature": "sampling",
    "steps": "training",
    "engine": "engine",
    "device": "machine",
}
#: Settings that take several values behind one flag.
_SEVERAL = ("test", "inputs_col", "leak_phrases", "teacher", "report_to", "lora_targets")
#: What decides how a file is read and what is asked of it: the settings of ``check`` and ``prompt`` beside the model.
DATA = (
    *("data", "test", "preset", "scale", "prompt_col", "response_col", "rating_col", "reference_col", "context_col"),
    *("id_col", "group_col", "rater_col", "raters", "validation_share", "test_share", "limit", "world_size", "elide"),
    *("skip_unusable", "task", "choices_col", "answer_col", "subject_col", "shuffle_choices", "split_seed"),
    *("inputs_col", "weight_col", "system", "thinking"),
    *("criterion", "instruction", "rubric", "template", "hint_template", "reward", "shots", "seed"),
)


def add_settings(parser: argparse.ArgumentParser, names: Collection[str]) -> None:
    """Add DATA, ``--config`` and one flag per named field of FitConfig."""
    from rationem.config import FitConfig

    parser.add_argument("data", nargs="*", help=FitConfig.model_fields["data"].description)
    parser.add_argument("--config", type=Path, help="a TOML file with any of the settings below; flags win")
    add_flags(parser, names)


def add_flags(parser: argparse.ArgumentParser, names: Collection[str], *, defaults: bool = True) -> None:
    """Add one flag per named field of FitConfig; DATA is none.

    Args:
        defaults: say what holds where a flag is left out; False where that is not FitConfig's own default.
    """
    from rationem.config import FitConfig

    group: Any = parser
    for name, field in FitConfig.model_fields.items():
        group = parser.add_argument_group(_GROUPS[name]) if name in _GROUPS else group
        if name == "data" or name not in names:
            continue
        flag = f"--{name.replace('_', '-')}"
        text = (field.description or "").replace("%", "%%")
        default = "" if not defaults or field.default in (None, (), "", False) else f" (default: {field.default})"
        if field.annotation is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text + default)
        elif name == "vllm_args":
            group.add_argument(flag, type=shlex.split, metavar="FLAGS", help=text)
        elif name in _SEVERAL:
            group.add_argument(flag, nargs="+", help=text)
        else:
            choices = [c for c in get_args(field.annotation) if isinstance(c, str)] or None
            group.add_argument(flag, metavar=None if choices else name.upper(), choices=choices, help=text + default)


def given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line names."""
    from rationem.config import FitConfig

    found = {name: getattr(options, name, None) for name in FitConfig.model_fields}
    found["data"] = tuple(options.data) or None
    return {name: value for name, value in found.items() if value is not None}


def read_settings(options: argparse.Namespace, path: Path | None = None) -> FitConfig:
    """Return the configuration of ``--config`` with the flags on top.

    A file that the command names is the user's word. A run's own ``config.toml`` is not: what it names outside the run
    must be vouched for.

    Args:
        options: the command's.
        path: the ``config.toml`` of the run that goes on, where ``--config`` names no file.

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
