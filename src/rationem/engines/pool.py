"""The engines that are open: on the current weights and, where a scheme asks for it, the frozen base or a teacher."""

from __future__ import annotations

from collections.abc import Callable

from rationem.errors import ConfigError
from rationem.types import Engine


class EnginePool:
    """Opens engines on checkpoints and keeps at most the ones in use: the current weights, and the frozen base.

    Args:
        open_engine: opens an engine on a checkpoint.
        open_teacher: opens the teacher's, whose weights are elsewhere and never change.
    """

    def __init__(self, open_engine: Callable[[str], Engine], open_teacher: Callable[[], Engine] | None = None) -> None:
        self._open, self._open_teacher = open_engine, open_teacher
        self._engines: dict[str, Engine] = {}
        self._teacher: Engine | None = None

    def __contains__(self, theta: str) -> bool:
        """Whether an engine on theta is open."""
        return theta in self._engines

    @property
    def teacher(self) -> Engine:
        """The teacher's engine.

        Raises:
            ConfigError: the scheme asks for a teacher, and there is none.
        """
        if self._teacher is None:
            if self._open_teacher is None:
                raise ConfigError("The scheme asks a teacher, and none is named. Name its server: --teacher URL.")
            self._teacher = self._open_teacher()
        return self._teacher

    def at(self, theta: str, *, beside: str | None = None) -> Engine:
        """Return an engine on theta, closing those on any other checkpoint but ``beside``."""
        for other in [path for path in self._engines if path not in (theta, beside)]:
            self._engines.pop(other).close()
        if theta not in self._engines:
            self._engines[theta] = self._open(theta)
        return self._engines[theta]

    def close(self) -> None:
        """Close all: before an M-step, so that engine and trainer never hold one device together."""
        while self._engines:
            self._engines.popitem()[1].close()
        if self._teacher is not None:
            self._teacher.close()
            self._teacher = None
