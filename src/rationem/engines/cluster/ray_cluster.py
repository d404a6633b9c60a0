"""Everything that is asked of Ray: its nodes, actors on them, calls, and objects. ray is imported here alone.

Actors are placed by node and never restarted by Ray: calls to an actor that is to restart on a node that is gone wait
for ever (measured with 2.60.0).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from rationem import progress
from rationem.engines.cluster.settings import RaySettings
from rationem.errors import ConfigError, RunError

#: ray prints what its actors print, and sends statistics of use, unless told not to.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


@dataclass(frozen=True, slots=True)
class Node:
    """A living node, and all that it has, in use or not."""

    name: str
    address: str
    cpus: float
    gpus: float


def check_installed() -> None:
    """Check that ray is installed.

    Raises:
        ConfigError: says how to install it.
    """
    if find_spec("ray") is None:
        raise ConfigError("--engine ray needs Ray, on every node: pip install 'rationem[ray]'")


class RayCluster:
    """A connection to a cluster; the first one of a process connects, and ``close`` ends it.

    Raises:
        ConfigError: ray is not installed.
        RunError: no cluster answers at the address.
    """

    def __init__(self, settings: RaySettings) -> None:
        check_installed()
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        import ray

        self._ray, self._actor = ray, None
        self._ours = not ray.is_initialized()
        address = settings.ray_address or os.environ.get("RAY_ADDRESS")
        if self._ours and address is None:
            progress.say("No Ray cluster is named (--ray-address): one is started on this machine.")
        here = {"address": address} if address else {"include_dashboard": False}
        try:
            if self._ours:
                ray.init(**here, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RunError(f"No Ray cluster answers at {address}: {str(error).splitlines()[0]}") from error

    def nodes(self) -> list[Node]:
        """Return the living nodes."""
        return [
            Node(
                one["NodeID"], one["NodeManagerAddress"], one["Resources"].get("CPU", 0), one["Resources"].get("GPU", 0)
            )
            for one in self._ray.nodes()
            if one["Alive"]
        ]

    def start(self, node: Node, cpus: float, gpus: float, holder: type, arguments: Sequence[Any]) -> Any:
        """Start an actor on a node; it waits there until what it needs is free."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if self._actor is None:
            self._actor = self._ray.remote(max_restarts=0, max_task_retries=0)(holder)
        place = NodeAffinitySchedulingStrategy(node.name, soft=False)
        actor: Any = self._actor
        return actor.options(num_cpus=cpus, num_gpus=gpus, scheduling_strategy=place).remote(*arguments)

    def call(self, actor: Any, method: str, *arguments: Any) -> Future[Any]:
        """Call an actor; the future has its result, or the exception that says why there is none."""
        future: Future[Any] = getattr(actor, method).remote(*arguments).future()
        return future

    def kill(self, actor: Any) -> None:
        """End an actor's process, which frees all that it holds."""
        self._ray.kill(actor, no_restart=True)

    def is_lost(self, error: BaseException) -> bool:
        """Say whether an error of a call means that the actor is gone or cannot be reached."""
        return isinstance(error, self._ray.exceptions.RayError) and not isinstance(
            error, self._ray.exceptions.RayTaskError
        )

    def put(self, data: bytes) -> Any:
        """Put bytes into the object store, and return a reference."""
        return self._ray.put(data)

    @property
    def get(self) -> Any:
        """What reads a reference, here and on a node."""
        return get_object

    def close(self) -> None:
        """End the connection, and with it all actors."""
        if self._ours:
            self._ray.shutdown()


def get_object(reference: Any) -> bytes:
    """Return the bytes of a reference, on whatever node this runs."""
    import ray

    data: bytes = ray.get(reference)
    return data
