"""Defaults of open settings: from the model, the machine, or the run that is resumed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from rationem import progress
from rationem.config import FitConfig, Identity, Mark, Reach, flag_of, read_config, settings_with
from rationem.engines import adapters, models
from rationem.engines.opening import BATCH, VERDICT_TOKENS, EngineConfig, closings
from rationem.engines.remote.opening import teacher_model
from rationem.engines.suggested import suggestion
from rationem.engines.table import AUTO, DEFAULT, ENGINES, ENGINES_OR_AUTO
from rationem.engines.vllm.install import find_python
from rationem.errors import ConfigError
from rationem.run.prepare import EMBEDDED, embedded
from rationem.sampling import hint_leakage
from rationem.sampling.schemes import Scheme
from rationem.tasks.own import fingerprint
from rationem.tasks.protocol import Task
from rationem.types import Splits

#: Settings that do not distinguish runs: the manifest has their content, or they do not matter there.
NO_IDENTITY = settings_with(Reach.DATA, Reach.FILE, Identity.NOT)
_PROMPT_TOKENS = 1024
#: Default length limit of a completion, in tokens.
NEW_TOKENS = 256
#: Training prompts used to measure a batch size.
_PROMPTS = 512
#: Tokens of an E-step below which no engine is measured: a server takes half a minute to start.
_SMALL_WORK = 20_000


def settled(config: FitConfig, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's manifest with these settings, as far as it is known before anything is read.

    Args:
        config: the settings; a task's file is read and not executed.
        found: the manifest in the ledger, which has the rest.
    """
    open_yet = {*NO_IDENTITY, *settings_with(Identity.RESOLVED)}
    given = {name: value for name, value in config.model_dump(mode="json").items() if name not in open_yet}
    known = {name: value for name, value in given.items() if value not in (None, [], "auto")}
    recorded, task = found.get("config") or {}, found.get("task") or {}
    settings = {**recorded, **{name: value for name, value in known.items() if name in recorded}}
    return {**found, "config": settings, "task": {**task, **fingerprint(config.task or "")}}


def with_defaults(config: FitConfig, directory: Path, positions: int | None) -> FitConfig:
    """Fill in the defaults that depend on the model, the machine, or the run that is resumed."""
    known = models.EMBEDDED.get(config.model or "")
    rate = known.learning_rate if known else (1e-4 if config.lora_rank else 1e-5)
    recorded = _recorded(directory)
    new_tokens = config.max_new_tokens or (known.new_tokens if known else NEW_TOKENS)
    return config.replace(
        learning_rate=config.learning_rate or rate,
        max_new_tokens=new_tokens,
        max_prompt_tokens=_prompt_limit(config, new_tokens, positions),
        leak_phrases=config.leak_phrases or hint_leakage.PHRASES,
        **{name: value for name, value in asdict(config.measuring).items() if name in FitConfig.model_fields},
        steps=config.steps or (None if config.epochs else 40),
        threads=config.threads or (recorded and recorded.threads) or os.cpu_count() or 1,
        sampling_batch=_sampling_batch(config, recorded),
        model=str(Path(config.model).resolve()) if config.model and Path(config.model).is_dir() else config.model,
        adapter_base=config.adapter_base and _absolute(config.adapter_base),
        **{name: tuple(map(_absolute, getattr(config, name))) for name in settings_with(Reach.DATA)},
        **{name: _absolute(path) for name in settings_with(Reach.FILE) if (path := getattr(config, name))},
    )


def with_adapter(config: FitConfig, checkpoint: str) -> FitConfig:
    """Return the settings of the adapter that training continues; without one, the requested settings.

    Raises:
        ConfigError: the requested settings differ from the adapter's, or there is no adapter.
    """
    if not adapters.is_adapter(checkpoint):
        alone = [name for name in settings_with(Mark.ADAPTER) if getattr(config, name) is not None]
        if alone and config.lora_rank is None:
            raise ConfigError(f"{flag_of(alone[0])} applies to a LoRA adapter: also give --lora-rank.")
        return config
    found = adapters.read(Path(checkpoint))
    layers = tuple(sorted({name.rsplit(".", 1)[-1] for name in found.targets}))
    has = config.replace(lora_rank=found.rank, lora_alpha=found.alpha, lora_dropout=found.dropout, lora_targets=layers)
    for name in settings_with(Mark.ADAPTER):
        asked, value = getattr(config, name), getattr(has, name)
        if asked is not None and (tuple(sorted(asked)) if name == "lora_targets" else asked) != value:
            told = " ".join(layers) if name == "lora_targets" else value
            raise ConfigError(
                f"{flag_of(name)} {asked}: the model {config.model} is a LoRA adapter with {told}, and training "
                "continues with these settings. Omit the flag. For a different adapter, first merge this one into "
                "its base model: rationem push RUN OWNER/NAME --merged --directory DIR, or peft's merge_and_unload."
            )
    return has.replace(lora_targets=None)


def _absolute(name: str) -> str:
    """Return a file's absolute path, so that the run can be resumed from anywhere; hub ids stay unchanged."""
    path, mark, split = name.partition("#")
    if name in EMBEDDED or not Path(path).exists():
        return name
    return f"{Path(path).resolve()}{mark}{split}" if not Path(name).exists() else str(Path(name).resolve())


