"""The engines that can be asked for by name, one row each: what an engine can do, what it needs, how it is opened.

A new engine is a file that opens it and a row here. The rest of the code asks the row and never the name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rationem.errors import ConfigError

if TYPE_CHECKING:
    from rationem.engines.opening import EngineConfig
    from rationem.types import Engine


def _ready(_: EngineConfig) -> None:
    """Find nothing missing: what every installation has."""


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine.

    Args:
        name: the value of ``--engine``.
        title: its name in sentences.
        summary: where it runs, for the help text.
        opens: its configuration -> a context that opens engines on checkpoints, and at its end ends its servers.
        check: finds what this machine lacks; raises ConfigError.
        settings: settings and flags that no other engine takes.
        in_process: whether it computes in this process, on its device and threads, in batches of ``batch_size``;
            else requests are under way together, ``concurrency`` of them.
        untrainable: why ``fit`` cannot use it, and what to do; empty where it takes new weights in every iteration.
        enumerates: whether it can follow all likely rationales of a prompt.
        honours_seeds: whether a request's tokens depend on its seed alone.
        scores_behind: whether the verdict lines that are scored behind a completion count in its longest text.
        serves_all_runs: whether one server serves all runs of a comparison, one after another.
    """

    name: str
    title: str
    summary: str
    opens: Callable[[EngineConfig], AbstractContextManager[Callable[[str], Engine]]]
    check: Callable[[EngineConfig], None] = _ready
    settings: tuple[str, ...] = ()
    in_process: bool = False
    untrainable: str = ""
    enumerates: bool = False
    honours_seeds: bool = True
    scores_behind: bool = False
    serves_all_runs: bool = False


def _transformers(choice: EngineConfig) -> AbstractContextManager[Callable[[str], Engine]]:
    from rationem.engines.local import opening

    return opening(choice)


def _vllm(choice: EngineConfig) -> AbstractContextManager[Callable[[str], Engine]]:
    from rationem.engines.vllm.opening import opening

    return opening(choice)


def _check_vllm(choice: EngineConfig) -> None:
    from rationem.engines.vllm.opening import vllm_launch

    vllm_launch(choice)


def _endpoint(choice: EngineConfig) -> AbstractContextManager[Callable[[str], Engine]]:
    from rationem.engines.remote.opening import opening

    return opening(choice)


_ROWS = (
    EngineRow(
        "transformers",
        "transformers",
        "in this process",
        _transformers,
        in_process=True,
        enumerates=True,
    ),
    EngineRow(
        "vllm",
        "vLLM",
        "a server of its own",
        _vllm,
        check=_check_vllm,
        settings=("vllm_python", "vllm_args", "handover"),
        scores_behind=True,
        serves_all_runs=True,
    ),
    EngineRow(
        "endpoint",
        "an endpoint",
        "servers that run already (judge only)",
        _endpoint,
        settings=("url", "url_model"),
        untrainable=(
            "fit trains new weights in every iteration and must sample from them, which a running server cannot take. "
            "Use --engine vllm, which starts a server of its own; a running one can be the plan's teacher: --scheme "
            "rationalize@teacher --teacher URL."
        ),
    ),
)
ENGINES = {row.name: row for row in _ROWS}
#: Where none is named.
DEFAULT = _ROWS[0].name
#: The help text of ``--engine``.
HELP = f"what generates: {'; '.join(f'{row.name}, {row.summary}' for row in _ROWS)}"

if TYPE_CHECKING:
    EngineName = str
else:
    EngineName = Literal[tuple(ENGINES)]


def refuse_foreign(engine: str, given: Collection[str]) -> None:
    """Refuse settings that only another engine takes.

    Args:
        engine: the one that is asked for.
        given: names of the settings that somebody gave.

    Raises:
        ConfigError: names them and their engine.
    """
    for row in _ROWS:
        theirs = [name for name in row.settings if name in given and row.name != engine]
        if theirs:
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in theirs)
            verb, them = ("is", "it") if len(theirs) == 1 else ("are", "them")
            raise ConfigError(f"{flags} {verb} for {row.title} alone: give --engine {row.name} with {them}.")
