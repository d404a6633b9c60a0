"""Prompts -> sampled rationales: ``draws`` per prompt, in batches of similar length, with the levels scored after each.

A draft depends on (seed, text of the prompt, number of the draft): the same item gets the same verdict in any file and
row, up to the last bits, which depend on the batch.
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

#: Retries of a draft that the engine failed.
RETRIES = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How items are rated.

    Args:
        draws: rationales per prompt.
        fast: one greedy rationale and its verdict, without probabilities.
        seed: the seed of the drafts.
        temperature: the calibration's temperature; None leaves the probabilities uncalibrated.
        max_new_tokens: the length limit of a completion.
        scores: whether the levels are scored after each rationale.
    """

    draws: int
    fast: bool
    seed: int
    temperature: float | None
    max_new_tokens: int
    scores: bool = True

    @property
    def sampling(self) -> Sampling:
        """Greedy, or exact sampling from pi(z | x): averages over drafts are meaningless at another temperature."""
        return Sampling(temperature=0.0 if self.fast else 1.0, max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One sampled rationale with its verdict.

    Args:
        rationale: z.
        said: the level or open answer on its verdict line; None if it is not on offer or the completion was cut off.
        level_logps: log pi(level | x, z) of every level, nats; None without a verdict, without scoring or without
            levels.
    """

    rationale: str
    said: str | None
    level_logps: tuple[float, ...] | None = None


class _DrawRequest(NamedTuple):
    prompt: Prompt
    number: int


def nothing() -> None:
    """Do nothing: the default callback after a batch."""


def ask(
    prompts: Iterable[Prompt], plan: Plan, engine: Engine, task: Task, tick: Callable[[], None] = nothing
) -> dict[Prompt, list[Drawn]]:
    """Return the drafts of every distinct prompt, in the order of their numbers.

    Drafts that the engine failed in all retries are left out. ``tick`` is called after every batch.

    Raises:
        RunError: the engine failed all drafts of a prompt, so its rating is unknown.
    """
    draw_requests = _ordered([_DrawRequest(p, m) for p in dict.fromkeys(prompts) for m in range(plan.draws)], engine)
    drafts = _sample(draw_requests, plan, engine, tick)
    unserved = {draw_request.prompt for draw_request in draw_requests} - {
        draw_request.prompt for draw_request in drafts
    }
    if unserved:
        raise RunError(
            f"The engine failed all drafts of {len(unserved)} prompts, {RETRIES + 1} times each. Is it still running? "
            "Earlier ratings are kept; the same command resumes the job."
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
    """Sort by length, for less padding, with one prompt's drafts together: a batch reads each prompt only once."""
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
    """Parse a draft; a completion that was cut off has no verdict."""
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
