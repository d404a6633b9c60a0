"""Opens the engine on a cluster: weights are packed, proven by every worker, and its requests go into one queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rationem import progress
from rationem.engines import models, probe, rope
from rationem.engines.chat import Chat
from rationem.engines.cluster.crew import Crew, GivenUp
from rationem.engines.cluster.holder import Proof
from rationem.engines.cluster.ray_cluster import RayCluster
from rationem.engines.cluster.settings import RaySettings
from rationem.engines.cluster.weights import Parcel, packed, stored
from rationem.engines.completion import Texts
from rationem.types import Draft, Engine, Finish, LevelQuery, Request, TokenQuery

if TYPE_CHECKING:
    from rationem.engines.opening import EngineConfig

_ADVICE = "The nodes need the same versions of rationem, torch and transformers as the driver."


@dataclass(frozen=True, slots=True)
class Reference:
    """What the driver knows of a checkpoint: its texts, its probes, and their log-probabilities, nats."""

    texts: Any
    queries: list[TokenQuery]
    wanted: probe.Floats


class ClusterEngine:
    """An engine on all workers of a cluster; implements ``types.Concurrent``.

    Args:
        crew: the workers.
        digest: of the weights.
        texts: the part that needs no weights.
        least: concurrent requests while there are few workers.
        handover: see ``types.HandedOver``.
        on_close: called once, when the engine closes.
    """

    honours_seeds = True

    def __init__(
        self, crew: Crew, digest: str, texts: Any, least: int, handover: dict[str, Any], on_close: Callable[[], None]
    ) -> None:
        self.handover = handover
        self._crew, self._digest, self._least, self._on_close = crew, digest, least, [on_close]
        self.batch_size = 4 * least
        self.prompt_tokens, self.encode_completion = texts.prompt_tokens, texts.encode_completion
        self.completions, self.tokens_within = texts.completions, texts.tokens_within

    @property
    def concurrency(self) -> int:
        """Requests at the same time: enough for the present workers."""
        return max(self._least, self._crew.room)

    def submit(self, request: Request) -> Future[Draft]:
        """Start one completion; it is a failed draft if several workers were lost while they had it."""
        asked, told = self._crew.submit(self._digest, request), Future[Draft]()
        asked.add_done_callback(partial(self._tell, request, told))
        return told

    def submit_levels(self, query: LevelQuery) -> Future[tuple[float, ...]]:
        """Start scoring one draft's levels."""
        return self._crew.submit(self._digest, query)

    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Sample one completion per request, in order."""
        return [future.result() for future in [self.submit(request) for request in requests]]

    def score_levels(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        """Return log pi(level, end of turn | x, z) of every level, per query."""
        return [future.result() for future in [self.submit_levels(query) for query in queries]]

    def score_tokens(self, queries: Sequence[TokenQuery]) -> list[tuple[float, ...]]:
        """Return log pi(token_t | prompt, token_<t) of every stored token, in nats at temperature 1."""
        return [future.result() for future in [self._crew.submit(self._digest, query) for query in queries]]

    def close(self) -> None:
        """Have the workers let go of the weights. May be called repeatedly."""
        while self._on_close:
            self._on_close.pop()()

    def _tell(self, request: Request, told: Future[Draft], asked: Future[Any]) -> None:
        if not told.set_running_or_notify_cancel():
            return
        error = asked.exception()
        if isinstance(error, GivenUp):
            told.set_result(Draft("", (), Finish.FAILED, self.prompt_tokens(request.prompt)))
        elif error is not None:
            told.set_exception(error)
        else:
            told.set_result(asked.result())


class ClusterPool:
    """Opens engines on successive checkpoints.

    Args:
        crew: the workers.
        pack: checkpoint -> its weights, as they are sent.
        refer: checkpoint -> what the driver knows of it.
        keep: whether workers stay between two checkpoints; on a GPU they would hold memory that the M-step needs.
        least: see :class:`ClusterEngine`.
    """

    def __init__(
        self, crew: Crew, pack: Callable[[str], Parcel], refer: Callable[[str], Reference], *, keep: bool, least: int
    ) -> None:
        self._crew, self._pack, self._refer, self._keep, self._least = crew, pack, refer, keep, least
        self._before: probe.Floats | None = None

    def open(self, checkpoint: str) -> Engine:
        """Return an engine whose workers are proven to hold a checkpoint's weights.

        Raises:
            RunError: no worker holds them.
        """
        started = time.perf_counter()
        parcel, reference = self._pack(checkpoint), self._refer(checkpoint)
        before = self._before if self._before is not None and self._before.shape == reference.wanted.shape else None
        found = self._crew.hold(parcel, reference.queries, partial(_checked, reference, before, checkpoint))
        self._before = reference.wanted
        told = {"how": "ray", "seconds": time.perf_counter() - started, **asdict(found)}
        release = partial(self._crew.release, parcel.digest, keep=self._keep)
        return ClusterEngine(self._crew, parcel.digest, reference.texts, self._least, told, release)


def _checked(reference: Reference, before: probe.Floats | None, checkpoint: str, proof: Proof) -> probe.Probed:
    """Compare a worker's log-probabilities of the probes with the reference.

    Raises:
        RunError: it holds other weights.
    """
    tolerance = probe.HALF if proof.half else probe.SINGLE
    found = probe.compare(np.array(proof.logps), reference.wanted, before, tolerance)
    probe.check(found, tolerance, checkpoint, "hand-over to this worker", _ADVICE)
    return found


@contextmanager
def opening(choice: EngineConfig) -> Iterator[Callable[[str], Engine]]:
    """Yield a function that opens an engine on a checkpoint; end every worker on exit.

    Raises:
        ConfigError: Ray is not installed.
        RunError: no cluster answers.
    """
    inner = replace(choice, engine=choice.ray_engine)
    settings = RaySettings(**{one.name: getattr(choice, one.name) for one in fields(RaySettings)})
    cluster = RayCluster(settings)
    try:
        pack = packed if choice.ray_weights == "shared" else partial(_sent, cluster)
        chunk, room = (choice.batch_size, 2 * choice.batch_size) if inner.row.in_process else (1, choice.concurrency)
        crew = Crew(cluster, settings, partial(_opened, inner), chunk=chunk, room=room, threads=_threads(settings))
        keep = choice.handover == "reload" or (choice.handover == "auto" and not any(n.gpus for n in cluster.nodes()))
        try:
            yield ClusterPool(crew, pack, partial(_reference, inner), keep=keep, least=choice.concurrency).open
        finally:
            crew.close()
            progress.say(crew.counts)
    finally:
        cluster.close()


def _opened(inner: EngineConfig) -> Any:
    return inner.row.opens(inner)


def _sent(cluster: RayCluster, checkpoint: str) -> Parcel:
    return stored(packed(checkpoint), cluster.put)


def _threads(settings: RaySettings) -> int:
    return max(1, int(settings.ray_cpus))


def _reference(inner: EngineConfig, checkpoint: str) -> Reference:
    """Load a checkpoint with transformers on the driver, on the CPU in single precision, and compute the probes."""
    from rationem.engines.transformers import TransformersEngine

    published = inner.row.in_process  # as the workers load it
    loaded = models.load(checkpoint, device="cpu", conversation=inner.conversation, published=published)
    rope.read_as(loaded.model, inner.length)
    chat = Chat(loaded.tokenizer)
    engine = TransformersEngine(loaded, marker=inner.marker)
    queries = probe.probes(chat)
    try:
        wanted = probe.answers(engine, queries)
    finally:
        engine.close()
    return Reference(Texts(chat, inner.marker, loaded.stop_ids), queries, wanted)
