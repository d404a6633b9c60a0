"""Whether a model can be used, decided from a few small files; other kinds of models get one readable error."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rationem.engines import gguf
from rationem.engines.checkpoint import ADAPTER, ADAPTER_WEIGHTS, CONFIG, INDEX, SINGLE, listed, read_json
from rationem.errors import ModelError

_CAUSAL = re.compile(r"(ForCausalLM|LMHead\w*|WithLM\w*|Model)$")
_OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.onnx", "*.npz")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
_BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt", "chat_template.jinja")
_WANTED = "a directory with config.json, *.safetensors and a tokenizer"


def find_path(name: str) -> Path | None:
    """Return the directory that a name stands for; None if it must be a hub id.

    Raises:
        ModelError: it is written as a path and does not exist, or is a file.
    """
    path = Path(name).expanduser()
    if (file := gguf.file_in(path)) is not None:
        return gguf.checkpoint_of(file).resolve()
    if path.is_dir():
        return path.resolve()
    if path.suffix.lower() == gguf.SUFFIX:
        raise ModelError(f"There is no file {name!r}. Name {_WANTED}.")
    if path.is_file():
        raise ModelError(f"The model {name!r} is a file. Name the directory that contains it: {_WANTED}.")
    if name.startswith(("/", "./", "../", "~")) or name in (".", "..") or (name.count("/") != 1 and "/" in name):
        raise ModelError(f"There is no directory {name!r}. Name {_WANTED}, or a hub id: OWNER/NAME.")
    return None


def here(name: str) -> Path | None:
    """Return the directory of a model that is on this machine with its weights; downloads nothing.

    Raises:
        ModelError: see :func:`find_path`.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if (path := find_path(name)) is not None:
        return path
    try:
        found = [try_to_load_from_cache(name, file) for file in (SINGLE, INDEX, ADAPTER_WEIGHTS)]
    except HFValidationError as error:
        raise ModelError(f"There is no model {name!r}: it is neither a directory nor a valid hub id.") from error
    return next((Path(one).parent for one in found if isinstance(one, str)), None)


def check(directory: Path) -> None:
    """Reject anything but a causal language model with safetensors weights; reads small files only.

    Raises:
        ModelError: names what was found and what to do.
    """
    where = repr(str(directory))
    if not (directory / CONFIG).is_file():
        raise ModelError(_without_config(directory))
    check_settings(where, read_json(directory / CONFIG))
    if not (directory / SINGLE).is_file() and not (directory / INDEX).is_file():
        found = sorted({path.name for pattern in _OTHER_WEIGHTS for path in directory.glob(pattern)})
        if found:
            raise ModelError(
                f"The directory {where} holds weights as {listed(found, 3)}, and only safetensors are supported: other "
                "formats can run code. If you trust them, convert them: load the model with transformers, and "
                "save_pretrained."
            )


def check_tokenizer(directory: Path) -> None:
    """Reject a directory without a tokenizer: transformers would make one with an empty vocabulary.

    Raises:
        ModelError: names the files that were looked for.
    """
    if not has_tokenizer(directory):
        raise ModelError(
            f"The directory {str(directory)!r} holds no tokenizer (looked for {', '.join(_TOKENIZERS)}). Copy the "
            "tokenizer files of its base model into it."
        )


def has_tokenizer(directory: Path) -> bool:
    """Say whether a directory holds a tokenizer's vocabulary."""
    return any((directory / name).is_file() for name in _TOKENIZERS)


def check_settings(where: str, settings: Mapping[str, Any]) -> None:
    """Reject a ``config.json`` that is not a causal language model's.

    Args:
        where: the model, for the message.
        settings: the file's content.

    Raises:
        ModelError: names the kind of model that it is instead.
    """
    told, kind = _told_of(settings), str(settings.get("model_type", ""))
    if method := _quantised(settings):
        raise ModelError(
            f"The model {where} has quantised weights ({method}), which are not supported. Name the "
            "model that it was made from, with weights in bf16, fp16 or fp32; a LoRA adapter (--lora-rank 16) "
            "saves memory in training."
        )
    if settings.get("is_encoder_decoder"):
        raise ModelError(f"The model {where} is an encoder-decoder ({told}); a causal language model is needed.")
    if towers := [name for name in ("vision_config", "audio_config") if settings.get(name)]:
        raise ModelError(
            f"The model {where} is not a text-only model ({told}, with {' and '.join(towers)}). Name a text model of "
            "the same family, or save its language model separately."
        )
    _check_known(where, settings, kind, told)


