"""The base model and data of a run under public names: no path of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rationem.config import read_config
from rationem.engines import models
from rationem.errors import RunError
from rationem.ledger.opening import LEDGER, no_run

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class StartingModel:
    """The model that training started from: a hub id, or the last part of the path of a local directory."""

    name: str
    on_hub: bool


def base_of(model: str) -> StartingModel:
    """Return the public name of a model from its name or path.

    >>> base_of("Qwen/Qwen2.5-0.5B-Instruct")
    StartingModel(name='Qwen/Qwen2.5-0.5B-Instruct', on_hub=True)
    >>> base_of("/home/me/models/mine")
    StartingModel(name='mine', on_hub=False)
    """
    path = Path(model)
    is_hub = model not in models.EMBEDDED and not path.exists() and _HUB.fullmatch(model) is not None
    return StartingModel(model, True) if is_hub else StartingModel(path.name or model, False)


def sources(run: Path) -> tuple[str, ...]:
    """Return the last parts of the data paths of a run, the test set's included; empty without config.toml."""
    path = run / "config.toml"
    if not path.is_file():
        return ()
    config = read_config(path, {})
    names = [*config.data, *config.test]
    return tuple(dict.fromkeys(name if _HUB.match(name) and "/" in name else Path(name).name for name in names))


def model_of(run: Path) -> Path:
    """Return the chosen model's directory.

    Raises:
        RunError: there is no run, or it is not finished.
    """
    if not (run / LEDGER).is_file():
        raise no_run(run)
    if not (run / "model" / "rationem.json").is_file():
        raise RunError(f"{run} is not finished: there is no judge in it yet. Continue it: rationem fit --output {run}")
    return run / "model"
