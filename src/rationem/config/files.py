"""Settings from TOML, overridden by flags, and back; an unknown key is an error that names the closest one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from rationem.config.fit import FitConfig, aliases, flag_of
from rationem.errors import ConfigError, closest
from rationem.tasks.template import read_toml

#: Characters that a terminal interprets or hides (direction marks, zero widths, private ones) and that the writer
#: keeps.
_UNSEEN = re.compile(
    "[\x80-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ue000-\uf8ff"
    "\U000e0000-\U000e007f\U000f0000-\U0010ffff]"
)


def read_config(path: Path | None, overrides: Mapping[str, Any]) -> FitConfig:
    """Return the settings of a TOML file, with flags on top.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, or a value is out of range.
    """
    settings: dict[str, Any] = {}
    if path is not None:
        settings = read_toml(path, "the configuration")
    merged = {**settings, **{key: value for key, value in overrides.items() if value is not None}}
    try:
        return FitConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, path, overrides)) from error


def configured(**settings: Any) -> FitConfig:
    """Return the given settings, with the others at their defaults.

    Raises:
        ConfigError: a name is unknown, or a value is out of range.
    """
    return read_config(None, settings)


def known_then(settings: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those at their defaults that a run's recorded settings do not know yet."""
    defaults = FitConfig().model_dump(mode="json")
    return {name: value for name, value in settings.items() if name in recorded or value != defaults.get(name)}


def draft_toml(settings: Mapping[str, Any]) -> str:
    """Return some settings as TOML, for a file that a person goes on writing; None is left out.

    Raises:
        ConfigError: see :func:`read_config`.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    config = read_config(None, given).model_dump(mode="json", include=set(given))
    text = tomli_w.dumps({name: config[name] for name in given})
    return (
        "# Settings of a run: rationem check --config FILE, then rationem fit --config FILE -o RUN.\n"
        f"# Every flag of rationem fit --help-all is a key here, with underscores.\n{_UNSEEN.sub(_escaped, text)}"
    )


def to_toml(config: FitConfig, repeat: str = "rationem fit --config config.toml --output RUN") -> str:
    """Return the settings as TOML; None is left out, so the text reads back to the same settings.

    Args:
        repeat: the command that repeats the run, for the first line.
    """
    text = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    return f"# Settings of this run, resolved. Repeat it with: {repeat}\n{_UNSEEN.sub(_escaped, text)}"


def _escaped(character: re.Match[str]) -> str:
    number = ord(character[0])
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _explain(error: ValidationError, path: Path | None, overrides: Mapping[str, Any]) -> str:
    sentences = []
    for problem in error.errors():
        key = str(problem["loc"][0]) if problem["loc"] else ""
        where = flag_of(key) if key in overrides or path is None else f"{path}: {key}"
        if problem["type"] == "extra_forbidden":
            meant = aliases().get(f"--{key.replace('_', '-')}", key).removeprefix("--").replace("-", "_")
            known = closest(meant, FitConfig.model_fields)
            sentences.append(f"{path or 'fit()'}: unknown key {key!r}.{known} Remove or rename it.")
        elif key:
            sentences.append(f"{where} = {problem['input']!r}: {problem['msg']}.")
        else:
            sentences.append(problem["msg"].removeprefix("Value error, "))
    return "\n".join(sentences)
