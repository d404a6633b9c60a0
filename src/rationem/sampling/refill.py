"""Draws by refill, for an engine that takes requests one by one and holds many: no slot waits for a round to end.

Every example has at most one live attempt, and its next one is submitted as soon as the ledger holds the last: what is
done is written first, all that came in together in one transaction, and only then decides what follows. At most
``concurrency`` requests are under way, and no example is looked at before there is room for it, so memory does not grow
with the data.

Nothing but the ledger says what is owed, so a killed run goes on with what is not written. Requests that were under way
are drawn again by the same seeds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from rationem import progress
from rationem.sampling.schemes import Proposal, Scheme
from rationem.sampling.trials import (
    DrawRequest,
    SamplingContext,
    answer_draft,
    level_query,
    level_scores,
    request_for,
    trial_of,
)
from rationem.types import Concurrent, Engine, Example, LevelQuery, LevelScores, Outcome, Purpose, Request, Trial

#: (example id, attempt) -> outcomes by retry, as the ledger holds them.
History = dict[tuple[str, int], list[Outcome]]


@dataclass(frozen=True, slots=True)
class Due:
    """The next draw of a line."""

    draw_request: DrawRequest
    proposal: Proposal
    retry: int


class PendingDraws(Protocol):
    """What has yet to be drawn, one draw after another: an example with its plan, or a single request."""

    def due(self, history: History) -> Due | None:
        """Return the next draw, from what the ledger holds; None where the line is done."""
        ...


@dataclass(frozen=True, slots=True)
class Single:
    """One request, drawn once, and again where the engine failed it."""

    draw_request: DrawRequest
    proposal: Proposal
    retries: int

    def due(self, history: History) -> Due | None:
        """Return the request until it is served."""
        return _again(self.draw_request, self.proposal, history, self.retries)


@dataclass(frozen=True, slots=True)
class Planned:
    """One example's attempts in the order of the plan, until the selector is satisfied."""

    example: Example
    scheme: Scheme
    exact: tuple[bool, ...]
    retries: int

    def due(self, history: History) -> Due | None:
        """Return the next attempt; None where it is satisfied, exhausted, or set aside as the engine failed it."""
        before: list[tuple[bool, Outcome]] = []
        for number, proposal in enumerate(self.scheme.plan):
            if self.scheme.selector.satisfied(before):
                return None
            draw_request = DrawRequest(self.example, number)
            again = _again(draw_request, proposal, history, self.retries)
            if again is not None:
                return again
            last = history[draw_request.key][-1]
            if last is Outcome.ENGINE_FAILED:
                return None
            before.append((self.exact[number], last))
        return None


def attempt(
    queue: Sequence[Example],
    scheme: Scheme,
    engine_for: Callable[[Proposal], Engine],
    run: SamplingContext,
    *,
    iteration: int,
) -> None:
    """See ``rationem.sampling.draw.attempt``."""
    exact = tuple(run.exact(scheme))
    lines = (Planned(x, scheme, exact, run.retries) for x in queue)
    engines = {str(one): _concurrent(engine_for(one)) for one in dict.fromkeys(scheme.plan)}
    flow = _Flow(run, iteration, Purpose.TRAIN, engines, None)
    flow.run_all(lines, len(queue), f"iteration {iteration}, E-step ({scheme.name})")


def draw(
    draw_requests: Sequence[DrawRequest],
    proposal: Proposal,
    engine: Engine,
    run: SamplingContext,
    *,
    iteration: int,
    purpose: Purpose,
    label: str,
    levels_under: Proposal | None = None,
) -> None:
    """See ``rationem.sampling.draw.draw``."""
    lines = (Single(draw_request, proposal, run.retries) for draw_request in draw_requests)
    flow = _Flow(run, iteration, purpose, {str(proposal): _concurrent(engine)}, levels_under)
    flow.run_all(lines, len(draw_requests), label)


@dataclass(slots=True)
class _Live:
    """A draw under way: first its draft, then, where they are asked for, the levels behind it."""

    line: PendingDraws
    due: Due
    seed: int
    engine: Concurrent
    future: Future[Any]
    trial: Trial | None = None
    query: LevelQuery | None = None
    scores: LevelScores | None = None


