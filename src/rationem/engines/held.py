"""The engines that are open: on the current weights and, where a scheme asks for it, on the frozen base."""

from __future__ import annotations

from collections.abc import Callable

from rationem.types import Engine


class Engines:
    """Opens engines on checkpoints and keeps at most the ones in use: the current weights, and the frozen base."""

    def __init__(self, open_engine: Callable[[str], Engine]) -> None:
        self._open = open_engine
        self._engines: dict[str, Engine] = {}

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
