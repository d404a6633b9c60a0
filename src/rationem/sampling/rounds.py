"""Draws in rounds of batches, for an engine that takes batches.

The members of a round are computed from finished rounds (never from what is still owed), and a batch is one
transaction. A killed run therefore repeats the same batches, skips those that are written, and draws the same rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rationem import progress
from rationem.sampling.batches import cut, in_rounds, ordered, score_levels
from rationem.sampling.closing import close_all
from rationem.sampling.posterior import draw_posterior
from rationem.sampling.schemes import Proposal, Scheme
from rationem.sampling.trials import (
    DrawRequest,
    SamplingContext,
    answer_draft,
    closes,
    level_scores,
    request_for,
    sampled_from,
    trial_of,
    trial_query,
)
from rationem.types import Draft, Engine, Example, LevelScores, Outcome, Purpose, Request, Trial


def attempt(
    queue: Sequence[Example],
    scheme: Scheme,
    engine_for: Callable[[Proposal], Engine],
    run: SamplingContext,
    *,
    iteration: int,
) -> None:
    """Draw the attempts of the plan, one round after another; an example leaves when its selector is satisfied."""
    for number, proposal in enumerate(scheme.plan):
        pending = _unsatisfied(queue, scheme, run, iteration, number)
        draw(
            [DrawRequest(x, number) for x in pending],
            proposal,
            engine_for(proposal),
            run,
            iteration=iteration,
            purpose=Purpose.TRAIN,
            label=f"iteration {iteration}, E-step, attempt {number + 1} of {len(scheme.plan)} ({proposal})",
            levels_under=proposal if scheme.sums_out else None,
        )


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
    for retry, due in in_rounds(draw_requests, lambda: run.ledger.outcomes(iteration, purpose), run.retries):
        with progress.track(label, len(due)) as advance:
            ranked = ordered(due, lambda one: sampled_from(proposal, one.example, engine, run), engine)
            for batch in cut(ranked, engine.batch_size):
                first = batch[0]
                if not run.ledger.has_trial(iteration, purpose, first.example.id, first.attempt, retry):
                    trials = _draw_batch(batch, proposal, engine, run, iteration, purpose, retry)
                    scores = _score(trials, batch, levels_under, engine, run) if levels_under else None
                    run.ledger.append(trials, scores)
                advance(len(batch))


def _unsatisfied(
    queue: Sequence[Example], scheme: Scheme, run: SamplingContext, iteration: int, number: int
) -> list[Example]:
    """Return the examples of this round, from earlier rounds alone, so that a resumed run gets the same ones."""
    history = run.ledger.outcomes(iteration, Purpose.TRAIN)
    exact = run.exact(scheme)
    pending = []
    for x in queue:
        before = [(exact[a], history[x.id, a][-1]) for a in range(number) if (x.id, a) in history]
        failed = any(outcome is Outcome.ENGINE_FAILED for _, outcome in before)
        if not failed and not scheme.selector.satisfied(before):
            pending.append(x)
    return pending


def _draw_batch(
    batch: Sequence[DrawRequest],
    proposal: Proposal,
    engine: Engine,
    run: SamplingContext,
    iteration: int,
    purpose: Purpose,
    retry: int,
) -> list[Trial]:
    requests = [request_for(draw_request, proposal, engine, run, iteration, purpose) for draw_request in batch]
    drafts = _drafts(batch, requests, proposal, engine, run)
    if closes(run, proposal, purpose):
        drafts = close_all(drafts, requests, [one.example.fields for one in batch], engine, run.task)
    return [
        trial_of(draw_request, proposal, request, draft, run, iteration=iteration, purpose=purpose, retry=retry)
        for draw_request, request, draft in zip(batch, requests, drafts, strict=True)
    ]


def _drafts(
    batch: Sequence[DrawRequest], requests: Sequence[Request], proposal: Proposal, engine: Engine, run: SamplingContext
) -> list[Draft]:
    if proposal.prompt == "answer":
        return [answer_draft(t, r.prompt, engine, run.task) for t, r in zip(batch, requests, strict=True)]
    if proposal.prompt == "posterior":
        return draw_posterior(
            [draw_request.example for draw_request in batch],
            [request.prompt for request in requests],
            [request.seed for request in requests],
            engine,
            run.task,
            threshold=run.enumerate_above,
            max_new_tokens=run.sampling.max_new_tokens,
        )
    return engine.sample(requests)


def _score(
    trials: Sequence[Trial], batch: Sequence[DrawRequest], under: Proposal, engine: Engine, run: SamplingContext
) -> dict[tuple[str, int], LevelScores]:
    queries = {
        draw_request.key: query
        for draw_request, trial in zip(batch, trials, strict=True)
        if (query := trial_query(trial, draw_request.example, under, engine, run)) is not None
    }
    return {key: level_scores(queries[key], logps, engine) for key, logps in score_levels(queries, engine).items()}
