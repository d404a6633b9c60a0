"""Adam's moments between iterations: one file of tensors beside the weights, by the parameters' names.

They can be read by another number of processes than wrote them. Only those of the last two iterations are kept.
"""

from __future__ import annotations

from pathlib import Path

import torch

from rationem.sft import parallel

#: No *.safetensors: engines take every such file of a checkpoint for weights.
FILE = "optimizer.pt"
_KEYS = ("step", "exp_avg", "exp_avg_sq")


def save(objective: torch.nn.Module, optimizer: torch.optim.Optimizer, directory: Path) -> None:
    """Write the moments; all processes must take part, the first one writes."""
    found = {}
    for name, parameter in objective.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            found[f"{key}.{name}"] = parallel.whole(value).contiguous()
    if parallel.team().leads:
        torch.save(found, directory / FILE)


def load(objective: torch.nn.Module, optimizer: torch.optim.Optimizer, directory: Path) -> None:
    """Give the optimizer the moments of a checkpoint."""
    found = torch.load(directory / FILE, weights_only=True, mmap=True)
    for name, parameter in objective.named_parameters():
        if f"step.{name}" not in found:
            continue
        step, *averages = (found[f"{key}.{name}"] for key in _KEYS)
        optimizer.state[parameter] = {
            "step": step.to(parameter.device),
            **{key: parallel.like(parameter, one) for key, one in zip(_KEYS[1:], averages, strict=True)},
        }


def prune(checkpoints: Path, start: Path) -> None:
    """Remove the moments of all checkpoints but the one that an M-step starts from: nobody will ask for them again."""
    for old in checkpoints.glob(f"*/{FILE}"):
        if old.parent != start:
            old.unlink()
