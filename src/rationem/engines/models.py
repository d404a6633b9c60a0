"""Resolves a model's name and loads weights and tokenizer: an embedded model, a checkpoint, an adapter or a hub id.

Safetensors only and ``trust_remote_code`` off, always: a model is data, not a program.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from rationem import progress
from rationem.engines.chat import Chat, Conversation
from rationem.errors import ModelError, RationemError, closest

#: Names of the embedded models, usable wherever a model is expected.
TINY_JUDGE, TINY_ADDER, TINY_SUMMARIZER = "tiny-judge", "tiny-adder", "tiny-summarizer"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model on its device with its tokenizer; ``stop_ids`` are all tokens with which the model may end a turn."""

    model: Any
    tokenizer: Any
    stop_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model that has a name: a tiny one that comes with the package, or one that ``rationem model install`` fetches.

    A tiny model with another seed is built from its recipe on first use.

    Args:
        finder: "module:function"; called with ``seed``, ``rebuild`` and ``report`` it returns the directory.
        new_tokens: the default length limit of its completions.
        learning_rate: the default peak.
        toy: it cannot read, and what it says shows how the software works.
        hints: kind of items -> the words of a hint that it was trained on, if these are not the package's.
    """

    finder: str
    new_tokens: int
    learning_rate: float = 1e-3
    toy: bool = True
    hints: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str, *, seed: int = 0, rebuild: bool = False) -> Path:
        """Return the directory; builds a model that is neither in the package nor in the cache."""

        module, _, function = self.finder.partition(":")
        with progress.phases(f"building the {name.replace('-', ' ')} (once)") as report:
            return Path(getattr(import_module(module), function)(seed=seed, rebuild=rebuild, report=report))


#: The embedded models.
EMBEDDED = {
    TINY_JUDGE: EmbeddedModel(
        "rationem.world:tiny_judge",
        48,
        hints={
            "responses": "The correct rating is {{ answer }}. Explain why.",
            "choices": "The correct answer is {{ answer }}. Explain why.",
        },
    ),
    TINY_ADDER: EmbeddedModel("rationem.world.addition:tiny_adder", 88),
    TINY_SUMMARIZER: EmbeddedModel("rationem.world.summaries:tiny_summarizer", 48),
    "smollm2": EmbeddedModel("rationem.engines.installed:smollm2", 60, learning_rate=1e-4, toy=False),
}


def resolve(name: str, adapter_base: str | None = None) -> str:
    """Return the argument of ``load``: an embedded model's path, a directory, or a hub id.

    Args:
        name: the model's name, as the user gave it.
        adapter_base: the base model of an adapter, if not the one that the adapter names.

    Raises:
        ModelError: there is no such model, or ``adapter_base`` is given for a model that is not an adapter.
    """
    from rationem.engines import adapters, architectures

    if name in EMBEDDED:
        place: Path | None = EMBEDDED[name].find(name)
    elif not Path(name).exists() and "/" not in name and closest(name, EMBEDDED):
        raise ModelError(f"There is no model {name!r}.{closest(name, EMBEDDED)}")
    else:
        try:
            if (place := architectures.find_path(name)) is None and (
                place := architectures.adapter_on_hub(name)
            ) is not None:
                architectures.fetch_whole(adapters.base_of(place))  # the user named the adapter, and with it its base
        except (OSError, ValueError) as error:
            raise ModelError(not_found(name, error)) from error
    if adapter_base is None:
        return str(place or name)
    if place is None or not adapters.is_adapter(place):
        raise ModelError(f"--adapter-base is for adapters, and {name!r} is not an adapter. Leave it out.")
    base = resolve(adapter_base)
    architectures.fetch_whole(base)
    return str(adapters.on_base(place, base))


def positions(name: str, checkpoint: str) -> int | None:
    """Return the model's context length in tokens, without loading weights; None if its configuration has none.

    Raises:
        ModelError: there is no configuration, or it is of an unsupported model.
    """
    found = getattr(settings(name, checkpoint).get_text_config(), "max_position_embeddings", None)
    return None if found is None else int(found)


def settings(name: str, checkpoint: str) -> Any:
    """Return a model's configuration (transformers' ``PretrainedConfig``), for an adapter its base's.

    Args:
        name: the model's name, as the user gave it.
        checkpoint: the result of ``resolve``.

    Raises:
        ModelError: there is no configuration, or it is of an unsupported model.
    """
    from transformers import AutoConfig

    from rationem.engines import architectures
    from rationem.engines.checkpoint import read_json

    where = weights_of(checkpoint)
    try:
        with architectures.at_hand(checkpoint):
            if Path(where).is_dir():
                architectures.check(Path(where))
            elif (found := architectures.on_hub(where, "config.json")) is not None:
                architectures.check_settings(repr(where), read_json(found))
            with architectures.patient():
                return AutoConfig.from_pretrained(where, trust_remote_code=False)
    except RationemError:
        raise
    except Exception as error:  # a stranger's JSON makes a library raise anything
        raise ModelError(not_found(name, error, checkpoint)) from error


def check(name: str, checkpoint: str) -> dict[str, Any]:
    """Check that a checkpoint is complete and its tensors match its configuration; return its ``digests``.

    Reads headers and samples, loads no weights. A hub id is downloaded if necessary.

    Raises:
        ModelError: names the missing, unexpected or mismatched tensors, or another fault.
    """
    progress.doing("checking the model")
    from rationem.engines import adapters, tensor_check

    base, place = weights_of(checkpoint), base_place(checkpoint, name)
    tensor_check.check(place)
    if base != checkpoint:
        adapters.read(Path(checkpoint))
        tensor_check.check_adapter(Path(checkpoint), place)
    tensor_check.check_vocabulary(
        name, _tokenizer(name, checkpoint), settings(name, checkpoint).get_text_config().vocab_size
    )
    return digests(checkpoint)


def digests(checkpoint: str) -> dict[str, Any]:
    """Return the digests that identify a checkpoint: of the "model", and for an adapter also of its "base".

    See :class:`rationem.engines.checkpoint.Digest`.

    Raises:
        ModelError: files are missing or damaged.
    """
    from rationem.engines.checkpoint import digest

    base, place = weights_of(checkpoint), base_place(checkpoint)
    if base == checkpoint:
        return {"model": digest(place).to_json()}
    return {"model": digest(Path(checkpoint)).to_json(), "base": digest(place).to_json()}


def base_place(checkpoint: str, name: str = "") -> Path:
    """Return the directory of a model's files, for an adapter its base's; a hub id is downloaded.

    Args:
        checkpoint: the result of ``resolve``.
        name: the model's name, as the user gave it.

    Raises:
        ModelError: they are missing, or of an unsupported model.
    """
    from rationem.engines import architectures

    base = weights_of(checkpoint)
    if Path(base).is_dir():
        architectures.check(Path(base))
        return Path(base)
    try:
        with architectures.at_hand(checkpoint):
            return architectures.fetch(base)
    except (OSError, ValueError) as error:
        raise ModelError(not_found(name or checkpoint, error, checkpoint)) from error


def weights_of(checkpoint: str) -> str:
    """Return the checkpoint that has the model's configuration: an adapter's base, else the checkpoint itself.

    Raises:
        ModelError: an adapter's base model is missing.
    """
    from rationem.engines import adapters

    return adapters.base_of(Path(checkpoint)) if adapters.is_adapter(checkpoint) else checkpoint


def chat(name: str, checkpoint: str, conversation: Conversation | None = None) -> Chat:
    """Return the model's conversation format.

    Args:
        conversation: additions to its template; None for those saved with the checkpoint.

    Raises:
        ModelError: there is no tokenizer.
        ConfigError: the template does not support the conversation.
    """
    tokenizer = _tokenizer(name, checkpoint)
    return Chat(tokenizer if conversation is None else conversation.carried_by(tokenizer))


def _tokenizer(name: str, checkpoint: str) -> Any:
    """Return the tokenizer; for an adapter without one, its base's."""
    from transformers import AutoTokenizer

    from rationem.engines import architectures

    where = checkpoint if architectures.has_tokenizer(Path(checkpoint)) else weights_of(checkpoint)
    try:
        if Path(where).is_dir():
            architectures.check_tokenizer(Path(where))
        with architectures.patient(), architectures.at_hand(checkpoint):
            return AutoTokenizer.from_pretrained(where, trust_remote_code=False)
    except RationemError:
        raise
    except Exception as error:  # a stranger's JSON makes a library raise anything
        raise ModelError(not_found(name, error, "" if where == checkpoint else checkpoint)) from error


