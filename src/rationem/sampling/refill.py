"""Draws by refill, for an engine that serves many single requests at once: no slot waits for a round to end.

Every example has at most one live attempt; the next one is submitted once the ledger holds the last. Finished drafts
are written first, all that arrived together in one transaction, and only then is the next request chosen. At most
``concurrency`` requests are in flight, and an example is read only when there is room for it, so memory does not grow
with the data.

The ledger alone determines what is owed, so a killed run continues with what is not written. Requests that were in
flight are drawn again with the same seeds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from rationem import progress
from rationem.sampling.closing import Closing, closed, closing_of
from rationem.sampling.schemes import Proposal, Scheme
from rationem.sampling.trials import (
    DrawRequest,
    SamplingContext,
    answer_draft,
    closes,
    level_scores,
    request_for,
    trial_of,
    trial_query,
)
from rationem.types import Concurrent, Draft, Engine, Example, LevelQuery, LevelScores, Outcome, Purpose, Request, Trial

#: (example id, attempt) -> outcomes by retry, as in the ledger.
History = dict[tuple[str, int], list[Outcome]]


@dataclass(frozen=True, slots=True)
class Due:
    """The next draw of one line."""

    draw_request: DrawRequest
    proposal: Proposal
    retry: int


class PendingDraws(Protocol):
    """A line of draws that are still to be made, one after another: an example with its plan, or a single request."""

    def due(self, history: History) -> Due | None:
        """Return the next draw, given the ledger's history; None if the line is done."""
        ...


@dataclass(frozen=True, slots=True)
class Single:
    """One request, drawn once, and again if the engine failed it."""

    draw_request: DrawRequest
    proposal: Proposal
    retries: int

    def due(self, history: History) -> Due | None:
        """Return the request until it is served."""
        return _again(self.draw_request, self.proposal, history, self.retries)


@dataclass(frozen=True, slots=True)
class Planned:
    """The attempts of one example in the order of the plan, until the selector is satisfied."""

    example: Example
    scheme: Scheme
    exact: tuple[bool, ...]
    retries: int

    def due(self, history: History) -> Due | None:
        """Return the next attempt; None if it is satisfied, exhausted, or set aside after engine failures."""
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
    flow = _Flow(run, iteration, Purpose.TRAIN, engines, scheme.plan[0] if scheme.sums_out else None)
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
    """A draw in flight: first its draft, then, if requested, the levels after it."""

    line: PendingDraws
    due: Due
    request: Request
    engine: Concurrent
    future: Future[Any]
    closing: Closing | None = None
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
        """Submit due draws while there is room, lines waiting for their next attempt first; count ended lines."""
        ended = 0
        room = max(engine.concurrency for engine in self._engines.values())  # a cluster shrinks and grows
        while len(self._live) < room:
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
        engine = self._engines[str(due.proposal)]
        request = request_for(due.draw_request, due.proposal, engine, self._run, self._iteration, self._purpose)
        future = self._submit(due, request, engine)
        self._watch(_Live(line, due, request, engine, future))

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
        """Wait for finished draws, write them, and return their lines.

        Drafts that arrived together with an engine failure are written before the failure is raised.
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
        """Yield finished draws: wait for the first, then take all that are ready."""
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
        draft = self._draft(live, result)
        if draft is None:
            self._watch(live)
            return False
        live.trial = trial_of(
            due.draw_request,
            due.proposal,
            live.request,
            draft,
            self._run,
            iteration=self._iteration,
            purpose=self._purpose,
            retry=due.retry,
        )
        under = self._levels_under
        if under is not None:
            live.query = trial_query(live.trial, due.draw_request.example, under, live.engine, self._run)
        if live.query is None:
            return True
        live.future = live.engine.submit_levels(live.query)
        self._watch(live)
        return False

    def _draft(self, live: _Live, result: Any) -> Draft | None:
        """Return the draft; None if its levels are being scored, to close it."""
        due, task, request = live.due, self._run.task, live.request
        if live.closing is not None:
            return closed(live.closing, result, request, live.engine)
        draft: Draft = result
        if not closes(self._run, due.proposal, self._purpose):
            return draft
        live.closing = closing_of(draft, request, due.draw_request.example.fields, live.engine, task)
        if live.closing is None:
            return draft
        if not task.continuations:
            return closed(live.closing, (), request, live.engine)
        live.future = live.engine.submit_levels(live.closing.query)
        return None


def _again(draw_request: DrawRequest, proposal: Proposal, history: History, retries: int) -> Due | None:
    """Return the draw if it was not made yet, or if the engine failed it and a retry is left."""
    outcomes = history.get(draw_request.key, [])
    failed = all(outcome is Outcome.ENGINE_FAILED for outcome in outcomes)
    return Due(draw_request, proposal, len(outcomes)) if failed and len(outcomes) <= retries else None


def _concurrent(engine: Engine) -> Concurrent:
    assert isinstance(engine, Concurrent)
    return engine
