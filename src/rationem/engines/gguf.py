"""Models in llama.cpp's format (.gguf): dequantised once into a checkpoint of the usual kind, which is what is used.

The weights of such a file are usually quantised. Training starts from their dequantised values in fp32, which are near
those of the model that the file was made from and not equal to them. The checkpoint lies in the cache, named by the
file's hash, so that a resumed run finds the model it began with.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from rationem import progress
from rationem.engines import model_cache
from rationem.errors import ConfigError, ModelError

SUFFIX = ".gguf"


def file_in(path: Path) -> Path | None:
    """Return the .gguf file that a path names: itself, or the only one in a directory without another model.

    Raises:
        ModelError: the directory holds several.
    """
    if path.is_file():
        return path if path.suffix.lower() == SUFFIX else None
    if not path.is_dir() or (path / "config.json").is_file():
        return None
    found = sorted(one for one in path.iterdir() if one.suffix.lower() == SUFFIX and one.is_file())
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise ModelError(f"The directory {str(path)!r} holds several .gguf files: {names}. Name one of them.")
    return found[0] if found else None


def check_reader() -> None:
    """Check that .gguf files can be read here.

    Raises:
        ConfigError: the package ``gguf`` is missing.
    """
    if find_spec("gguf") is None:
        raise ConfigError("A .gguf file needs the package gguf. Install it: pip install gguf")


def checkpoint_of(file: Path, cache: Path | None = None) -> Path:
    """Return a directory with the model of a .gguf file as safetensors; made the first time.

    Args:
        file: the file; it is read as data, and no code in it is run.
        cache: see :func:`rationem.engines.model_cache.directory`.

    Raises:
        ConfigError: the package ``gguf`` is missing.
        ModelError: the file cannot be read as a causal language model.
    """
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    place = model_cache.directory(cache) / f"gguf-{digest[:16]}"
    if not (place / "config.json").is_file():
        progress.say(f"{file.name} is dequantised to fp32 once, into {place}.")
    return model_cache.built(place.name, lambda output: _write(file, output), cache=cache)


def _write(file: Path, output: Path) -> None:
    check_reader()
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    from rationem.engines import models
    from rationem.engines.checkpoint import read_by_library

    disable_progress_bar()
    with models.quiet(), read_by_library(file):
        where, name = str(file.parent), file.name
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name, trust_remote_code=False)
        read = AutoModelForCausalLM.from_pretrained(
            where, gguf_file=name, trust_remote_code=False, use_safetensors=True, dtype="float32"
        )
        settings = read.config
        settings.quantization_config = None
        del settings.quantization_config
        whole = AutoModelForCausalLM.from_config(settings, trust_remote_code=False).float()
        whole.load_state_dict(read.state_dict())
    models.save(whole, tokenizer, output)
