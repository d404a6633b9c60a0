"""A checkpoint -> a directory that vLLM serves: adapters merged, and for a reload in place the head untied.

vLLM reloads weights in place in a fraction of a second. But if a model's output head is tied to its embedding, the CPU
build keeps a packed copy of the old head, and log-probabilities are silently wrong. A directory whose configuration
says that head and embedding are *not* tied, and which contains the head's weights, is reloaded exactly.
"""

from __future__ import annotations

import json
from pathlib import Path

from rationem.engines import models

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
_INDEX, _SINGLE, _HEAD_FILE = "model.safetensors.index.json", "model.safetensors", "rationem-head.safetensors"


def is_adapter(checkpoint: str) -> bool:
    """Say whether a checkpoint is a peft adapter, by its files."""
    return (Path(checkpoint) / "adapter_config.json").is_file()


def merge(checkpoint: str, directory: Path, *, half: bool) -> str:
    """Merge an adapter into its base in single precision, and write it as a full checkpoint; return the directory.

    Args:
        half: store the result in bf16, as a GPU serves it.
    """
    import torch

    loaded = models.load(checkpoint, device="cpu")
    model = loaded.model.to(torch.bfloat16) if half else loaded.model
    models.save(model, loaded.tokenizer, directory)
    return str(directory)


def can_untie(checkpoint: str) -> bool:
    """Say whether the head can be untied: a local checkpoint with tied embeddings and the usual names."""
    path = Path(checkpoint)
    return is_tied(checkpoint) and _EMBEDDING in _files(path)


def is_tied(checkpoint: str) -> bool:
    """Say whether a local checkpoint's head is tied to its embedding; True for a hub id, whose files are not local."""
    path = Path(checkpoint) / "config.json"
    return not path.is_file() or bool(_tied(json.loads(path.read_text(encoding="utf-8"))))


def untie(checkpoint: str, directory: Path) -> str:
    """Write a checkpoint with an untied head equal to the embedding; weight files are linked, not copied.

    Args:
        checkpoint: a directory for which ``can_untie`` is true.
        directory: where to write; created if missing.

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
    # A loader that finds a file of this name ignores the index.
    return "rationem-weights.safetensors" if file == _SINGLE else file


def _tied(config: dict[str, object]) -> object:
    # A missing key means the architecture's default, which transformers knows.
    if "tie_word_embeddings" in config:
        return config["tie_word_embeddings"]
    from transformers import AutoConfig

    kind = str(config.get("model_type", ""))
    return AutoConfig.for_model(kind).tie_word_embeddings


def _files(path: Path) -> dict[str, str]:
    """Return tensor name -> file name of a local checkpoint; empty without safetensors."""
    index = path / _INDEX
    if index.is_file():
        return dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    if not (path / _SINGLE).is_file():
        return {}
    from safetensors import safe_open

    with safe_open(path / _SINGLE, framework="pt") as file:
        return dict.fromkeys(file.keys(), _SINGLE)
