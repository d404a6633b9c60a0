"""Several processes, one M-step: the weights held by each (DDP) or shared by all (FSDP2), and the proof that they are.

Both degrade silently in other hands (one process instead of two, copies instead of shards), so what was got is looked
at and recorded, never what was asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import distributed

from rationem.errors import RunError


@dataclass(frozen=True, slots=True)
class Team:
    """This process's place among those that train together."""

    process: int = 0
    processes: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self.process == 0


def team() -> Team:
    """Return this process's place; alone where no others were started with it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Team()
    return Team(distributed.get_rank(), distributed.get_world_size())


def local_device(device: str | None) -> str | None:
    """Return this process's own GPU, where it trains with others on GPUs."""
    alone = team().processes == 1
    on_gpu = device != "cpu" and torch.cuda.is_available()
    return device if alone or not on_gpu else f"cuda:{os.environ['LOCAL_RANK']}"


def together(objective: torch.nn.Module, parallel: Literal["ddp", "fsdp"], half: bool) -> torch.nn.Module:
    """Return what is called in place of the objective, so that gradients are averaged over all processes.

    Args:
        objective: on this process's device.
        parallel: see :class:`rationem.sft.settings.Training`.
        half: compute in bf16.
    """
    if team().processes == 1:
        return objective
    if parallel == "fsdp":
        _shard(objective, half)
        return _Sharded(objective)
    device = next(objective.parameters()).device
    return torch.nn.parallel.DistributedDataParallel(
        objective, device_ids=[device.index] if device.type == "cuda" else None, gradient_as_bucket_view=True
    )


class _Sharded(torch.nn.Module):
    """An FSDP2 module under the interface of DDP."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Return what the module returns."""
        loss: torch.Tensor = self.module(**inputs)
        return loss

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Leave gradients where they are until the last micro-batch of a step."""
        module: Any = self.module
        module.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            module.set_requires_gradient_sync(True)


def _shard(objective: Any, half: bool) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    model = objective.model.get_base_model() if hasattr(objective.model, "peft_config") else objective.model
    blocks = set(model._no_split_modules or ())
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if half else MixedPrecisionPolicy()
    device = next(objective.parameters()).device.type
    mesh = init_device_mesh(device, (team().processes,))
    for module in list(model.modules()):
        if type(module).__name__ in blocks:
            fully_shard(module, mesh=mesh, mp_policy=policy)
    fully_shard(objective, mesh=mesh, mp_policy=policy)


def held_share(objective: torch.nn.Module) -> float:
    """Return which share of the weights this process holds: 1 alone and with DDP, about 1 / processes with FSDP2."""
    parameters = list(objective.parameters())
    return sum(_local(p).numel() for p in parameters) / sum(p.numel() for p in parameters)


def check(found: int, share: float, processes: int, parallel: str) -> None:
    """Refuse an M-step that was not what was asked for.

    Args:
        found: processes that trained together.
        share: which share of the weights the fullest of them held.
        processes: as many as were asked for.
        parallel: "ddp" or "fsdp".

    Raises:
        RunError: says what was asked and what was got.
    """
    if found != processes:
        raise RunError(f"{processes} processes were to train together; {found} did. Its checkpoint is not used.")
    # Rows are dealt out whole: a process can hold one more of each weight than its share.
    if parallel == "fsdp" and processes > 1 and share > 1 / processes + (1 - 1 / processes) / 2:
        raise RunError(
            f"The weights were to be shared by {processes} processes (fsdp); one of them held {share:.0%}. Its "
            "checkpoint is not used."
        )


def full_state(objective: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the model's whole weights by their names in the model, on the CPU; all processes must ask together.

    A tied weight comes once, under its first name, as in a checkpoint.
    """
    stored = objective.state_dict()
    tied = {name for name, _ in objective.named_parameters(remove_duplicate=False)}
    tied -= {name for name, _ in objective.named_parameters()}
    return {name.removeprefix("model."): whole(value) for name, value in stored.items() if name not in tied}


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a weight or a moment whole, on the CPU, wherever its parts lie; all processes must ask together."""
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().cpu()


def like(tensor: torch.Tensor, whole_one: torch.Tensor) -> torch.Tensor:
    """Return a whole weight or moment as a tensor is: on its device, or this process's part of it."""
    if not hasattr(tensor, "full_tensor"):
        return whole_one.to(tensor.device)
    from torch.distributed.tensor import distribute_tensor

    sharded: Any = tensor
    return distribute_tensor(whole_one.to(sharded.device), sharded.device_mesh, sharded.placements)


def _local(parameter: torch.Tensor) -> torch.Tensor:
    local: torch.Tensor = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return local
