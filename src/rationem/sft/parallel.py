"""One M-step in several processes: each holds all weights (DDP) or a shard of them (FSDP2), and this is verified.

Launchers can degrade silently (one process instead of two, copies instead of shards), so the record states what was
measured, not what was requested.
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
    """This process's rank, and the number of processes that train together."""

    process: int = 0
    processes: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.process == 0


def team() -> Team:
    """Return this process's rank and the number of processes; (0, 1) outside torchrun."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Team()
    return Team(distributed.get_rank(), distributed.get_world_size())


def local_device(device: str | None) -> str | None:
    """Return this process's own GPU if several processes train on GPUs, else the given device."""
    alone = team().processes == 1
    on_gpu = device != "cpu" and torch.cuda.is_available()
    return device if alone or not on_gpu else f"cuda:{os.environ['LOCAL_RANK']}"


def together(objective: torch.nn.Module, parallel: Literal["ddp", "fsdp"], half: bool) -> torch.nn.Module:
    """Return a wrapper of the objective that averages gradients over all processes.

    Args:
        objective: the objective on this process's device.
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
    """An FSDP2 module with the interface of DDP."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Return what the module returns."""
        loss: torch.Tensor = self.module(**inputs)
        return loss

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Defer the gradients' reduction until the last micro-batch of a step."""
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
    """Return the share of the weights that this process holds: 1 alone or with DDP, about 1 / processes with FSDP2."""
    parameters = list(objective.parameters())
    return sum(_local(p).numel() for p in parameters) / sum(p.numel() for p in parameters)


def check(found: int, share: float, processes: int, parallel: str) -> None:
    """Reject an M-step that ran with fewer processes, or with less sharding, than requested.

    Args:
        found: processes that trained together.
        share: the largest share of the weights that one process held.
        processes: the requested number.
        parallel: "ddp" or "fsdp".

    Raises:
        RunError: names what was requested and what was found.
    """
    if found != processes:
        raise RunError(f"{processes} processes were requested; {found} trained. The checkpoint is not used.")
    # Sharding is by whole rows: a process can hold one row more of each weight than its share.
    if parallel == "fsdp" and processes > 1 and share > 1 / processes + (1 - 1 / processes) / 2:
        raise RunError(
            f"{processes} processes should divide the weights (fsdp), but one of them held {share:.0%}. The "
            "checkpoint is not used."
        )


def full_state(objective: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the model's full weights by name, on the CPU; a collective call of all processes.

    A tied weight occurs once, under its first name, as in a checkpoint.
    """
    stored = objective.state_dict()
    tied = {name for name, _ in objective.named_parameters(remove_duplicate=False)}
    tied -= {name for name, _ in objective.named_parameters()}
    return {name.removeprefix("model."): whole(value) for name, value in stored.items() if name not in tied}


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a full weight or moment on the CPU, gathered from its shards; a collective call of all processes."""
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().cpu()


def like(tensor: torch.Tensor, whole_one: torch.Tensor) -> torch.Tensor:
    """Return a full weight or moment in the layout of ``tensor``: on its device, and sharded if it is."""
    if not hasattr(tensor, "full_tensor"):
        return whole_one.to(tensor.device)
    from torch.distributed.tensor import distribute_tensor

    sharded: Any = tensor
    result: torch.Tensor = distribute_tensor(whole_one.to(sharded.device), sharded.device_mesh, sharded.placements)
    return result


def _local(parameter: torch.Tensor) -> torch.Tensor:
    local: torch.Tensor = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return local
