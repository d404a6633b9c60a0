"""Prompts -> drawn rationales: each prompt ``draws`` times, in batches of like length, the levels scored behind each.

A draw depends on (seed, text of the prompt, number of the draw): the same item gets the same verdict wherever it
stands in whatever file, up to the last bits, which depend on the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rationem.errors import RunError
from rationem.seeds import seed_for
from rationem.tasks.protocol import Task
from rationem.types import Draft, Engine, Finish, LevelQuery, Parsed, Prompt, Request, Sampling

#: How often a draw that the engine failed is asked again.
RETRIES = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How items are asked.

    Args:
        draws: rationales per prompt.
        fast: one greedy rationale and what it says, without probabilities.
        seed: of the draws.
        temperature: of the calibration; None leaves the probabilities as they are.
        max_new_tokens: the length cut of a completion.
        scores: whether the levels are scored behind each rationale.
    """

    draws: int
    fast: bool
    seed: int
    temperature: float | None
    max_new_tokens: int
    scores: bool = True

    @property
    def sampling(self) -> Sampling:
        """Greedy, or pi(z | x) as it is: averages over draws mean nothing at another temperature."""
        return Sampling(temperature=0.0 if self.fast else 1.0, max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One rationale.

    Args:
        rationale: z.
        said: the level, or the open answer, on its verdict line; None where it names none on offer, or was cut off
            before its end.
        level_logps: log pi(level | x, z) of every level, nats; None where nothing was said or asked, or there are none.
    """

    rationale: str
    said: str | None
    level_logps: tuple[float, ...] | None = None


class _DrawRequest(NamedTuple):
    prompt: Prompt
    number: int


def nothing() -> None:
    """Tell nobody that a batch is done."""


def ask(
    prompts: Iterable[Prompt], plan: Plan, engine: Engine, task: Task, tick: Callable[[], None] = nothing
) -> dict[Prompt, list[Drawn]]:
    """Return the draws of every distinct prompt, in the order of their numbers.

    A draw that the engine failed to the last retry says nothing about the item and is left out. ``tick`` is called
    after every batch.

    Raises:
        RunError: of one prompt the engine served no draw at all; it is not known what the judge says of it.
    """
    draw_requests = _ordered([_DrawRequest(p, m) for p in dict.fromkeys(prompts) for m in range(plan.draws)], engine)
    drafts = _sample(draw_requests, plan, engine, tick)
    unserved = {draw_request.prompt for draw_request in draw_requests} - {
        draw_request.prompt for draw_request in drafts
    }
    if unserved:
        raise RunError(
            f"The engine failed all draws of {len(unserved)} prompts, {RETRIES + 1} times over. Is it still there? "
            "What was rated before is kept; the same command goes on."
        )
    parsed = {draw_request: _parse(draft, task) for draw_request, draft in drafts.items()}
    said = [
        draw_request
        for draw_request in draw_requests
        if draw_request in parsed and parsed[draw_request].answer is not None
    ]
    logps = _score(said, drafts, parsed, engine, task, tick) if plan.scores else {}
    answers: dict[Prompt, list[Drawn]] = {}
    for draw_request in sorted(parsed, key=lambda t: t.number):
        z = parsed[draw_request]
        answers.setdefault(draw_request.prompt, []).append(Drawn(z.rationale, z.answer, logps.get(draw_request)))
    return answers


def _ordered(draw_requests: Sequence[_DrawRequest], engine: Engine) -> list[_DrawRequest]:
    """By length, for less padding; draws of one prompt side by side, for the engine reads each prompt once a batch."""
    keys = {prompt: (engine.prompt_tokens(prompt), _key(prompt)) for prompt, _ in draw_requests}
    return sorted(draw_requests, key=lambda t: (*keys[t.prompt], t.number))


def _key(prompt: Prompt) -> str:
    return hashlib.sha256(prompt.text.encode()).hexdigest()


def _sample(
    draw_requests: Sequence[_DrawRequest], plan: Plan, engine: Engine, tick: Callable[[], None]
) -> dict[_DrawRequest, Draft]:
    drafts: dict[_DrawRequest, Draft] = {}
    for _ in range(RETRIES + 1):
        for batch in _batches([draw_request for draw_request in draw_requests if draw_request not in drafts], engine):
            requests = [
                Request(t.prompt, plan.sampling, seed_for(plan.seed, _key(t.prompt), t.number, "judge")) for t in batch
            ]
            found = zip(batch, engine.sample(requests), strict=True)
            drafts.update((draw_request, draft) for draw_request, draft in found if draft.finish is not Finish.FAILED)
            tick()
    return drafts


def _parse(draft: Draft, task: Task) -> Parsed:
    """What a completion that was cut off says is no verdict."""
    parsed = task.parse(draft.text)
    return parsed if draft.finish is Finish.STOP else replace(parsed, answer=None)


def _score(
    draw_requests: Sequence[_DrawRequest],
    drafts: Mapping[_DrawRequest, Draft],
    parsed: Mapping[_DrawRequest, Parsed],
    engine: Engine,
    task: Task,
    tick: Callable[[], None],
) -> dict[_DrawRequest, tuple[float, ...]]:
    scored: dict[_DrawRequest, tuple[float, ...]] = {}
    for batch in _batches(draw_requests, engine):
        queries = [LevelQuery(t.prompt, drafts[t], parsed[t].marker_end or 0, task.continuations) for t in batch]
        scored.update(zip(batch, engine.score_levels(queries), strict=True))
        tick()
    return scored


def _batches(draw_requests: Sequence[_DrawRequest], engine: Engine) -> Iterator[Sequence[_DrawRequest]]:
    for start in range(0, len(draw_requests), engine.batch_size):
        yield draw_requests[start : start + engine.batch_size]
