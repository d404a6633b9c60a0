"""The precision of stored weights: a run's checkpoints are fp32, and it publishes weights in its base model's type.

Training continues from fp32 checkpoints, because in bf16 a step of a small learning rate rounds to nothing. A
checkpoint notes the base model's type in its ``config.json``. Sampling and evaluation (``load(published=True)``) round
its weights to that type, so that every number of the run belongs to the weights that it publishes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rationem.engines.checkpoint import CONFIG, INDEX, dtype, read_json, weight_files

_KEY = "rationem_dtype"
_NAMES = {"BF16": "bfloat16", "F16": "float16"}


def noted(directory: Path) -> str | None:
    """Return the type that a checkpoint of a run is published in, "bfloat16" or "float16"; None for unchanged."""
    found = read_json(directory / CONFIG).get(_KEY) if (directory / CONFIG).is_file() else None
    return found if found in _NAMES.values() else None


def note(checkpoint: Path, start: Path) -> None:
    """Record in a checkpoint of full weights the type of its training's start.

    Args:
        checkpoint: the saved checkpoint, in fp32.
        start: a checkpoint of the run, or the base model's directory.
    """
    stored = noted(start) or _NAMES.get(dtype(start))
    content = {key: value for key, value in read_json(checkpoint / CONFIG).items() if key != _KEY}
    _write(checkpoint / CONFIG, content | ({_KEY: stored} if stored else {}))


def publish(directory: Path) -> None:
    """Convert a copy of a checkpoint to the type that it notes, and remove the note."""
    import torch
    from safetensors.torch import load_file, save_file

    if (stored := noted(directory)) is None:
        return
    wanted, total = getattr(torch, stored), 0
    for path in weight_files(directory):
        held = {name: one.to(wanted) if one.is_floating_point() else one for name, one in load_file(path).items()}
        save_file(held, path, metadata={"format": "pt"})
        total += sum(one.numel() * one.element_size() for one in held.values())
    if (directory / INDEX).is_file():
        index = read_json(directory / INDEX)
        _write(directory / INDEX, {**index, "metadata": {**(index.get("metadata") or {}), "total_size": total}})
    content = {key: value for key, value in read_json(directory / CONFIG).items() if key not in (_KEY, "torch_dtype")}
    _write(directory / CONFIG, {**content, "dtype": stored})


def rounded(model: Any, stored: str, computed: Any) -> None:
    """Round a model's weights to the published type, and keep them in the type of computation.

    Args:
        model: a model in fp32; changed in place.
        stored: "bfloat16" or "float16".
        computed: the torch dtype of the weights afterwards.
    """
    import torch

    wanted = getattr(torch, stored)
    with torch.no_grad():
        for one in model.state_dict().values():  # excludes buffers that are not stored, such as a rotary embedding's
            if one.is_floating_point():
                one.copy_(one.to(wanted))
        for weight in model.parameters():
            weight.data = weight.data.to(computed)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