def not_found(name: str, error: Exception, checkpoint: str = "") -> str:
    """Return the message about a missing or unreadable model, with models that this machine can train.

    Args:
        name: the model's name, as the user gave it.
        error: the loader's error.
        checkpoint: the directory that was read; it may be an adapter whose base model is missing.
    """
    from rationem.engines.suggested import suggestion

    if Path(checkpoint).is_dir() and not Path(base := weights_of(checkpoint)).is_dir():
        from rationem.engines import architectures

        return architectures.unfetched(checkpoint, base)
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    where = f"the directory {name!r}" if Path(name).is_dir() else f"the model {name!r}"
    return f"Cannot read {where}: {reason} {suggestion()}"


def load(
    path: str,
    *,
    trainable: bool = False,
    device: str | None = None,
    conversation: Conversation | None = None,
    published: bool = False,
) -> LoadedModel:
    """Load a checkpoint directory, a peft adapter directory or a hub id.

    Args:
        path: the result of ``resolve``, or a directory that ``save`` wrote.
        trainable: keep a peft adapter separate and trainable; else it is merged into the weights for sampling.
        device: "cpu", "cuda" or None for the GPU if there is one. Sampling uses bf16 on a GPU and fp32 on a CPU (bf16
            is slower on CPUs without AMX, as measured); training uses fp32, with bf16 autocast on a GPU.
        conversation: additions to the chat template; None for those saved with the checkpoint.
        published: round the weights of a run's checkpoint as in publishing, :mod:`rationem.engines.storage`.

    Raises:
        ModelError: there is no model, it has no safetensors, or it needs its own code.
    """
    progress.doing("loading the model")
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig
    from transformers.utils.logging import disable_progress_bar

    from rationem.engines import adapters, architectures, checkpoint, stops, storage, tensor_check

    disable_progress_bar()
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device == "cuda" and not trainable else torch.float32
    architectures.find_path(path)  # rejects a path that does not exist
    base = weights_of(path)
    tokenizer = _tokenizer(path, path)
    settings(path, path)  # rejects unsupported kinds of models with a reason
    if Path(base).is_dir():
        checkpoint.tensors(Path(base))  # rejects damaged files by name
    stored = storage.noted(Path(base)) if published else None
    first = torch.float32 if stored else dtype
    try:
        with tensor_check.unreported(), architectures.at_hand(path):
            model, told = AutoModelForCausalLM.from_pretrained(
                base, trust_remote_code=False, use_safetensors=True, dtype=first, **tensor_check.ASKED
            )
    except RationemError:
        raise
    except Exception as error:  # a library's error about files that can hold anything
        raise ModelError(_not_loaded(path, error)) from error
    tensor_check.refuse(base, model, told)
    if stored:
        storage.rounded(model, stored, dtype)
    tensor_check.check_vocabulary(path, tokenizer, model.get_input_embeddings().weight.shape[0])
    if conversation is not None:
        conversation.carried_by(tokenizer)
    stop_ids = stops.declared(model.generation_config, tokenizer)
    # A model's generation_config.json silently sets temperature, top-p and penalties: none of it may affect sampling.
    # The stop tokens stay, so that a saved checkpoint still stops in other programs.
    model.generation_config = GenerationConfig(eos_token_id=sorted(stop_ids), pad_token_id=tokenizer.pad_token_id)
    if adapters.is_adapter(path):
        model = _with_adapter(model, Path(path), base, trainable=trainable)
    return LoadedModel(model.to(device), tokenizer, stop_ids)


