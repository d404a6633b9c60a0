"""What a client knows of one of its servers: how busy it is, whether it rests, is started again, or is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from rationem.errors import RationemError

#: Seconds for a connection to come about.
_CONNECT = 10.0

#: Seconds that an idle connection is kept: less than common servers keep it (5), lest one be used as it is closed.
_IDLE = 4.0

#: Seconds at most between two tries.
LONGEST = 30.0


@dataclass(slots=True, eq=False)
class ServerState:
    """One of a client's equal servers; touched by the client's thread alone.

    Args:
        url: for messages, and where there is no socket for connections.
        socket: its Unix socket.
        revive: starts it again.
        under_way: requests that it has not answered.
        failures: outages since it last answered.
        rests_until: when it may be asked again, on the monotonic clock.
        reviving: pending while it is started again.
        lost: why it cannot be started again.
        session: its connections, from ``open`` on.
    """

    url: str
    socket: Path | None = None
    revive: Callable[[], None] | None = None
    under_way: int = 0
    failures: int = 0
    rests_until: float = 0.0
    reviving: asyncio.Future[None] | None = None
    lost: RationemError | None = None
    session: aiohttp.ClientSession = field(init=False, repr=False)

    @property
    def down(self) -> bool:
        """Whether it is lost, or being started again."""
        return self.lost is not None or (self.reviving is not None and not self.reviving.done())

    def open(self, headers: Mapping[str, str]) -> None:
        """Make its connections possible; only where a loop runs."""
        connector: aiohttp.BaseConnector = (
            aiohttp.UnixConnector(str(self.socket), limit=0, keepalive_timeout=_IDLE)
            if self.socket
            else aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE)
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
        self.session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)

    async def close(self) -> None:
        """Close its connections."""
        await self.session.close()

    def rest(self, now: float, least: float) -> None:
        """Leave the server alone, longer each time; failures of requests of one outage count once."""
        if now >= self.rests_until:
            self.failures += 1
            self.rests_until = now + max(least, min(2.0**self.failures, 2 * LONGEST))

    def revived(self, error: RationemError | None) -> None:
        """Note how starting it again went, and let those go on who wait for it."""
        self.lost, self.rests_until = error, 0.0
        if self.reviving is not None and not self.reviving.done():
            self.reviving.set_result(None)
