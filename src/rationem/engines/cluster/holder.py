"""What runs in an actor: our engine on one or more checkpoints. Ray makes an actor of the class; it needs no Ray here.

Weights are named by their digest in every call, so a worker never answers with others than those it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

from rationem.engines import probe
from rationem.engines.cluster.weights import Parcel, unpacked
from rationem.errors import RationemError, RunError
from rationem.ledger.scratch import Scratch
from rationem.types import Concurrent, Engine, LevelQuery, Request, TokenQuery

Query = Request | LevelQuery | TokenQuery
Opens = Callable[[], AbstractContextManager[Callable[[str], Engine]]]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a worker shows of weights that it was given.

    Args:
        digest: of the weights.
        logps: its log-probabilities of the probes' tokens, nats.
        half: whether it computes in half precision.
        refusal: why it could not open them; empty if it could.
    """

    digest: str
    logps: tuple[float, ...] = ()
    half: bool = False
    refusal: str = ""


class EngineHolder:
    """Holds engines by the digest of their weights.

    Args:
        opens: opens a context that opens engines on checkpoints, as a row of the table of engines does.
        get: reads an object of the cluster's store.
        threads: CPU threads of an engine in this process.
    """

    def __init__(self, opens: Opens, get: Callable[[Any], bytes], threads: int) -> None:
        self._opens, self._get, self._threads = opens, get, threads
        self._stack = ExitStack()
        self._open: Callable[[str], Engine] | None = None
        self._engines: dict[str, tuple[Engine, Scratch]] = {}
        self._one = ThreadPoolExecutor(1)  # an engine in this process computes one batch at a time

    async def hold(self, parcel: Parcel, queries: Sequence[TokenQuery]) -> Proof:
        """Open an engine on the weights, and return its log-probabilities of the probes."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._one, self._hold, parcel, queries)
        except RationemError as error:
            return Proof(parcel.digest, refusal=str(error))

    async def release(self, digest: str) -> None:
        """Close the engine on these weights, and remove them."""
        await asyncio.get_running_loop().run_in_executor(self._one, self._release, digest)

    async def serve(self, digest: str, queries: Sequence[Query]) -> list[Any]:
        """Return the drafts or log-probabilities that are asked for, in order.

        Raises:
            RunError: this worker does not hold the weights.
        """
        if digest not in self._engines:
            raise RunError(f"Asked for the weights {digest[:12]}; this worker holds {_named(self._engines)}.")
        engine = self._engines[digest][0]
        if isinstance(engine, Concurrent):
            return list(await asyncio.gather(*(_submitted(engine, one, self._one) for one in queries)))
        return await asyncio.get_running_loop().run_in_executor(self._one, answered, engine, queries)

    def _hold(self, parcel: Parcel, queries: Sequence[TokenQuery]) -> Proof:
        if self._open is None:
            import torch

            torch.set_num_threads(self._threads)
            self._open = self._stack.enter_context(self._opens())
        if parcel.digest not in self._engines:
            place = Scratch("rationem-held-")
            self._engines[parcel.digest] = self._open(unpacked(parcel, place.directory, self._get)), place
        said = probe.answers(self._engines[parcel.digest][0], queries)
        return Proof(parcel.digest, tuple(said.tolist()), _on_gpu())

    def _release(self, digest: str) -> None:
        if digest in self._engines:
            engine, place = self._engines.pop(digest)
            engine.close()
            place.close()


def answered(engine: Engine, queries: Sequence[Query]) -> list[Any]:
    """Return the answers of an engine that takes batches, in order; requests of other settings are other batches."""
    answers: dict[int, Any] = {}
    groups: dict[Any, list[int]] = {}
    for n, query in enumerate(queries):
        groups.setdefault(query.sampling if isinstance(query, Request) else type(query), []).append(n)
    for members in groups.values():
        asked: list[Any] = [queries[n] for n in members]
        answers |= zip(members, _asked(engine, asked), strict=True)
    return [answers[n] for n in range(len(queries))]


def _asked(engine: Engine, queries: list[Any]) -> Sequence[Any]:
    """Return the answers to queries of one kind."""
    if isinstance(queries[0], Request):
        return engine.sample(queries)
    return engine.score_levels(queries) if isinstance(queries[0], LevelQuery) else engine.score_tokens(queries)


async def _submitted(engine: Concurrent, query: Query, one: ThreadPoolExecutor) -> Any:
    if isinstance(query, Request):
        return await asyncio.wrap_future(engine.submit(query))
    if isinstance(query, LevelQuery):
        return await asyncio.wrap_future(engine.submit_levels(query))
    return (await asyncio.get_running_loop().run_in_executor(one, engine.score_tokens, [query]))[0]


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _named(held: Any) -> str:
    return ", ".join(one[:12] for one in held) or "none"
