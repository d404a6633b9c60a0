"""A client's view of one server: its load, and whether it is backing off, being restarted, or lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from rationem.errors import RationemError

#: Seconds to establish a connection.
_CONNECT = 10.0

#: Seconds that an idle connection is kept: less than common servers keep it (5), so that none is used while it closes.
_IDLE = 4.0

#: Most seconds between two tries.
LONGEST = 30.0


@dataclass(slots=True, eq=False)
class ServerState:
    """One of a client's equal servers; used only by the client's thread.

    Args:
        url: for messages, and for connections if there is no socket.
        socket: its Unix socket.
        revive: restarts it.
        under_way: unanswered requests.
        failures: outages since its last answer.
        rests_until: the time of the next allowed request, on the monotonic clock.
        reviving: pending while it is being restarted.
        lost: why it cannot be restarted.
        session: its connections, after ``open``.
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
        """Whether it is lost, or being restarted."""
        return self.lost is not None or (self.reviving is not None and not self.reviving.done())

    def open(self, headers: Mapping[str, str]) -> None:
        """Create its connections; needs a running event loop."""
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
        """Back off, longer each time; failed requests of one outage count once."""
        if now >= self.rests_until:
            self.failures += 1
            self.rests_until = now + max(least, min(2.0**self.failures, 2 * LONGEST))

    def revived(self, error: RationemError | None) -> None:
        """Record the result of a restart, and wake the requests that wait for it."""
        self.lost, self.rests_until = error, 0.0
        if self.reviving is not None and not self.reviving.done():
            self.reviving.set_result(None)
