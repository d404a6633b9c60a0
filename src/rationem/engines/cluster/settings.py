"""The settings of ``--engine ray``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySettings:
    """Where and how workers run; the names are those of the flags.

    Args:
        ray_address: the cluster; None for $RAY_ADDRESS, else one on this machine.
        ray_engine: what each worker generates with.
        ray_workers: most workers; None for as many as the cluster has room for.
        ray_cpus: CPUs of a worker.
        ray_gpus: GPUs of a worker; None for one if the cluster has any.
        ray_weights: how weights reach the workers: through Ray's object store, or by a path that all nodes share.
    """

    ray_address: str | None = None
    ray_engine: str = "transformers"
    ray_workers: int | None = None
    ray_cpus: float = 1.0
    ray_gpus: float | None = None
    ray_weights: Literal["objects", "shared"] = "objects"
