"""From settings to what opens engines; ``table`` has the engines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rationem.engines.chat import Conversation
from rationem.engines.table import DEFAULT, ENGINES, EngineName, EngineRow
from rationem.tasks.protocol import Task
from rationem.types import Engine

if TYPE_CHECKING:
    from rationem.engines.vllm.pool import Handover

#: Rows generated together by transformers, where nothing says how many.
BATCH = 64
#: Tokens that a verdict line may have, which is scored behind a completion of full length.
VERDICT_TOKENS = 64


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Which engine, and how.

    Args:
        marker: the text that opens the verdict line.
        closings: whole verdict lines, at which a server may stop early.
        device: for transformers: "cpu", "cuda", or None for the GPU where there is one.
        batch_size: for transformers: completions generated together.
        concurrency: requests under way together, on servers.
        handover: see ``rationem.engines.vllm.pool.Pool``.
        vllm_python: see ``rationem.engines.vllm.install.find_python``.
        vllm_args: further flags of vLLM's server.
        length: tokens of prompt and completion that must fit; None for all that the model holds.
        models: how many are held at once, and share the GPU's memory: the current one, and the frozen base.
        urls: of running servers.
        model: the name by which these know the model; None where they serve but one.
        conversation: what is added to the chat template; None for what a checkpoint was saved with.
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
        """What the engine can do and needs."""
        return ENGINES[self.engine]

    @property
    def held(self) -> int:
        """How many completions are asked for at once."""
        return self.batch_size if self.row.in_process else 4 * self.concurrency


def closings(task: Task) -> tuple[str, ...]:
    """Return the verdict lines of a task's levels, whole: behind one of them nothing more is wanted.

    The line break before the marker keeps a server from stopping at prose that only mentions it.
    """
    return tuple(f"\n{task.marker}{continuation}\n" for continuation in task.continuations)


def longest_text(lengths: tuple[int, int], positions: int | None, all_of: str | None = None) -> int | None:
    """Return how many tokens a text of a run may have; see ``Choice.length``.

    Args:
        lengths: tokens of a prompt and of a completion at most.
        positions: how many the model can hold; None where it does not say.
        all_of: where the model's configuration is, where something else, read in the run's way, may need all of them.
    """
    longest = sum(lengths) + VERDICT_TOKENS
    if all_of is None:
        return min(longest, positions or longest)
    from rationem.engines import rope

    return rope.reach(all_of, longest, positions)


def opening(choice: EngineConfig) -> AbstractContextManager[Callable[[str], Engine]]:
    """Return a context that yields what opens an engine on a checkpoint; at its end, every server is ended.

    Raises:
        ConfigError: what the engine needs is not there.
    """
    return choice.row.opens(choice)
