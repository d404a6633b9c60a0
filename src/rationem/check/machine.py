"""A model's sizes, counted without weights, and this machine's speed, by timed matrix products."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from rationem.engines import models
from rationem.errors import ConfigError, ModelError

_SIDE = 1024
_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """The sizes of a model that determine its cost.

    Args:
        parameters: P, with shared ones (tied embeddings) counted once.
        adapter: parameters of a LoRA adapter on all linear layers, per unit of rank.
        layers: transformer blocks.
        hidden: width.
        cached: numbers in the key-value cache per token, all layers together.
        vocabulary: number of tokens.
        positions: its context length; None if its configuration does not say.
    """

    parameters: int
    adapter: int
    layers: int
    hidden: int
    cached: int
    vocabulary: int
    positions: int | None


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that a fit would run on.

    Args:
        device: "cpu" or "cuda".
        flops: floating-point operations per second of a matrix product (fp32 on a CPU, bf16 on a GPU), measured.
        memory: the device's memory in bytes.
        threads: CPU threads used in the measurement.
    """

    device: str
    flops: float
    memory: int
    threads: int


def shape(name: str, checkpoint: str) -> ModelSizes:
    """Return the sizes of a model from its configuration, without loading weights.

    Args:
        name: the model's name, as the user gave it.
        checkpoint: the result of ``models.resolve``.

    Raises:
        ModelError: there is no configuration, or its architecture is unknown.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from rationem.engines.batch_size import held_per_token

    settings = models.settings(name, checkpoint)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(models.not_found(name, error)) from error
    text = settings.get_text_config()
    return ModelSizes(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        adapter=_adapter(model),
        layers=int(text.num_hidden_layers),
        hidden=int(text.hidden_size),
        cached=held_per_token(text),
        vocabulary=int(text.vocab_size),
        positions=models.positions(name, checkpoint),
    )


def measure(device: str | None, threads: int | None) -> Machine:
    """Time matrix products for a third of a second, and look up the memory.

    Args:
        device: "cpu", "cuda", or None for the GPU if there is one.
        threads: CPU threads to use; None for all cores.

    Raises:
        ConfigError: there is no GPU.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: torch finds no GPU on this machine. Omit --device to run on the CPU.")
    found = device or ("cuda" if torch.cuda.is_available() else "cpu")
    before, used = torch.get_num_threads(), threads or os.cpu_count() or 1
    torch.set_num_threads(used)
    try:
        flops = _flops(found)
    finally:
        torch.set_num_threads(before)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if found == "cuda":
        memory = int(torch.cuda.get_device_properties(0).total_memory)
    return Machine(found, flops, memory, used)


def _flops(device: str) -> float:
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    side = _SIDE if device == "cpu" else 8 * _SIDE
    one = torch.ones(side, side, dtype=torch.float32 if device == "cpu" else torch.bfloat16, device=device)
    torch.mm(one, one)
    wait()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < _SECONDS:
        torch.mm(one, one)
        wait()
        done += 1
    return 2 * side**3 * done / (time.perf_counter() - started)


def _adapter(model: Any) -> int:
    from torch import nn

    head = model.get_output_embeddings()
    linear = [module for module in model.modules() if isinstance(module, nn.Linear) and module is not head]
    return sum(module.in_features + module.out_features for module in linear)