def _prompt_limit(config: FitConfig, new_tokens: int, positions: int | None) -> int:
    """Return the longest prompt that leaves room for the completion."""
    if positions is None:
        return config.max_prompt_tokens or _PROMPT_TOKENS
    # A server also counts the tokens scored after a completion.
    behind = VERDICT_TOKENS if ENGINES_OR_AUTO[config.engine].scores_behind else 0
    limit = config.max_prompt_tokens or max(1, min(_PROMPT_TOKENS, positions - new_tokens - behind))
    if limit + new_tokens + behind > positions:
        scored = f" and {behind} tokens of verdict lines" if behind else ""
        raise ConfigError(
            f"Prompts of up to {limit} tokens, completions of up to {new_tokens}{scored} need more than the "
            f"{positions} positions of {config.model}. Lower --max-prompt-tokens or --max-new-tokens."
        )
    return limit


def _sampling_batch(config: FitConfig, recorded: FitConfig | None) -> int | Literal["auto"]:
    """Return the batch size; by default on a GPU, that it is to be measured.

    On a CPU, a resumed run or a run with the same settings ends bitwise the same only with the same batches.
    """
    if isinstance(config.sampling_batch, int):
        return config.sampling_batch
    if recorded is not None and isinstance(recorded.sampling_batch, int):
        return recorded.sampling_batch
    return "auto" if config.sampling_batch == "auto" or _on_gpu(config) else BATCH


def with_engine(
    config: FitConfig, scheme: Scheme, task: Task, splits: Splits, checkpoint: str, directory: Path
) -> FitConfig:
    """Measure which engine is faster if requested; a resumed run keeps its own.

    Nothing is measured where only one engine can do the work, or the work is too small for a server.

    Raises:
        RationemError: the default engine cannot open the model.
    """
    if config.engine != AUTO:
        return config
    recorded, new_tokens = _recorded(directory), config.max_new_tokens or NEW_TOKENS
    if recorded is not None:
        return config.replace(engine=recorded.engine)
    if why := _only_default(config, scheme, len(splits.train) * new_tokens):
        progress.say(f"Engine: {ENGINES[DEFAULT].title}, because {why}.")
        return config.replace(engine=DEFAULT)
    from rationem.engines import faster

    prompts = [task.prompt(x.fields) for x in splits.train[:_PROMPTS:16]]
    chat = models.chat(config.model or "", checkpoint, config.conversation)
    choice = EngineConfig(
        task.marker,
        closings(task),
        device=config.device,
        concurrency=config.concurrency,
        vllm_python=config.vllm_python,
        vllm_args=config.vllm_args,
        length=max(len(chat.encode(prompt)) for prompt in prompts) + new_tokens + VERDICT_TOKENS,
        conversation=config.conversation,
    )
    found = faster.fastest(choice, checkpoint, prompts, new_tokens)
    progress.say(faster.told(found))
    return config.replace(engine=found.engine)


def _only_default(config: FitConfig, scheme: Scheme, tokens: int) -> str:
    """Return why only the default engine comes into question; empty if others do."""
    if scheme.enumerates or config.exact_items:
        return "rationales are enumerated"
    if config.model in models.EMBEDDED and models.EMBEDDED[config.model].toy:
        return "the model is too small for a server"
    if tokens < _SMALL_WORK:
        return f"an E-step of at most {tokens:,} tokens is not worth a server"
    try:
        find_python(config.vllm_python)
    except ConfigError:
        return "vLLM is not installed (rationem engine install)"
    return ""


def with_batch_size(config: FitConfig, task: Task, splits: Splits, checkpoint: str) -> FitConfig:
    """Measure the batch size if requested; a resumed run keeps its measured value."""
    if config.sampling_batch != "auto" or not ENGINES_OR_AUTO[config.engine].in_process:
        return config
    import torch

    from rationem.engines.batch_size import best_batch_size

    torch.set_num_threads(config.threads or 1)
    prompts = [task.prompt(x.fields) for x in splits.train[:_PROMPTS]]
    loaded = models.load(checkpoint, device=config.device, conversation=config.conversation)
    found = best_batch_size(loaded, prompts, new_tokens=config.max_new_tokens or 1)
    rates = ", ".join(f"{rate:.0f} with {size}" for size, rate in found.tokens_per_second.items())
    progress.say(f"Batch size {found.batch_size}, chosen by measurement (tokens per second: {rates}).")
    return config.replace(sampling_batch=found.batch_size)


def _on_gpu(config: FitConfig) -> bool:
    import torch

    return ENGINES_OR_AUTO[config.engine].in_process and config.device != "cpu" and torch.cuda.is_available()


def _recorded(directory: Path) -> FitConfig | None:
    """Return the settings of the run that is resumed."""
    path = directory / "config.toml"
    return read_config(path, {}) if path.is_file() else None


def with_recorded(config: FitConfig, directory: Path) -> FitConfig:
    """Use the teacher's model name of the resumed run, without asking the server."""
    recorded = _recorded(directory)
    if not config.teacher or config.teacher_model or recorded is None:
        return config
    return config.replace(teacher_model=recorded.teacher_model)


def with_servers(config: FitConfig) -> FitConfig:
    """Find vLLM, the name of the teacher's model and its server: a resumed run must use the same.

    Raises:
        ConfigError: the named environment has no vLLM.
        RunError: the server does not answer, or serves several models.
    """
    if config.vllm_python:
        config = config.replace(vllm_python=find_python(config.vllm_python))
    if not config.teacher:
        return config
    return config.replace(teacher_model=teacher_model(config.teacher, config.teacher_model))


def with_model(config: FitConfig) -> FitConfig:
    """Return the settings with a model, by default the embedded data's own, and with that data's threshold if it has
    one.

    Raises:
        ConfigError: no model is named.
    """
    own = embedded(config)
    if own is not None and config.threshold is None:
        config = config.replace(threshold=own.threshold)
    if config.model is not None:
        return config
    if own is not None:
        return config.replace(model=own.model)
    raise ConfigError(f"No model given. Name the model to train with --model. {suggestion()}")
