"""A name -> weights and tokenizer: an embedded model, a local checkpoint, a peft adapter, or a hub id.

Safetensors only and ``trust_remote_code`` off, always: a model is data, not a program.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rationem.chat import Chat, Conversation
from rationem.errors import ModelError, closest

#: The embedded models' names wherever a model is expected.
TINY_JUDGE, TINY_ADDER, TINY_SUMMARIZER = "tiny-judge", "tiny-adder", "tiny-summarizer"

#: (hub id, GB needed for LoRA, GB needed for full weights with AdamW), for suggestions only.
SUGGESTED = (
    ("Qwen/Qwen2.5-0.5B-Instruct", 4, 10),
    ("Qwen/Qwen2.5-1.5B-Instruct", 8, 28),
    ("meta-llama/Llama-3.2-3B-Instruct", 14, 56),
    ("Qwen/Qwen2.5-7B-Instruct", 30, 130),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model on its device with its tokenizer; ``stop_ids`` are all tokens at which the model may end a turn."""

    model: Any
    tokenizer: Any
    stop_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Embedded:
    """A tiny model that comes with the package; with another seed it is built from its recipe the first time.

    Args:
        finder: "module:function"; called with ``seed``, ``rebuild`` and ``report`` it returns the directory.
        new_tokens: how long its completions can be, where nobody says.
    """

    finder: str
    new_tokens: int

    def find(self, name: str, *, seed: int = 0, rebuild: bool = False) -> Path:
        """Return the directory; a model that is neither in the package nor in the cache is built."""
        from rationem import progress

        module, _, function = self.finder.partition(":")
        with progress.phases(f"building the {name.replace('-', ' ')} (once)") as report:
            return Path(getattr(import_module(module), function)(seed=seed, rebuild=rebuild, report=report))


#: The embedded models.
EMBEDDED = {
    TINY_JUDGE: Embedded("rationem.world:tiny_judge", 48),
    TINY_ADDER: Embedded("rationem.world.addition:tiny_adder", 88),
    TINY_SUMMARIZER: Embedded("rationem.world.summaries:tiny_summarizer", 48),
}


def resolve(name: str) -> str:
    """Return what ``load`` takes: an embedded model's path, or the name as it is."""
    if name in EMBEDDED:
        return str(EMBEDDED[name].find(name))
    if not Path(name).exists() and "/" not in name and closest(name, EMBEDDED):
        raise ModelError(f"There is no model {name!r}.{closest(name, EMBEDDED)}")
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def suggestion() -> str:
    """Return a sentence that names models which this machine's memory can train."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    fitting = [f"{name} (about {lora} GB with --lora-rank 16)" for name, lora, _ in SUGGESTED if lora <= gigabytes]
    return (
        f"With {gigabytes:.0f} GB of memory, for example: {'; '.join(fitting[-2:]) or SUGGESTED[0][0]}; "
        f"or {TINY_JUDGE} to try the plumbing in a minute (it cannot read)."
    )


def positions(name: str, checkpoint: str) -> int | None:
    """Return how many tokens the model can hold, before any weight is loaded; None where it does not say.

    Raises:
        ModelError: there is no configuration.
    """
    from transformers import AutoConfig

    try:
        settings = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(not_found(name, error)) from error
    found = getattr(settings.get_text_config(), "max_position_embeddings", None)
    return None if found is None else int(found)


def weights_of(checkpoint: str) -> str:
    """Return where the model's configuration is: of an adapter its base, else the checkpoint itself."""
    adapter = Path(checkpoint) / "adapter_config.json"
    return _base_of(adapter) if adapter.is_file() else checkpoint


def chat(name: str, checkpoint: str, conversation: Conversation | None = None) -> Chat:
    """Return the model's conversation format.

    Args:
        conversation: what is added to its template; None for what the checkpoint was saved with.

    Raises:
        ModelError: there is no tokenizer.
        ConfigError: the template cannot be asked in this way.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(not_found(name, error)) from error
    return Chat(tokenizer if conversation is None else conversation.carried_by(tokenizer))


def not_found(name: str, error: Exception) -> str:
    """Return the sentence that says what is missing of a model, and which others this machine can train."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    where = f"the directory {name!r}" if Path(name).is_dir() else f"the model {name!r}"
    return f"Cannot read {where}: {reason} {suggestion()}"


