"""Requests -> trials in the ledger, batch by batch: what the E-step and the evaluation have in common.

The order of work is computed from finished rounds alone (never from what happens to be owed), and a batch is one
transaction; so a killed run meets the same batches again, skips those that are written, and draws the same rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rationem import leaks, progress
from rationem.ledger import Ledger
from rationem.posterior import draw_posterior
from rationem.schemes import Proposal
from rationem.seeds import seed_for
from rationem.types import (
    Draft,
    Engine,
    Example,
    Finish,
    LevelQuery,
    LevelScores,
    Outcome,
    Parsed,
    Prompt,
    Purpose,
    Request,
    Sampling,
    Task,
    Trial,
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What stays the same over all draws of a run.

    Args:
        sampling: how to draw; the scheme's exactness claims hold at temperature 1 without top-p and top-k.
        threshold: a trial is accepted if its reward reaches this, in (0, 1].
        retries: how often a draw that the engine failed is owed again before its example is set aside.
        max_prompt_tokens: longer prompts are never sent; their examples are counted as too long.
        enumerate_above: where the posterior is enumerated, prefixes less probable than this are not followed.
        leaks: phrases that a hinted rationale must not hold; one that does is ``leaked``, not accepted.
    """

    task: Task
    ledger: Ledger
    seed: int
    sampling: Sampling
    threshold: float = 1.0
    retries: int = 2
    max_prompt_tokens: int = 1024
    leaks: tuple[str, ...] = ()
    enumerate_above: float = 1e-3

    def as_it_is(self) -> Drawing:
        """Return the same without anything that warps or filters draws: what measures a model, not what trains it."""
        return replace(self, sampling=Sampling(max_new_tokens=self.sampling.max_new_tokens), leaks=())


@dataclass(frozen=True, slots=True)
class Ticket:
    """One draw to make: the attempt number is part of its seed."""

    example: Example
    attempt: int


def prompt_for(proposal: Proposal, example: Example, task: Task) -> Prompt:
    """Return the prompt that a proposal samples from: only "rationalize" is ever handed the answer."""
    if proposal.prompt == "rationalize":
        return task.hint_prompt(example.fields, example.answer)
    return task.prompt(example.fields)


def fits(example: Example, proposals: Sequence[Proposal], engine: Engine, run: Drawing) -> bool:
    """Say whether every prompt that these proposals could need is within the limit."""
    prompts = {prompt_for(proposal, example, run.task) for proposal in proposals}
    return all(engine.prompt_tokens(prompt) <= run.max_prompt_tokens for prompt in prompts)


def draw(
    tickets: Sequence[Ticket],
    proposal: Proposal,
    engine: Engine,
    run: Drawing,
    *,
    iteration: int,
    purpose: Purpose,
    label: str,
    levels_under: Proposal | None = None,
) -> None:
    """Draw every ticket once, and again those that the engine failed, up to ``run.retries`` times.

    Args:
        levels_under: also write log pi(level | prompt, z) of every level under the prompt of this proposal, for each
            draft that reached a verdict marker.
    """
    for retry in range(run.retries + 1):
        history = run.ledger.outcomes(iteration, purpose)
        due = [ticket for ticket in tickets if _is_due(history.get(_key(ticket), []), retry)]
        if not due:
            return
        with progress.track(label, len(due)) as advance:
            for batch in _batches(due, proposal, engine, run.task):
                first = batch[0]
                if not run.ledger.has_trial(iteration, purpose, first.example.id, first.attempt, retry):
                    trials = _draw_batch(batch, proposal, engine, run, iteration, purpose, retry)
                    scores = _score(trials, batch, levels_under, engine, run.task) if levels_under else None
                    run.ledger.append(trials, scores)
                advance(len(batch))


