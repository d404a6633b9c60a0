"""The workers of a run: started where there is room, given work once their weights are proven, replaced if lost.

One thread does all of it: it takes events (a request, an answer, a proof, a loss) from a queue.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Protocol

from rationem import progress
from rationem.engines.cluster.dispatch import MOST_LOSSES, Dispatcher, Job
from rationem.engines.cluster.holder import EngineHolder, Opens, Proof, Query
from rationem.engines.cluster.ray_cluster import Node
from rationem.engines.cluster.settings import RaySettings
from rationem.engines.cluster.weights import Parcel
from rationem.errors import RationemError, RunError
from rationem.types import TokenQuery

#: Seconds between two looks at the nodes, and for which a single event is waited for.
_LOOK, _TICK = 1.0, 0.2
#: Seconds in which requests gather for one call to an engine that takes batches.
_GATHER = 0.01
#: Most workers that a node may fail to bring up.
_MOST_REFUSED = 2


class Cluster(Protocol):
    """What is needed of a cluster; ``RayCluster`` is one."""

    def nodes(self) -> list[Node]:
        """Return the living nodes."""
        ...

    def start(self, node: Node, cpus: float, gpus: float, holder: type, arguments: Sequence[Any]) -> Any:
        """Start an actor on a node."""

    def call(self, actor: Any, method: str, *arguments: Any) -> Future[Any]:
        """Call an actor."""
        ...

    def kill(self, actor: Any) -> None:
        """End an actor."""

    def is_lost(self, error: BaseException) -> bool:
        """Say whether an error of a call means that the actor is gone."""
        ...

    @property
    def get(self) -> Any:
        """What reads a reference to bytes on a node."""


class GivenUp(RunError):
    """A request was held by several workers as they were lost."""


@dataclass(eq=False, slots=True)
class _Hand:
    """A worker: its number, node and actor."""

    number: int
    node: Node
    actor: Any

    def __str__(self) -> str:
        return f"worker {self.number} on node {self.node.address} ({self.node.name[:8]})"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Weights that workers are to hold: how a proof is checked, and the first one that passed."""

    parcel: Parcel
    queries: Sequence[TokenQuery]
    check: Callable[[Proof], Any]
    first: Future[Any] = field(default_factory=Future)