def _check_known(where: str, settings: Mapping[str, Any], kind: str, told: str) -> None:
    from transformers import CONFIG_MAPPING, __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    if kind not in CONFIG_MAPPING:
        if settings.get("auto_map"):
            raise ModelError(
                f"The model {where} needs its own code ({told}, auto_map), and code that comes with a model is never "
                f"run. Name one with an architecture of transformers {__version__}."
            )
        named = f"model_type {kind!r}, which transformers {__version__} does not know" if kind else "no model_type"
        raise ModelError(f"The config.json of {where} has {named}. Name {_WANTED}.")
    causal = CAUSAL.get(kind)
    names = [str(name) for name in settings.get("architectures") or ()]
    encodes = kind in MASKED and not settings.get("is_decoder")
    fits = not names or any(name == causal or _CAUSAL.search(name) for name in names)
    if causal is None or encodes or not fits:
        raise ModelError(
            f"The model {where} is not a causal language model ({told}): classifiers, reward models and encoders do "
            "not generate text. Name one whose config.json says ...ForCausalLM."
        )


def _told_of(settings: Mapping[str, Any]) -> str:
    names = settings.get("architectures") or ()
    return ", ".join(map(str, names)) or str(settings.get("model_type", "no model_type"))


def _quantised(settings: Mapping[str, Any]) -> str | None:
    """Return the quantisation method, also from the file of an older tool; None without quantisation."""
    for key in ("quantization_config", "compression_config"):
        if (found := settings.get(key)) is not None:
            method = found.get("quant_method") if isinstance(found, Mapping) else None
            return str(method or key)
    return None


def _without_config(directory: Path) -> str:
    found = sorted(path.name for path in directory.iterdir())
    has = f"it holds {listed(found, 4)}" if found else "it is empty"
    hint = ""
    inner = sorted(path.parent.name for path in directory.glob(f"*/{CONFIG}"))
    if inner:
        hint = f" Did you mean {str(directory / inner[0])!r}?"
    return f"The directory {str(directory)!r} holds no model: there is no {CONFIG} ({has}). Name {_WANTED}.{hint}"


@contextmanager
def patient() -> Iterator[None]:
    """Silence the hub client's message on every retry; the last error is reported."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def at_hand(checkpoint: str | Path) -> Iterator[None]:
    """Keep the hub offline while a directory is read: only a hub id that the user named is downloaded.

    A directory may come from a stranger, and an adapter in it names a base model: that is taken from the cache only.
    Offline mode holds for the whole process, in every library that uses the hub.
    """
    from huggingface_hub import constants

    if not Path(checkpoint).is_dir():
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def unfetched(adapter: str, base: str) -> str:
    """Return the message about an adapter whose base model is a hub id that is not in the cache."""
    return (
        f"{adapter} is an adapter of the model {base!r}, which is not on this machine. Models that only an adapter "
        f"names are not downloaded. Name it yourself, --adapter-base {base}, or download it: hf download {base}"
    )


def on_hub(name: str, file: str) -> Path | None:
    """Return a file of a hub id, downloaded if necessary; None if the repository has no such file.

    Raises:
        OSError: there is no such repository, or the hub cannot be reached.
    """
    from transformers.utils import cached_file

    with patient():
        found = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
    return Path(found) if found else None


def fetch(name: str) -> Path:
    """Return the directory of a hub id's files; downloads config and weights if necessary.

    Raises:
        OSError: see :func:`on_hub`.
        ModelError: there are no safetensors, or another kind of model.
    """
    config = on_hub(name, CONFIG)
    if config is None:
        raise ModelError(f"The hub's {name!r} has no {CONFIG}, so it is not a transformers model. Name another.")
    check_settings(repr(name), read_json(config))
    directory = config.parent
    if on_hub(name, SINGLE) is None:
        if (index := on_hub(name, INDEX)) is None:
            raise ModelError(f"The hub's {name!r} has no safetensors, the only supported format. Name another.")
        for file in sorted({str(file) for file in read_json(index).get("weight_map", {}).values()}):
            on_hub(name, file)
    return directory


def fetch_whole(name: str) -> None:
    """Download all needed files of a hub id, so that no later download is needed; does nothing for a directory.

    Raises:
        ModelError: it cannot be downloaded.
    """
    if Path(name).is_dir():
        return
    try:
        fetch(name)
        for file in ("generation_config.json", *_TOKENIZERS, *_BESIDE):
            on_hub(name, file)
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The base model {name!r} of the adapter cannot be downloaded: {reason}") from error


def adapter_on_hub(name: str) -> Path | None:
    """Return the directory of a hub id that is an adapter, after downloading it; None if it is a whole model.

    Raises:
        OSError: there is no such repository, or the hub cannot be reached.
    """
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, CONFIG), str) or (found := on_hub(name, ADAPTER)) is None:
        return None
    for file in (ADAPTER_WEIGHTS, "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        on_hub(name, file)
    return found.parent
