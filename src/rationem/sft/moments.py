"""Adam's moments between iterations: one file of tensors beside the weights, by parameter name.

The number of processes may change between writing and reading. Only the last two iterations' moments are kept.
"""

from __future__ import annotations

from pathlib import Path

import torch

from rationem.sft import parallel

#: Not *.safetensors, because engines load every such file of a checkpoint as weights.
FILE = "optimizer.pt"
_KEYS = ("step", "exp_avg", "exp_avg_sq")


def save(objective: torch.nn.Module, optimizer: torch.optim.Optimizer, directory: Path) -> None:
    """Write the moments; a collective call of all processes, of which the first one writes."""
    found = {}
    for name, parameter in objective.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            found[f"{key}.{name}"] = parallel.whole(value).contiguous()
    if parallel.team().leads:
        torch.save(found, directory / FILE)


def load(objective: torch.nn.Module, optimizer: torch.optim.Optimizer, directory: Path) -> None:
    """Load the moments of a checkpoint into the optimizer."""
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
    """Remove the moments of all checkpoints except the M-step's start: no later M-step needs them."""
    for old in checkpoints.glob(f"*/{FILE}"):
        if old.parent != start:
            old.unlink()
