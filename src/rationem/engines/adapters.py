"""LoRA adapters: their settings, their base model, and what to do if the base model has moved."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem.engines.checkpoint import ADAPTER, ADAPTER_WEIGHTS, read_json
from rationem.errors import ModelError
from rationem.ledger.files import write_text
from rationem.ledger.scratch import scratch

_BASE = "base_model_name_or_path"


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's configuration.

    Args:
        base: its base model: a directory or a hub id.
        rank: r.
        alpha: its products are scaled by alpha / rank.
        dropout: dropout rate on its inputs, in training.
        targets: the layers that it changes: their names, or a pattern.
    """

    base: str
    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]


def is_adapter(checkpoint: str | Path) -> bool:
    """Say whether a checkpoint is an adapter, by its files."""
    return (Path(checkpoint) / ADAPTER).is_file()


def read(directory: Path) -> Adapter:
    """Return an adapter's configuration.

    Raises:
        ModelError: it is not a LoRA adapter, has no safetensors, or its base model is missing.
    """
    found = read_json(directory / ADAPTER)
    kind = str(found.get("peft_type"))
    if kind.upper() != "LORA":
        raise ModelError(
            f"The adapter {str(directory)!r} is of the kind {kind}; only LoRA is supported. Merge it into its base "
            "model with peft (merge_and_unload), and name the whole model."
        )
    if not (directory / ADAPTER_WEIGHTS).is_file():
        raise ModelError(f"The adapter {str(directory)!r} has no {ADAPTER_WEIGHTS}; other formats are not supported.")
    try:
        targets = found.get("target_modules") or ()
        return Adapter(
            base=_base(directory, found),
            rank=int(found["r"]),
            alpha=float(found["lora_alpha"]),
            dropout=float(found.get("lora_dropout") or 0),
            targets=(targets,) if isinstance(targets, str) else tuple(sorted(map(str, targets))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{directory / ADAPTER} is not what peft writes: {error}.") from error


def base_of(directory: Path) -> str:
    """Return an adapter's base model: a directory or a hub id.

    Raises:
        ModelError: the base model is missing.
    """
    return _base(directory, read_json(directory / ADAPTER))


def on_base(directory: Path, base: str) -> Path:
    """Return a copy of an adapter that names another base model; the user's own files stay unchanged.

    The copy is in the cache, named by its content, so that a resumed run finds the same copy.

    Args:
        directory: the adapter's directory.
        base: a directory or a hub id.

    Raises:
        ModelError: there is no adapter.
    """
    from rationem.engines.checkpoint import digest

    content = read_json(directory / ADAPTER)
    if content.get(_BASE) == base:
        return directory
    key = json.dumps([digest(directory).to_json(), base], sort_keys=True)
    target = _cache() / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not (target / ADAPTER).is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch(f".{target.name}-", target.parent) as place:
            draft = place / "adapter"
            draft.mkdir()
            for path in directory.iterdir():
                if path.is_file() and path.suffix in {".json", ".safetensors", ".jinja", ".model", ".txt"}:
                    shutil.copyfile(path, draft / path.name)
            rename_base(draft, base)
            with suppress(OSError):  # another process was faster; otherwise reading the copy reports the error
                draft.rename(target)
    return target


def rename_base(directory: Path, base: str) -> None:
    """Change the base model that an adapter written by rationem names."""
    content = read_json(directory / ADAPTER)
    if content.get(_BASE) != base:
        write_text(directory / ADAPTER, json.dumps({**content, _BASE: base}, indent=2, sort_keys=True))


def _base(directory: Path, content: Mapping[str, Any]) -> str:
    named = content.get(_BASE)
    if not isinstance(named, str) or not named:
        raise ModelError(
            f"The adapter {str(directory)!r} names no base model. Say which: --adapter-base DIR or hub id."
        )
    for place in (Path(named), directory / named):
        if place.is_dir():
            return str(place.resolve())
    if Path(named).is_absolute() or named.startswith(".") or named.count("/") > 1:
        raise ModelError(
            f"The adapter {str(directory)!r} was trained on the base model {named!r}, which is missing. Say where it "
            "is now: --adapter-base DIR or hub id."
        )
    return named


def _cache() -> Path:
    from rationem.engines.model_cache import directory

    return directory() / "adapters"