class Crew:
    """The workers of a cluster, and the queue that feeds them.

    Args:
        cluster: where they run.
        settings: their places.
        opens: opens what each generates with.
        chunk: most requests of one call; ``room`` most of one worker.
        threads: CPU threads of a worker.
        patience: seconds for which requests wait while there is no worker.
    """

    def __init__(
        self, cluster: Cluster, settings: RaySettings, opens: Opens, *, chunk: int, room: int, threads: int = 1,
        patience: float = 1800.0,
    ) -> None:  # fmt: skip
        self._cluster, self._settings = cluster, settings
        self._arguments = (opens, cluster.get, threads)
        self._chunk, self._room, self._patience = chunk, room, patience
        self._dispatcher = Dispatcher(chunk)
        self._hands: dict[int, _Hand] = {}
        self._started = 0
        self._wanted: dict[str, _Wanted] = {}
        self._releases: list[Future[None]] = []
        self._refused: Counter[str] = Counter()
        self._reasons: list[str] = []
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._looked, self._served = -_LOOK, time.monotonic()
        self._closing, self._ended, self._lock = False, False, Lock()
        self._thread = Thread(target=self._run, name="rationem-crew", daemon=True)
        self._thread.start()

    @property
    def room(self) -> int:
        """How many requests the present workers hold together."""
        return self._dispatcher.members * self._room

    @property
    def counts(self) -> str:
        """What happened so far, in a sentence."""
        found = self._dispatcher.counts
        return (
            f"Ray: {self._started} workers started, {found.lost} lost; {found.answered} requests answered, "
            f"{found.again} given again after a loss, {found.second} given to a second worker, "
            f"{found.duplicates} late duplicates dropped."
        )

    def hold(self, parcel: Parcel, queries: Sequence[TokenQuery], check: Callable[[Proof], Any]) -> Any:
        """Have workers open these weights; return what ``check`` says of the first proof that passes.

        Raises:
            RunError: no worker could, or there was none in time.
        """
        wanted = _Wanted(parcel, queries, check)
        self._happen(partial(self._want, wanted))
        return wanted.first.result()

    def submit(self, digest: str, query: Query) -> Future[Any]:
        """Put a request for these weights into the queue."""
        answer: Future[Any] = Future()
        self._happen(partial(self._dispatcher.submit, Job(digest, query, answer)))
        return answer

    def release(self, digest: str, *, keep: bool) -> None:
        """Have workers close these weights, and wait until they have; if not ``keep``, idle workers are ended."""
        done: Future[None] = Future()
        with suppress(RunError):  # it has ended, and holds nothing
            self._happen(partial(self._release, digest, keep, done))
            done.result()

    def close(self) -> None:
        """End all workers. May be called repeatedly."""
        self._closing = True
        self._thread.join()

    def _happen(self, event: Callable[[], None]) -> None:
        """Put an event into the queue of the crew's thread.

        Raises:
            RunError: the thread has ended.
        """
        with self._lock:
            if self._ended:
                raise RunError("The connection to the cluster is closed.")
            self._events.put(event)

    # On the crew's own thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                self._take_events()
                self._look()
                now = time.monotonic()
                self._send([*self._dispatcher.assign(now), *self._dispatcher.assign_late(now)])
        except RationemError as error:
            self._fail(error)
        except BaseException as error:  # the thread ends, and all who wait must hear of it; re-raised
            self._fail(RunError(f"Ray: {type(error).__name__}: {error}"))
            raise
        finally:
            for hand in self._hands.values():
                self._cluster.kill(hand.actor)
            with self._lock:
                self._ended = True
            self._fail(RunError("The connection to the cluster is closed."))

    def _take_events(self) -> None:
        try:
            self._events.get(timeout=_TICK)()
            if self._chunk > 1:
                time.sleep(_GATHER)
            while True:
                self._events.get_nowait()()
        except Empty:
            pass

    def _look(self) -> None:
        """Look at the nodes: what runs on those that are gone is lost, and where there is room, workers start."""
        now = time.monotonic()
        if not self._wanted or now - self._looked < _LOOK:
            return
        self._looked = now
        nodes = {node.name: node for node in self._cluster.nodes()}
        for hand in [hand for hand in self._hands.values() if hand.node.name not in nodes]:
            self._lose(hand, "its node is gone.")
        for node in nodes.values():
            for _ in range(self._places(node, any(one.gpus for one in nodes.values()))):
                self._start(node)
        if self._dispatcher.members or self._hands:
            self._served = now if self._dispatcher.members else self._served
        elif self._reasons and all(self._refused[one] >= _MOST_REFUSED for one in nodes):
            raise RunError(f"No worker can be used. {self._reasons[-1]}")
        if now - self._served > self._patience:
            raise RunError(
                f"There was no worker for {self._patience:.0f} s. What was drawn is in the ledger; give the same "
                "command again when the cluster has nodes with free CPUs or GPUs (--ray-cpus, --ray-gpus)."
            )

    def _places(self, node: Node, gpus_found: bool) -> int:
        """Return how many more workers fit on a node, by all that it has."""
        if self._refused[node.name] >= _MOST_REFUSED:
            return 0
        cpus, gpus = self._settings.ray_cpus, self._gpus(gpus_found)
        shares = [node.cpus / cpus] if cpus else []
        shares += [node.gpus / gpus] if gpus else []
        here = sum(hand.node.name == node.name for hand in self._hands.values())
        most = self._settings.ray_workers
        left = int(min(shares, default=1)) - here
        return left if most is None else min(left, most - len(self._hands))

    def _gpus(self, found: bool) -> float:
        asked = self._settings.ray_gpus
        return float(found) if asked is None else asked

    def _start(self, node: Node) -> None:
        self._started += 1
        gpus = self._gpus(node.gpus > 0)
        actor = self._cluster.start(node, self._settings.ray_cpus, gpus, EngineHolder, self._arguments)
        hand = self._hands[self._started] = _Hand(self._started, node, actor)
        for wanted in self._wanted.values():
            self._ask_to_hold(hand, wanted)

    def _want(self, wanted: _Wanted) -> None:
        if wanted.parcel.digest not in self._wanted and not self._wanted:
            self._served, self._looked = time.monotonic(), -_LOOK
        self._wanted[wanted.parcel.digest] = wanted
        for hand in self._hands.values():
            self._ask_to_hold(hand, wanted)

    def _ask_to_hold(self, hand: _Hand, wanted: _Wanted) -> None:
        self._call(partial(self._held, hand, wanted), hand, "hold", wanted.parcel, wanted.queries)

    def _held(self, hand: _Hand, wanted: _Wanted, future: Future[Any]) -> None:
        """Take a proof: the worker may have work, or is refused by name."""
        digest = wanted.parcel.digest
        if self._hands.get(hand.number) is not hand or self._wanted.get(digest) is not wanted:
            return
        if (error := future.exception()) is not None:
            self._refuse(hand, _in_a_line(error))
            return
        proof: Proof = future.result()
        try:
            if proof.refusal:
                raise RunError(proof.refusal)
            found = wanted.check(proof)
        except RunError as refusal:
            self._refuse(hand, str(refusal))
            return
        self._dispatcher.join(hand.number, digest, self._room)
        if not wanted.first.done():
            wanted.first.set_result(found)

    def _refuse(self, hand: _Hand, why: str) -> None:
        self._refused[hand.node.name] += 1
        self._reasons.append(f"Refused: {hand}: {why}")
        progress.say(self._reasons[-1])
        self._drop(hand)

    def _lose(self, hand: _Hand, why: str) -> None:
        if self._hands.get(hand.number) is hand:
            before = self._dispatcher.counts.again
            self._drop(hand)
            progress.say(f"Lost: {hand}: {why} Requests given again: {self._dispatcher.counts.again - before}.")

    def _drop(self, hand: _Hand) -> None:
        del self._hands[hand.number]
        for job in self._dispatcher.lose(hand.number):
            job.answer.set_exception(GivenUp(f"{MOST_LOSSES} workers were lost while they had the same request."))
        self._cluster.kill(hand.actor)

    def _send(self, calls: Sequence[tuple[int, list[Job]]]) -> None:
        for number, jobs in calls:
            hand = self._hands[number]
            self._call(
                partial(self._answered, hand, jobs), hand, "serve", jobs[0].weights, [one.content for one in jobs]
            )

    def _call(self, then: Callable[[Future[Any]], None], hand: _Hand, method: str, *arguments: Any) -> None:
        future = self._cluster.call(hand.actor, method, *arguments)
        future.add_done_callback(lambda done: self._events.put(partial(then, done)))

    def _answered(self, hand: _Hand, jobs: Sequence[Job], future: Future[Any]) -> None:
        """Take the answers of a call; a late one counts, and is dropped if another was first."""
        error = future.exception()
        if error is not None and self._cluster.is_lost(error):
            self._lose(hand, f"{type(error).__name__}.")
            return
        now = time.monotonic()
        for n, job in enumerate(jobs):
            if not self._dispatcher.answer(hand.number, job, now) or not job.answer.set_running_or_notify_cancel():
                continue
            if error is None:
                job.answer.set_result(future.result()[n])
            else:
                cause = _cause(error)
                told = cause if isinstance(cause, RationemError) else RunError(f"{hand}: {_in_a_line(cause)}")
                job.answer.set_exception(told)

    def _release(self, digest: str, keep: bool, done: Future[None]) -> None:
        self._wanted.pop(digest, None)
        self._dispatcher.release(digest)
        self._releases.append(done)
        asked = list(self._hands.values())

        def released(hand: _Hand | None, _: Future[Any] | None) -> None:
            if hand is not None:
                asked.remove(hand)
            if not asked and not keep and not self._wanted:
                for one in list(self._hands.values()):
                    self._drop(one)
            if not asked and not done.done():
                self._releases.remove(done)
                done.set_result(None)

        for hand in list(asked):
            self._call(partial(released, hand), hand, "release", digest)
        if not asked:
            released(None, None)

    def _fail(self, error: BaseException) -> None:
        """Tell everyone who waits."""
        while True:
            try:
                self._events.get_nowait()()
            except Empty:
                break
        for wanted in self._wanted.values():
            if not wanted.first.done():
                wanted.first.set_exception(error)
        while self._releases:  # the workers are ended, and hold nothing
            self._releases.pop().set_result(None)
        for job in self._dispatcher.unanswered:
            job.answered = True
            if job.answer.set_running_or_notify_cancel():
                job.answer.set_exception(error)


def _cause(error: BaseException) -> BaseException:
    """Return what was raised in a worker: Ray wraps it, and its own text begins with an address."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error


def _in_a_line(error: BaseException) -> str:
    """Return what was raised in a worker, with its kind.

    >>> _in_a_line(MemoryError()), _in_a_line(ValueError("no tensor"))
    ('MemoryError', 'ValueError: no tensor')
    """
    cause = _cause(error)
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return ": ".join([type(cause).__name__, *lines[:1]])