def _with_adapter(model: Any, directory: Path, base: str, *, trainable: bool) -> Any:
    from peft import LoraConfig, PeftModel

    from rationem.engines import adapters, architectures
    from rationem.engines.checkpoint import read_by_library

    adapters.read(directory)
    with quiet(), architectures.at_hand(directory), read_by_library(directory):
        asked = LoraConfig.from_pretrained(str(directory))
        asked.base_model_name_or_path = base  # an absolute path, if the adapter has a relative one
        asked.inference_mode = not trainable
        adapted = PeftModel.from_pretrained(model, str(directory), is_trainable=trainable, config=asked)
        return adapted if trainable else adapted.merge_and_unload()


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the libraries' warnings (deprecations, launch hints) on the user's terminal."""
    logger = logging.getLogger("accelerate")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def save(model: Any, tokenizer: Any, path: Path, state: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint that transformers (full weights) or peft (adapter) loads, with tokenizer and template.

    Args:
        state: the weights by name, if ``model`` holds only a shard of them.
    """
    progress.doing("writing the weights")
    from transformers.utils.logging import disable_progress_bar

    from rationem.engines import architectures

    disable_progress_bar()
    with (
        quiet(),
        architectures.at_hand(path),
    ):  # peft asks the hub for an adapter's base just to see whether its vocabulary grew
        model.save_pretrained(path, **({} if state is None else {"state_dict": state}))
    tokenizer.save_pretrained(path)


def _not_loaded(path: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"Cannot load the model {path!r}: {reason} Give a name of {list(EMBEDDED)}, a directory with config.json and "
        "*.safetensors, or a hub id that is reachable or already downloaded."
    )
