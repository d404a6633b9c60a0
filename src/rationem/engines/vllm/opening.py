"""Opens vLLM: one server per checkpoint in use, started on first use."""

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
    """Yield a function that opens an engine on a checkpoint; end every server on exit.

    Raises:
        ConfigError: see :func:`vllm_launch`.
    """
    from rationem.engines.vllm.pool import Pool, PoolSettings

    launch = vllm_launch(choice)
    reading = PoolSettings(choice.marker, choice.closings, choice.concurrency, choice.conversation)
    with Pool(launch, reading, choice.handover, choice.models) as pool:
        yield pool.open


def vllm_launch(choice: EngineConfig) -> Launch:
    """Return the launch settings of a vLLM server.

    Raises:
        ConfigError: vLLM is not installed, or a flag is reserved for rationem.
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
