"""In which precision weights are stored: a run's checkpoints in fp32, what it publishes as its base model was.

A checkpoint that training goes on from keeps fp32, for in bf16 a step of a small learning rate rounds to nothing. It
notes the base model's type in its ``config.json``; what samples from it and is measured (``load(published=True)``) has
its weights rounded to that type, so that every number of the run is one of the weights that it publishes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rationem.engines.checkpoint import CONFIG, INDEX, dtype, read_json, weight_files

_KEY = "rationem_dtype"
_NAMES = {"BF16": "bfloat16", "F16": "float16"}


def noted(directory: Path) -> str | None:
    """Return the type that a checkpoint of a run is published in, "bfloat16" or "float16"; None for as it is."""
    found = read_json(directory / CONFIG).get(_KEY) if (directory / CONFIG).is_file() else None
    return found if found in _NAMES.values() else None


def note(checkpoint: Path, start: Path) -> None:
    """Let a checkpoint of whole weights note the type of what its training started from.

    Args:
        checkpoint: what was saved, in fp32.
        start: a checkpoint of the run, or its base model's files.
    """
    stored = noted(start) or _NAMES.get(dtype(start))
    content = {key: value for key, value in read_json(checkpoint / CONFIG).items() if key != _KEY}
    _write(checkpoint / CONFIG, content | ({_KEY: stored} if stored else {}))


def publish(directory: Path) -> None:
    """Store a copy of a checkpoint in the type that it notes, and forget the note."""
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
    """Round a model's weights to the type that they are published in; compute with them in another.

    Args:
        model: in fp32; changed in place.
        stored: "bfloat16" or "float16".
        computed: torch's type that the weights have afterwards.
    """
    import torch

    wanted = getattr(torch, stored)
    with torch.no_grad():
        for one in model.state_dict().values():  # without buffers that are not stored, such as a rotary embedding's
            if one.is_floating_point():
                one.copy_(one.to(wanted))
        for weight in model.parameters():
            weight.data = weight.data.to(computed)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
