"""The engines, one row each: what an engine can do, what it needs, and how it is opened.

A new engine is a file that opens it and a row here. Other code reads the row and never the name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from rationem.engines.cluster.settings import RaySettings
from rationem.errors import ConfigError

if TYPE_CHECKING:
    from rationem.engines.opening import EngineConfig
    from rationem.types import Engine


def _ready(_: EngineConfig) -> None:
    """Accept: every installation has the engine."""


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine.

    Args:
        name: the value of ``--engine``.
        title: its name in sentences.
        summary: where it runs, for the help text.
        opens: its configuration -> a context that opens engines on checkpoints, and ends its servers on exit.
        check: raises ConfigError if this machine lacks a requirement.
        settings: settings and flags of this engine only.
        in_process: whether it computes in this process, on its device and threads, in batches of ``batch_size``;
            otherwise it serves ``concurrency`` concurrent requests.
        untrainable: why ``fit`` cannot use it, and what to do; empty if it takes new weights in every iteration.
        enumerates: whether it can enumerate all likely rationales of a prompt.
        honours_seeds: whether a request's tokens depend only on its seed.
        scores_behind: whether the verdict lines scored after a completion count in its longest text.
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


def _ray(choice: EngineConfig) -> AbstractContextManager[Callable[[str], Engine]]:
    from rationem.engines.cluster.opening import opening

    return opening(choice)


def _check_ray(choice: EngineConfig) -> None:
    from rationem.engines.cluster.ray_cluster import check_installed

    check_installed()


_VLLM = ("vllm_python", "vllm_args", "handover")
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
        "its own server",
        _vllm,
        check=_check_vllm,
        settings=_VLLM,
        scores_behind=True,
        serves_all_runs=True,
    ),
    EngineRow(
        "ray",
        "Ray",
        "engines on the nodes of a Ray cluster",
        _ray,
        check=_check_ray,
        settings=(*(one.name for one in fields(RaySettings)), *_VLLM),
        scores_behind=True,
        serves_all_runs=True,
    ),
    EngineRow(
        "endpoint",
        "an endpoint",
        "running servers (judge only)",
        _endpoint,
        settings=("url", "url_model"),
        untrainable=(
            "fit trains new weights in every iteration and must sample from them, which a running server cannot take. "
            "Use --engine vllm, which starts its own server; a running one can be the plan's teacher: --scheme "
            "rationalize@teacher --teacher URL."
        ),
    ),
)
ENGINES = {row.name: row for row in _ROWS}
#: Asks for the faster of the engines that can train: a run measures and records which.
AUTO = "auto"
#: Until it is measured, the abilities of the default engine count.
ENGINES_OR_AUTO = {**ENGINES, AUTO: _ROWS[0]}
#: The default engine.
DEFAULT = _ROWS[0].name
#: The help text of ``--engine``.
HELP = f"what generates: {'; '.join(f'{row.name}, {row.summary}' for row in _ROWS)}"
#: The same for a run.
FIT_HELP = f"{HELP}; auto measures transformers and vllm for some seconds"

if TYPE_CHECKING:
    EngineName = str
    FitEngineName = str
else:
    EngineName = Literal[tuple(ENGINES)]
    FitEngineName = Literal[tuple(ENGINES_OR_AUTO)]


def refuse_foreign(engine: str, given: Collection[str]) -> None:
    """Reject settings of another engine.

    Args:
        engine: the chosen engine's name.
        given: names of the settings that were given.

    Raises:
        ConfigError: names them and their engine.
    """
    ours = ENGINES_OR_AUTO[engine].settings
    for row in _ROWS if engine != AUTO else ():
        theirs = [name for name in row.settings if name in given and name not in ours]
        if theirs:
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in theirs)
            verb, them = ("is", "it") if len(theirs) == 1 else ("are", "them")
            raise ConfigError(f"{flags} {verb} for {row.title} only: use --engine {row.name} with {them}.")
