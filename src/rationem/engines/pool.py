"""The open engines: on the current weights and, if a scheme uses them, on the frozen base or a teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from rationem.errors import ConfigError
from rationem.ledger import Ledger
from rationem.types import Engine, HandedOver

P = ParamSpec("P")
T = TypeVar("T")


class EnginePool:
    """Opens engines on checkpoints and keeps only those in use: the current weights, and the frozen base.

    Args:
        open_engine: opens an engine on a checkpoint.
        open_teacher: opens the teacher's engine, whose weights are on a server and never change.
    """

    def __init__(self, open_engine: Callable[[str], Engine], open_teacher: Callable[[], Engine] | None = None) -> None:
        self._open, self._open_teacher = open_engine, open_teacher
        self._engines: dict[str, Engine] = {}
        self._teacher: Engine | None = None

    @property
    def teacher(self) -> Engine:
        """The teacher's engine.

        Raises:
            ConfigError: the scheme uses a teacher, and there is none.
        """
        if self._teacher is None:
            if self._open_teacher is None:
                raise ConfigError("The scheme uses a teacher, and none is named. Name its server: --teacher URL.")
            self._teacher = self._open_teacher()
        return self._teacher

    def at(self, theta: str, *, beside: str | None = None) -> Engine:
        """Return an engine on theta, after closing engines on all checkpoints except ``beside``."""
        for other in [path for path in self._engines if path not in (theta, beside)]:
            self._engines.pop(other).close()
        if theta not in self._engines:
            self._engines[theta] = self._open(theta)
        return self._engines[theta]

    def alone(self, step: Callable[P, T]) -> Callable[P, T]:
        """Return the step with all engines closed first, so that engine and trainer never share a device."""

        def closed_first(*args: P.args, **kwargs: P.kwargs) -> T:
            self.close()
            return step(*args, **kwargs)

        return closed_first

    def close(self) -> None:
        """Close all engines, the teacher's too."""
        while self._engines:
            self._engines.popitem()[1].close()
        if self._teacher is not None:
            self._teacher.close()
            self._teacher = None


def recording(open_engine: Callable[[str], Engine], ledger: Ledger, base: str) -> Callable[[str], Engine]:
    """Return a function that opens engines and records each weight hand-over once per iteration.

    Args:
        open_engine: opens an engine on a checkpoint.
        ledger: the run's ledger, which maps checkpoints to iterations.
        base: theta_0; engines on other weights than the run's are not recorded.
    """

    def open_recorded(theta: str) -> Engine:
        engine = open_engine(theta)
        told = dict(engine.handover) if isinstance(engine, HandedOver) else {}
        k = 0 if theta == base else ledger.iteration_of(theta)
        if told and k is not None and ledger.record(k, "handover") is None:
            ledger.finish(k, "handover", seconds=told.pop("seconds"), record=told)
        return engine

    return open_recorded
