"""JSON over HTTP to one or more equal servers: concurrent requests with retries, usable from any thread.

A separate thread runs an asyncio loop; callers get futures. A permanent refusal (a 4xx) is an error with the server's
own message. Temporary failures (a lost connection, 429, 5xx) are retried until patience ends.

Requests do not stream: a server sends nothing while it computes, so silence does not indicate a failure. The connection
to our own server shows that it is alive, so its silence has no limit; other servers have a long one.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar

import aiohttp

from rationem import progress
from rationem.engines.remote.address import address, is_exposed, usable_key
from rationem.engines.remote.state import LONGEST, ServerState
from rationem.errors import ConfigError, RationemError, RunError

#: Seconds before the second try.
_FIRST = 0.25

#: Largest body of an answer, in bytes: log-probabilities of a long prompt take several MiB.
_BIGGEST = 256 << 20

#: Seconds between two messages about waiting.
_TELL = 60.0

_encode = json.JSONEncoder(separators=(",", ":")).encode

_T = TypeVar("_T")
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a try failed: whether it is final, whether the server may be down, and the server's Retry-After in seconds.

    ``silent``: the server accepted the request and did not answer.
    """

    words: str
    final: bool = False
    lost: bool = False
    silent: bool = False
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, the seconds for which it may fail (patience), and the seconds for an answer to one try (silence)."""

    method: str
    path: str
    data: bytes | None
    patience: float
    silence: float | None


class Client:
    """Sends requests to equal servers: each request goes to one of them, and to another if that one fails.

    Args:
        urls: ``http(s)://host:port``, with or without ``/v1``.
        sockets: of servers on Unix sockets, instead of ``urls``.
        key: sent as a bearer token; never part of a message.
        concurrency: concurrent requests; further ones wait in the client.
        patience: seconds for which a request may fail: the waits between its tries, and all tries except the first.
            With ``revive``, which has its own time limit, the waits only.
        silence: seconds for an answer to one try; unlimited if ``revive`` is given.
        revive: one function per server, in order, or none: restarts the server if it is down. It runs on a thread after
            a lost connection or a 5xx, once for all requests. Meanwhile requests go to other servers, or wait. If it
            raises, the server is lost; if that was the last server, the error ends all requests.

    Raises:
        ConfigError: a url or the key cannot be used.
    """

    def __init__(
        self,
        urls: Sequence[str] = (),
        *,
        sockets: Sequence[Path] = (),
        key: str | None = None,
        concurrency: int = 256,
        patience: float = 600.0,
        silence: float = 3600.0,
        revive: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._servers = [ServerState(address(url)) for url in urls]
        self._servers += [ServerState(f"http://server-{n}", socket) for n, socket in enumerate(sockets, 1)]
        if not self._servers:
            raise ConfigError("No server is named. Give at least one url, e.g. http://localhost:8000/v1.")
        self._key = usable_key(key)
        if self._key and (open_to_all := [one.url for one in self._servers if is_exposed(one.url) and not sockets]):
            progress.say(
                f"Warning: the key is sent to {', '.join(open_to_all)} unencrypted, so others can read it. Use "
                "https://, or a tunnel that ends on this machine (ssh -L)."
            )
        for server, start in zip(self._servers, revive, strict=bool(revive)):
            server.revive = start
        self._patience, self._revives = patience, bool(revive)
        self._silence = None if revive else silence
        self._slots = asyncio.Semaphore(concurrency)
        self._jitter = random.Random()
        self._told = -_TELL
        self._closed, self._lock = False, Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="rationem-client", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    @property
    def where(self) -> str:
        """The servers' urls, for messages."""
        return ", ".join(server.url for server in self._servers)

    def post(self, path: str, body: Mapping[str, Any]) -> Future[_Json]:
        """Start a POST; the future raises ``RunError`` if the server refuses or patience ends."""
        return self.run(self.ask(path, body))

    def get(self, path: str, *, patience: float | None = None) -> _Json:
        """Return the answer to a GET; patience (by default the client's) also limits its silence.

        Raises:
            RunError: no server answers, or the answer is invalid.
        """
        patience = self._patience if patience is None else patience
        return self.run(self._within_slots(_Asked("GET", path, None, patience, patience))).result()

    def models(self) -> list[str]:
        """Return the names of a server's models; empty if its list does not have the common form.

        Raises:
            RunError: no server answers.
        """
        found = self.get("/v1/models", patience=20.0).get("data")
        named = [one.get("id") for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        return [name for name in named if isinstance(name, str)]

    async def ask(self, path: str, body: Mapping[str, Any]) -> _Json:
        """POST from a coroutine started by ``run``; see ``post``."""
        data = _encode(body).encode()
        return await self._within_slots(_Asked("POST", path, data, self._patience, self._silence))

    def run(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Start a coroutine on the client's thread; cancelling the future cancels it.

        Raises:
            RunError: the client is closed.
        """
        with self._lock:
            if not self._closed:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise RunError(f"The connection to {self.where} is closed: no more requests can be sent.")

    def close(self) -> None:
        """Cancel open requests and stop the thread, without waiting for a revival. May be called repeatedly."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        for server in self._servers:
            server.open(headers)

    async def _shut(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in self._servers))

    async def _within_slots(self, asked: _Asked) -> _Json:
        async with self._slots:
            return await self._persist(asked)

    async def _persist(self, asked: _Asked) -> _Json:
        """Try until an answer arrives, the server refuses permanently, or patience ends."""
        failing, waits, tried = 0.0, 0, set[ServerState]()
        while True:
            if all(server.lost for server in self._servers):
                await self._one_is_up()
            server = self._choose(tried)
            tried.add(server)
            begun = time.monotonic()
            answer = await self._try(server, asked)
            if not isinstance(answer, _Failure):
                return answer
            if answer.final:
                raise RunError(answer.words)
            now = time.monotonic()
            # The first try was at work before it failed, which does not indicate an outage; later ones may.
            if answer.silent or (waits and not self._revives):
                failing += now - begun
            server.rest(now, answer.wait)
            if answer.lost and server.revive:
                self._begin_revival(server, server.revive)
            if any(now >= other.rests_until and not other.down for other in self._servers if other not in tried):
                continue
            failing += await self._wait(answer, waits, asked.patience - failing, asked)
            waits += 1
            tried.clear()

    def _choose(self, tried: set[ServerState]) -> ServerState:
        now = time.monotonic()
        return min(self._servers, key=lambda one: (one.down, now < one.rests_until, one in tried, one.under_way))

    async def _wait(self, failure: _Failure, waits: int, left: float, asked: _Asked) -> float:
        """Wait before the next try, and revive the server if it may be down; return the seconds of the wait only.

        Raises:
            RunError: no time is left, or the server's Retry-After exceeds it.
        """
        if left <= 0 or failure.wait > left:
            raise RunError(
                f"{failure.words} Given up after {asked.patience - left:.0f} s of failures ({asked.patience:.0f} s are "
                "allowed). Check whether the server runs, and its log; fewer concurrent requests help if it is "
                "overloaded. Finished work is kept: the same command resumes the run."
            )
        pause = min(_FIRST * 2.0 ** min(waits, 16), LONGEST) * self._jitter.uniform(0.5, 1)
        pause = min(max(pause, failure.wait), left)
        if waits:
            self._tell(f"{failure.words} Trying again, for up to {left:.0f} s.")
        await asyncio.sleep(pause)
        await self._one_is_up()
        return pause

    async def _one_is_up(self) -> None:
        """Wait until a server is neither lost nor being restarted; raise the reason if all are lost."""
        while all(server.down for server in self._servers):
            pending = [one.reviving for one in self._servers if one.reviving and not one.reviving.done()]
            if not pending:
                raise next(server.lost for server in self._servers if server.lost)
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)

    def _begin_revival(self, server: ServerState, revive: Callable[[], None]) -> None:
        """Restart a server, unless that is already running or has failed.

        The thread is a daemon: the interpreter would wait minutes for an executor's thread at exit.
        """
        if not server.down:
            server.reviving = self._loop.create_future()
            Thread(target=self._run_revival, args=(server, revive), daemon=True).start()

    def _run_revival(self, server: ServerState, revive: Callable[[], None]) -> None:
        error: RationemError | None = RunError("Restarting the server failed; its traceback is shown.")
        try:
            revive()
            error = None
        except RationemError as told:
            error = told
            if len(self._servers) > 1:
                progress.say(f"Warning: a server is lost; the others take over its work: {told}")
        finally:  # a bug keeps its traceback, on this thread, and no request waits forever
            with self._lock:
                if not self._closed:
                    self._loop.call_soon_threadsafe(server.revived, error)

    def _tell(self, words: str) -> None:
        if time.monotonic() - self._told >= _TELL:
            self._told = time.monotonic()
            progress.say(words)

    async def _try(self, server: ServerState, asked: _Asked) -> _Json | _Failure:
        server.under_way += 1
        try:
            async with (
                asyncio.timeout(asked.silence),
                server.session.request(
                    asked.method, f"{server.url}{asked.path}", data=asked.data, allow_redirects=False
                ) as response,
            ):
                answer = await self._answer(server, asked, response)
        except aiohttp.ClientConnectorCertificateError as error:
            return self._failure(server, asked, f"has a certificate that cannot be trusted ({error})", final=True)
        except (aiohttp.ClientError, OSError) as error:
            silent = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError)  # our own limit
            told = f"cannot be reached, or disconnected ({str(error) or type(error).__name__})"
            if silent:
                told = f"did not answer within {asked.silence or 0:g} s"
            return self._failure(server, asked, told, lost=not silent, silent=silent)
        finally:
            server.under_way -= 1
        if not isinstance(answer, _Failure):
            server.failures, server.rests_until = 0, 0.0
        return answer

    async def _answer(self, server: ServerState, asked: _Asked, response: aiohttp.ClientResponse) -> _Json | _Failure:
        body = bytearray()
        async for part in response.content.iter_any():  # after decompression, because a small body may become a big one
            body += part
            if len(body) > _BIGGEST:
                told = f"answered with more than {_BIGGEST >> 20} MiB, which is too much"
                response.close()
                return self._failure(server, asked, told, final=True)
        return self._read(server, asked, response, bytes(body))

    def _read(
        self, server: ServerState, asked: _Asked, response: aiohttp.ClientResponse, body: bytes
    ) -> _Json | _Failure:
        status = response.status
        if status == 200:
            answer = _object(body)
            if answer is not None:
                return answer
            return self._failure(server, asked, f"answered with other than a JSON object ({_words(body)})", final=True)
        passing = status == 429 or (status >= 500 and status not in {501, 505})
        told = f"answered {status}: {_words(body)}"
        if 300 <= status < 400:
            told = f"answered {status}, a redirection to {response.headers.get('Location', 'nowhere')}"
        return self._failure(
            server,
            asked,
            told + ("" if passing else _advice(status)),
            final=not passing,
            lost=passing and status != 429,
            wait=_seconds(response.headers.get("Retry-After", "")),
        )

    def _failure(self, server: ServerState, asked: _Asked, told: str, **how: Any) -> _Failure:
        """Return the failure with request and server named, and the key removed from the server's message."""
        words = f"{asked.method} {asked.path}: the server at {server.url} {told.rstrip('.')}."
        return _Failure(words.replace(self._key, "[key]") if self._key else words, **how)


def _object(body: bytes) -> _Json | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _words(body: bytes) -> str:
    """Return the server's own message, from the forms that servers use."""
    found: Any = _object(body) or {}
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    text = found if isinstance(found, str) else body.decode(errors="replace")
    return " ".join(text.split())[:1000] or "no words"


def _advice(status: int) -> str:
    if status in {401, 403}:
        return ". Check the key"
    if status == 404:
        return ". Check the address and the model's name: GET /v1/models lists the server's models"
    return ""


def _seconds(retry_after: str) -> float:
    """Return the seconds of a Retry-After header: a number, or a date."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