def judge(
    draft: Draft, answer: str, task: Task, threshold: float, phrases: Sequence[str] = ()
) -> tuple[Parsed, Outcome, float]:
    """Return what a draft says, what became of it, and its reward r(y_hat, y*); the one place that classifies.

    Args:
        phrases: what the rationale must not hold to be accepted; none where the answer was not in its prompt.
    """
    if draft.finish is Finish.FAILED:
        return Parsed("", None), Outcome.ENGINE_FAILED, 0.0
    parsed = task.parse(draft.text)
    if draft.finish is Finish.LENGTH:
        return parsed, Outcome.TRUNCATED, 0.0
    if parsed.answer is None:
        return parsed, Outcome.UNPARSEABLE, 0.0
    reward = task.reward(parsed.answer, answer)
    if reward < threshold:
        return parsed, Outcome.WRONG, reward
    return parsed, Outcome.LEAKED if leaks.find(parsed.rationale, phrases) else Outcome.ACCEPTED, reward


def _is_due(outcomes: Sequence[Outcome], retry: int) -> bool:
    """A draw belongs to a round if it failed in every earlier one, whatever later rounds already hold."""
    return len(outcomes) >= retry and all(outcome is Outcome.ENGINE_FAILED for outcome in outcomes[:retry])


def _key(ticket: Ticket) -> tuple[str, int]:
    return ticket.example.id, ticket.attempt


def _batches(tickets: Sequence[Ticket], proposal: Proposal, engine: Engine, task: Task) -> Iterator[Sequence[Ticket]]:
    """Yield batches of like length: less padding, and an order that depends on nothing but the tickets."""

    def order(ticket: Ticket) -> tuple[int, str, int]:
        return (
            engine.prompt_tokens(prompt_for(proposal, ticket.example, task)),
            ticket.example.id,
            ticket.attempt,
        )

    ordered = sorted(tickets, key=order)
    for start in range(0, len(ordered), engine.batch_size):
        yield ordered[start : start + engine.batch_size]


def _draw_batch(
    batch: Sequence[Ticket],
    proposal: Proposal,
    engine: Engine,
    run: Drawing,
    iteration: int,
    purpose: Purpose,
    retry: int,
) -> list[Trial]:
    seeds = [seed_for(run.seed, iteration, t.example.id, t.attempt, purpose) for t in batch]
    prompts = [prompt_for(proposal, ticket.example, run.task) for ticket in batch]
    if proposal.prompt == "answer":
        drafts = [
            _answer(ticket.example, prompt, engine, run.task) for ticket, prompt in zip(batch, prompts, strict=True)
        ]
    elif proposal.prompt == "posterior":
        drafts = draw_posterior(
            [ticket.example for ticket in batch],
            prompts,
            seeds,
            engine,
            run.task,
            threshold=run.enumerate_above,
            max_new_tokens=run.sampling.max_new_tokens,
        )
    else:
        drafts = engine.sample([Request(p, run.sampling, s) for p, s in zip(prompts, seeds, strict=True)])
    phrases = run.leaks if proposal.hinted else ()
    trials = []
    for ticket, seed, draft in zip(batch, seeds, drafts, strict=True):
        parsed, outcome, reward = judge(draft, ticket.example.answer, run.task, run.threshold, phrases)
        trials.append(
            Trial(
                iteration,
                purpose,
                ticket.example.id,
                ticket.attempt,
                retry,
                str(proposal),
                seed,
                draft,
                parsed,
                outcome,
                reward,
            )
        )
    return trials


def _answer(example: Example, prompt: Prompt, engine: Engine, task: Task) -> Draft:
    text = task.format("", example.answer)
    return Draft(text, engine.encode_completion(text), Finish.STOP, engine.prompt_tokens(prompt))


def _score(
    trials: Sequence[Trial], batch: Sequence[Ticket], under: Proposal, engine: Engine, task: Task
) -> dict[tuple[str, int], LevelScores]:
    asked = [
        (
            _key(ticket),
            LevelQuery(prompt_for(under, ticket.example, task), trial.draft, end, task.continuations),
        )
        for ticket, trial in zip(batch, trials, strict=True)
        if (end := trial.parsed.marker_end) is not None and trial.outcome is not Outcome.ENGINE_FAILED
    ]
    scored = engine.score_levels([query for _, query in asked])
    return {
        key: LevelScores(logps, whole=_ends_a_token(query, engine))
        for (key, query), logps in zip(asked, scored, strict=True)
    }


def _ends_a_token(query: LevelQuery, engine: Engine) -> bool:
    return engine.tokens_within(query.draft, query.upto) > engine.tokens_within(query.draft, query.upto - 1)
