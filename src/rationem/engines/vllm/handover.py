"""A checkpoint -> a directory that vLLM serves: an adapter merged, and for a reload in place a head of its own.

vLLM reloads weights in place in a fraction of a second, but where a model's output head is tied to its embedding, the
CPU build keeps a packed copy of the old head: log-probabilities are silently wrong. A directory whose configuration
says that head and embedding are *not* tied, and which names the head's weights, is reloaded exactly.
"""

from __future__ import annotations

import json
from pathlib import Path

from rationem.engines import models

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
_INDEX, _SINGLE, _HEAD_FILE = "model.safetensors.index.json", "model.safetensors", "rationem-head.safetensors"


def is_adapter(checkpoint: str) -> bool:
    """Say whether a checkpoint is a peft adapter."""
    return (Path(checkpoint) / "adapter_config.json").is_file()


def merge(checkpoint: str, directory: Path, *, half: bool) -> str:
    """Write an adapter, merged into its base in single precision, as a full checkpoint; return the directory.

    Args:
        half: store the sum in bf16, as a GPU serves it.
    """
    import torch

    loaded = models.load(checkpoint, device="cpu")
    model = loaded.model.to(torch.bfloat16) if half else loaded.model
    models.save(model, loaded.tokenizer, directory)
    return str(directory)


def can_untie(checkpoint: str) -> bool:
    """Say whether a head of its own can be written: a local checkpoint of tied embeddings with the usual names."""
    path = Path(checkpoint)
    return is_tied(checkpoint) and _EMBEDDING in _files(path)


def is_tied(checkpoint: str) -> bool:
    """Say whether a local checkpoint's head is its embedding; for a hub id, whose files are not here, True."""
    path = Path(checkpoint) / "config.json"
    return not path.is_file() or bool(_tied(json.loads(path.read_text(encoding="utf-8"))))


def untie(checkpoint: str, directory: Path) -> str:
    """Write a checkpoint whose head is its own, equal to the embedding; the weights' files are linked, not copied.

    Args:
        checkpoint: a directory of which ``can_untie`` holds.
        directory: where to write; made if missing.

    Returns:
        The directory.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    source = Path(checkpoint).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and path.name not in {"config.json", _INDEX, "optimizer.pt"}:
            (directory / _renamed(path.name)).symlink_to(path)
    files = _files(source)
    with safe_open(source / files[_EMBEDDING], framework="pt") as file:
        save_file({_HEAD: file.get_tensor(_EMBEDDING)}, directory / _HEAD_FILE)
    index = {
        "metadata": {},
        "weight_map": {**{name: _renamed(file) for name, file in files.items()}, _HEAD: _HEAD_FILE},
    }
    (directory / _INDEX).write_text(json.dumps(index), encoding="utf-8")
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    untied = {**config, "tie_word_embeddings": False}
    (directory / "config.json").write_text(json.dumps(untied), encoding="utf-8")
    return str(directory)


def _renamed(file: str) -> str:
    # Whoever finds a file of the single file's name reads no index.
    return "rationem-weights.safetensors" if file == _SINGLE else file


def _tied(config: dict[str, object]) -> object:
    # What a configuration leaves out is the architecture's default; for that, transformers is asked.
    if "tie_word_embeddings" in config:
        return config["tie_word_embeddings"]
    from transformers import AutoConfig

    kind = str(config.get("model_type", ""))
    return AutoConfig.for_model(kind).tie_word_embeddings


def _files(path: Path) -> dict[str, str]:
    """Return tensor name -> file name of a local checkpoint; empty where it has no safetensors."""
    index = path / _INDEX
    if index.is_file():
        return dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    if not (path / _SINGLE).is_file():
        return {}
    from safetensors import safe_open

    with safe_open(path / _SINGLE, framework="pt") as file:
        return dict.fromkeys(file.keys(), _SINGLE)