def load(
    path: str, *, trainable: bool = False, device: str | None = None, conversation: Conversation | None = None
) -> Loaded:
    """Load a checkpoint directory, a peft adapter directory or a hub id.

    Args:
        path: what ``resolve`` returned, or a directory that ``save`` wrote.
        trainable: keep a peft adapter separate and trainable; else it is merged into the weights for sampling.
        device: "cpu", "cuda" or None for the GPU where there is one. Sampling runs in bf16 on a GPU and in fp32 on a
            CPU (by measurement: bf16 is slower on CPUs without AMX); what is trained is fp32, with bf16 autocast on a
            GPU.
        conversation: what is added to the chat template; None for what the checkpoint was saved with.

    Raises:
        ModelError: nothing there, or no safetensors weights, or code that would have to be trusted.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device == "cuda" and not trainable else torch.float32
    adapter = Path(path) / "adapter_config.json"
    base = weights_of(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(base, trust_remote_code=False, use_safetensors=True, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(_not_loaded(path, error)) from error
    if conversation is not None:
        conversation.carried_by(tokenizer)
    stop_ids = _stop_ids(model.generation_config, tokenizer)
    # A model's generation_config.json silently sets temperature, top-p, penalties: none of it may reach a draw. What
    # ends a turn stays, so that a saved checkpoint still stops for everybody.
    model.generation_config = GenerationConfig(eos_token_id=sorted(stop_ids), pad_token_id=tokenizer.pad_token_id)
    if adapter.is_file():
        if not (Path(path) / "adapter_model.safetensors").is_file():
            raise ModelError(f"The adapter {path!r} has no adapter_model.safetensors; other formats are not read.")
        from peft import PeftModel

        with quiet():
            model = PeftModel.from_pretrained(model, path, is_trainable=trainable)
            model = model if trainable else model.merge_and_unload()
    return Loaded(model.to(device), tokenizer, stop_ids)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' notes to each other (deprecations, launch hints) off the user's terminal."""
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
    """Write a checkpoint that transformers (full weights) or peft (adapter) loads, tokenizer and template inside.

    Args:
        state: the weights by name, where those in ``model`` are a part of them only.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with quiet():
        model.save_pretrained(path, **({} if state is None else {"state_dict": state}))
    tokenizer.save_pretrained(path)


def stop_ids(checkpoint: str, tokenizer: Any) -> frozenset[int]:
    """Return all tokens at which a checkpoint's model may end a turn, without loading its weights.

    Raises:
        ModelError: there is no configuration.
    """
    from transformers import AutoConfig, GenerationConfig

    where = weights_of(checkpoint)
    try:
        settings = AutoConfig.from_pretrained(where, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(not_found(where, error)) from error
    try:
        generation = GenerationConfig.from_pretrained(where)
    except OSError:
        generation = GenerationConfig.from_model_config(settings)
    return _stop_ids(generation, tokenizer)


def pad_id(tokenizer: Any, end_of_turn: int) -> int:
    """Return a token for padding; masked everywhere, so that even the end-of-turn token can serve."""
    pad = tokenizer.pad_token_id
    return int(pad) if pad is not None else end_of_turn


def _base_of(adapter: Path) -> str:
    return str(json.loads(adapter.read_text())["base_model_name_or_path"])


def _stop_ids(generation_config: Any, tokenizer: Any) -> frozenset[int]:
    declared = generation_config.eos_token_id if generation_config is not None else None
    ids = declared if isinstance(declared, list) else [declared]
    return frozenset(int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None)


def _not_loaded(path: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"Cannot load the model {path!r}: {reason} Give a name of {list(EMBEDDED)}, a directory with config.json and "
        "*.safetensors, or a hub id that is reachable or already downloaded."
    )
