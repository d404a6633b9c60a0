"""The settings of an engine, and how to open it; ``table`` lists the engines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rationem.engines.chat import Conversation
from rationem.engines.cluster.settings import RaySettings
from rationem.engines.table import DEFAULT, ENGINES_OR_AUTO, EngineName, EngineRow
from rationem.tasks.protocol import Task
from rationem.types import Engine

if TYPE_CHECKING:
    from rationem.engines.vllm.pool import Handover

#: Default number of rows that transformers generates together.
BATCH = 64
#: Most tokens of a verdict line, which is scored after a completion of full length.
VERDICT_TOKENS = 64


@dataclass(frozen=True, slots=True)
class EngineConfig(RaySettings):
    """Which engine to use, and its settings.

    Args:
        marker: the text that opens the verdict line.
        closings: whole verdict lines, at which a server may stop early.
        device: for transformers: "cpu", "cuda", or None for the GPU if there is one.
        batch_size: for transformers: completions generated together.
        concurrency: for servers: concurrent requests.
        handover: see ``rationem.engines.vllm.pool.Pool``.
        vllm_python: see ``rationem.engines.vllm.install.find_python``.
        vllm_args: further flags of vLLM's server.
        length: tokens of prompt and completion that must fit; None for the model's context length.
        models: models open at once, which share the GPU's memory: the current one, and the frozen base.
        urls: the running servers' urls.
        model: the model's name on these servers; None if they serve only one.
        conversation: additions to the chat template; None for those saved with a checkpoint.
        ray_address: this and the other settings of Ray, see ``RaySettings``.
    """

    marker: str
    closings: tuple[str, ...] = ()
    engine: EngineName = DEFAULT
    device: str | None = None
    batch_size: int = BATCH
    concurrency: int = 256
    handover: Handover = "auto"
    vllm_python: str | None = None
    vllm_args: tuple[str, ...] = ()
    length: int | None = None
    models: int = 1
    urls: tuple[str, ...] = ()
    model: str | None = None
    conversation: Conversation | None = None

    @property
    def row(self) -> EngineRow:
        """The engine's row in the table."""
        return ENGINES_OR_AUTO[self.engine]

    @property
    def held(self) -> int:
        """The number of completions requested at once."""
        return self.batch_size if self.row.in_process else 4 * self.concurrency


def closings(task: Task) -> tuple[str, ...]:
    """Return the complete verdict lines of a task's levels, after which a server may stop.

    The line break before the marker prevents stopping at prose that only mentions the marker.
    """
    return tuple(f"\n{task.marker}{continuation}\n" for continuation in task.continuations)


def longest_text(lengths: tuple[int, int], positions: int | None, all_of: str | None = None) -> int | None:
    """Return the longest text of a run in tokens; see ``EngineConfig.length``.

    Args:
        lengths: most tokens of a prompt and of a completion.
        positions: the model's context length; None if unknown.
        all_of: where the model's configuration is, if other texts may need its full context length.
    """
    longest = sum(lengths) + VERDICT_TOKENS
    if all_of is None:
        return min(longest, positions or longest)
    from rationem.engines import rope

    return rope.reach(all_of, longest, positions)


def opening(choice: EngineConfig) -> AbstractContextManager[Callable[[str], Engine]]:
    """Return a context that yields a function to open an engine on a checkpoint; its exit ends every server.

    Raises:
        ConfigError: a requirement of the engine is missing.
    """
    return choice.row.opens(choice)
