"""Opens vLLM: a server per checkpoint in use, started when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rationem.engines.vllm.flags import Launch, check_flags
from rationem.engines.vllm.install import find_python, is_cpu_build
from rationem.types import Engine

if TYPE_CHECKING:
    from rationem.engines.opening import EngineConfig


@contextmanager
def opening(choice: EngineConfig) -> Iterator[Callable[[str], Engine]]:
    """Yield what opens an engine on a checkpoint; at the end, every server is ended.

    Raises:
        ConfigError: see :func:`vllm_launch`.
    """
    from rationem.engines.vllm.pool import Pool, PoolSettings

    launch = vllm_launch(choice)
    reading = PoolSettings(choice.marker, choice.closings, choice.concurrency, choice.conversation)
    with Pool(launch, reading, choice.handover, choice.models) as pool:
        yield pool.open


def vllm_launch(choice: EngineConfig) -> Launch:
    """Return how a vLLM server is started.

    Raises:
        ConfigError: there is no environment that has it, or a flag is not the user's to give.
    """
    python = find_python(choice.vllm_python)
    launch = Launch(
        python,
        cpu=is_cpu_build(python),
        max_model_len=choice.length,
        max_num_seqs=choice.concurrency,
        memory_share=0.85 / choice.models,
        extra=choice.vllm_args,
    )
    check_flags(launch)
    return launch