class _Flow:
    """One stream of draws into the ledger."""

    def __init__(
        self,
        run: SamplingContext,
        iteration: int,
        purpose: Purpose,
        engines: dict[str, Concurrent],
        levels_under: Proposal | None,
    ) -> None:
        self._run, self._iteration, self._purpose = run, iteration, purpose
        self._engines, self._levels_under = engines, levels_under
        self._room = max(engine.concurrency for engine in engines.values())
        self._history = run.ledger.outcomes(iteration, purpose)
        self._done: SimpleQueue[_Live] = SimpleQueue()
        self._live: dict[int, _Live] = {}

    def run_all(self, lines: Iterator[PendingDraws], total: int, label: str) -> None:
        """Draw until no line has anything due."""
        again: deque[PendingDraws] = deque()
        with progress.track(label, total) as advance:
            try:
                while True:
                    advance(self._fill(again, lines))
                    if not self._live:
                        return
                    again.extend(self._collect())
            finally:
                for live in self._live.values():
                    live.future.cancel()

    def _fill(self, again: deque[PendingDraws], lines: Iterator[PendingDraws]) -> int:
        """Submit what is due while there is room, those that wait for their next attempt first; count ended lines."""
        ended = 0
        while len(self._live) < self._room:
            line = again.popleft() if again else next(lines, None)
            if line is None:
                break
            due = line.due(self._history)
            if due is None:
                ended += 1
            else:
                self._begin(line, due)
        return ended

    def _begin(self, line: PendingDraws, due: Due) -> None:
        request = request_for(due.draw_request, due.proposal, self._run, self._iteration, self._purpose)
        engine = self._engines[str(due.proposal)]
        future = self._submit(due, request, engine)
        self._watch(_Live(line, due, request.seed, engine, future))

    def _submit(self, due: Due, request: Request, engine: Concurrent) -> Future[Any]:
        if due.proposal.prompt != "answer":
            return engine.submit(request)
        given: Future[Any] = Future()
        given.set_result(answer_draft(due.draw_request, request.prompt, engine, self._run.task))
        return given

    def _watch(self, live: _Live) -> None:
        self._live[id(live)] = live
        live.future.add_done_callback(lambda _: self._done.put(live))

    def _collect(self) -> list[PendingDraws]:
        """Wait for what is done, write it, and return the lines that it belongs to.

        What came in beside a failure of the engine itself is written before that is raised.
        """
        arrived = list(self._arrived())
        failed = next((error for live in arrived if (error := live.future.exception()) is not None), None)
        complete = [live for live in arrived if live.future.exception() is None and self._advance(live)]
        if complete:
            trials = [live.trial for live in complete if live.trial is not None]
            scores = {live.due.draw_request.key: live.scores for live in complete if live.scores is not None}
            self._run.ledger.append(trials, scores)
        for live in complete:
            assert live.trial is not None
            self._history.setdefault(live.due.draw_request.key, []).append(live.trial.outcome)
        if failed is not None:
            raise failed
        return [live.line for live in complete]

    def _arrived(self) -> Iterator[_Live]:
        """Yield what is done: wait for the first, take what is there besides."""
        yield self._done.get()
        while True:
            try:
                yield self._done.get_nowait()
            except Empty:
                return

    def _advance(self, live: _Live) -> bool:
        """Take a result; return whether the draw is complete, or its levels are still to be scored."""
        del self._live[id(live)]
        result = live.future.result()
        if live.query is not None:
            live.scores = level_scores(live.query, result, live.engine)
            return True
        due = live.due
        live.trial = trial_of(
            due.draw_request,
            due.proposal,
            live.seed,
            result,
            self._run,
            iteration=self._iteration,
            purpose=self._purpose,
            retry=due.retry,
        )
        under = self._levels_under
        live.query = level_query(live.trial, due.draw_request.example, under, self._run.task) if under else None
        if live.query is None:
            return True
        live.future = live.engine.submit_levels(live.query)
        self._watch(live)
        return False


def _again(draw_request: DrawRequest, proposal: Proposal, history: History, retries: int) -> Due | None:
    """Return the draw where it was not made yet, or the engine failed it and may be asked once more."""
    outcomes = history.get(draw_request.key, [])
    failed = all(outcome is Outcome.ENGINE_FAILED for outcome in outcomes)
    return Due(draw_request, proposal, len(outcomes)) if failed and len(outcomes) <= retries else None


def _concurrent(engine: Engine) -> Concurrent:
    assert isinstance(engine, Concurrent)
    return engine
