"""References of a run's settings to things outside the run, vouched for by the command or the run's maker.

A run directory may come from somebody else, and its ``config.toml`` with it. Nothing that a run's settings name is
executed, contacted or fetched unless the command names it again, or this user did when the run was made or last
resumed. That is recorded outside the run, in the user's configuration directory (``RATIONEM_CONFIG``, else
``$XDG_CONFIG_HOME/rationem``, else ``~/.config/rationem``): under the run's id, which is the hash of its manifest, one
hash per setting, over the names and the bytes of the program. For a copy of a run made here, what its maker named is
trusted and nothing else. docs/decisions/032-trust.md gives the reasons.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem import progress
from rationem.config import FitConfig, Mark, Reach, flag_of, marks_of, reach_of
from rationem.data.hub import is_hub_name
from rationem.engines import models
from rationem.errors import ConfigError, RunError
from rationem.ledger.files import write_text
from rationem.ledger.opening import is_begun, read_only
from rationem.ledger.reading import read_manifest
from rationem.tasks.own import file_of


@dataclass(frozen=True, slots=True)
class Outside:
    """One setting that names something outside the run.

    Args:
        setting: its name.
        names: the things that it names.
        what: what would be done with them.
        digest: the hash of setting and names, and of the bytes of a program.
    """

    setting: str
    names: tuple[str, ...]
    what: str
    digest: str

    @property
    def flag(self) -> str:
        """The flag that names it in a command."""
        words = " ".join(map(shlex.quote, self.names))
        if self.setting == "data":
            return words
        flag = flag_of(self.setting)
        return f"{flag}={shlex.quote(words)}" if Mark.ONE_TEXT in marks_of(self.setting) else f"{flag} {words}"


def outside(config: FitConfig) -> tuple[Outside, ...]:
    """Return the settings that name a program, an address, something on the hub, or a device or pipe as a file.

    Data files need no permission: their content is compared with the ledger.
    """
    return tuple(_outside(config))


def check(config: FitConfig, named: Collection[str], run: Path) -> None:
    """Reject external references of a run's configuration that are not vouched for.

    Args:
        config: the settings, read from the run, flags on top.
        named: the settings that the command names itself.
        run: the run directory that the settings were read from.

    Raises:
        ConfigError: says what to name.
    """
    manifest = None
    if is_begun(run):
        with closing(read_only(run)) as db:
            manifest = read_manifest(db)
    check_by(config, named, manifest, run)


def check_by(
    config: FitConfig,
    named: Collection[str],
    identity: Mapping[str, Any] | None,
    where: Path,
    settings: Collection[str] | None = None,
) -> None:
    """Reject external references of a configuration that are not vouched for.

    Args:
        config: the settings.
        named: the settings that the command names itself.
        identity: what identifies this run, such as its manifest; None if nothing is recorded.
        where: the directory that the settings were read from.
        settings: the settings in use; None for all.

    Raises:
        ConfigError: says what to name.
    """
    trusted = _recorded(_id(identity)) if identity is not None else frozenset()
    strange = [
        one
        for one in outside(config)
        if one.setting not in named and one.digest not in trusted and (settings is None or one.setting in settings)
    ]
    if strange:
        raise ConfigError(_refusal(where, strange))


def remember(config: FitConfig, identity: Mapping[str, Any], where: Path) -> None:
    """Record the external references of these settings as named by this user for this run; without any, do nothing.

    Args:
        config: the settings, as this user gave or vouched for them.
        identity: what identifies this run, such as its manifest.
        where: the run's directory, for people who read the record.
    """
    found = outside(config)
    if not found:
        return
    path = _home() / "trust" / f"{_id(identity)}.json"
    digests = sorted(_recorded(path.stem) | {one.digest for one in found})
    if digests == sorted(_recorded(path.stem)):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(path, json.dumps({"run": str(where), "trusted": digests}, indent=1) + "\n")
    except (OSError, RunError) as error:
        flags = " ".join(one.flag for one in found)
        progress.say(
            f"Could not record that you made this run ({error}). To resume it, give these flags again: {flags}"
        )


def _outside(config: FitConfig) -> Iterator[Outside]:
    for setting in FitConfig.model_fields:
        reach, value = reach_of(setting), getattr(config, setting)
        names = tuple(value) if isinstance(value, tuple) else (value,) if value else ()
        if reach in (None, Reach.NOTHING) or not names:
            continue
        reached = tuple(name for name in names if _reaches(reach, name))
        if reached:
            told = names if Mark.ONE_TEXT in marks_of(setting) else reached
            yield Outside(setting, told, reach.value, _digest(setting, reached))
        elif odd := tuple(name for name in names if _is_odd(name)):
            yield Outside(setting, odd, "a device or pipe to read from", _digest(setting, odd))


def _reaches(reach: Reach, name: str) -> bool:
    if reach is Reach.TASK:
        return file_of(name) is not None
    if reach is Reach.MODEL:
        return name not in models.EMBEDDED and not Path(name).is_absolute() and not Path(name).is_dir()
    if reach is Reach.DATA:
        return is_hub_name(name)
    return reach is not Reach.FILE


def _is_odd(name: str) -> bool:
    path = Path(name)
    return path.exists() and not path.is_file() and not path.is_dir()


def _digest(setting: str, names: tuple[str, ...]) -> str:
    told = [setting, *([name, _content(setting, name)] for name in names)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _content(setting: str, name: str) -> str | None:
    """Return the hash of the program that a setting names; None if it names no program on this machine."""
    path = file_of(name) if setting == "task" else Path(name)
    if reach_of(setting) not in (Reach.PROGRAM, Reach.TASK) or path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _id(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _home() -> Path:
    if own := os.environ.get("RATIONEM_CONFIG"):
        return Path(own)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "rationem"


def _recorded(run_id: str) -> frozenset[str]:
    try:
        content = json.loads((_home() / "trust" / f"{run_id}.json").read_text(encoding="utf-8"))
        return frozenset(map(str, content["trusted"]))
    except (OSError, ValueError, KeyError, TypeError):  # an unreadable program is not vouched for
        return frozenset()


def _refusal(where: Path, strange: list[Outside]) -> str:
    lines = [
        f"The settings in {where} name things outside that directory, and there is no record that you made this run "
        "with them. Nothing was run, contacted or written. To use them, name them in the command:",
        *(f"  {one.flag}    ({one.what})" for one in strange),
        "Or read the run's config.toml, copy it out of the run, and name the copy: --config COPY.toml",
    ]
    return "\n".join(lines)
