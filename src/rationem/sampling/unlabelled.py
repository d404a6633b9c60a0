"""Drafts for items without a known answer: parsed as in training and evaluation, never rewarded, kept in memory.

A draft depends on (seed, text of the prompt, number of the draft): the same item gets the same drafts in any file and
row, up to the last bits, which depend on the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rationem.sampling.batches import Key, cut, in_rounds, nothing, ordered, score_levels
from rationem.sampling.trials import level_query, read
from rationem.seeds import seed_for
from rationem.tasks.protocol import Task
from rationem.types import Draft, Engine, Fields, LevelQuery, Outcome, Parsed, Prompt, Request, Sampling


@dataclass(frozen=True, slots=True)
class UnlabelledDraft:
    """One draft and what it says.

    Args:
        outcome: why there is no usable answer; None if there is one.
        level_logps: log pi(level | x, z) of every level, nats; None if they were not scored.
    """

    draft: Draft
    parsed: Parsed
    outcome: Outcome | None
    level_logps: tuple[float, ...] | None = None

    @property
    def said(self) -> str | None:
        """The answer; None if the item does not offer it or the completion was cut off."""
        return None if self.outcome else self.parsed.answer


@dataclass(frozen=True, slots=True)
class _PromptRequest:
    prompt: Prompt
    fields: Fields
    name: str
    number: int

    @property
    def key(self) -> Key:
        return self.name, self.number


def draw(
    questions: Mapping[Prompt, Fields],
    draws: int,
    engine: Engine,
    task: Task,
    *,
    seed: int,
    sampling: Sampling,
    retries: int,
    scores: bool,
    tick: Callable[[], None] = nothing,
) -> dict[Prompt, list[UnlabelledDraft]]:
    """Return the drafts of every prompt, in the order of their numbers, without those that the engine failed.

    Args:
        questions: forward prompt -> the fields that it shows.
        draws: drafts per prompt.
        retries: how often a draft that the engine failed is drawn again.
        scores: whether the levels are scored after each draft with an answer.
        tick: called after every batch.
    """
    requests = ordered(_requests(questions, draws), lambda request: request.prompt, engine)
    drawn = _sample(requests, engine, task, seed, sampling, retries, tick)
    logps = score_levels(_queries(requests, drawn, task), engine, tick) if scores else {}
    found: dict[Prompt, list[UnlabelledDraft]] = {prompt: [] for prompt in questions}
    for request in sorted(requests, key=lambda request: request.number):
        if request.key in drawn:
            found[request.prompt].append(replace(drawn[request.key], level_logps=logps.get(request.key)))
    return found


def _requests(questions: Mapping[Prompt, Fields], draws: int) -> list[_PromptRequest]:
    names = {prompt: hashlib.sha256(prompt.text.encode()).hexdigest() for prompt in questions}
    return [_PromptRequest(x, fields, names[x], number) for x, fields in questions.items() for number in range(draws)]


def _sample(
    requests: Sequence[_PromptRequest],
    engine: Engine,
    task: Task,
    seed: int,
    sampling: Sampling,
    retries: int,
    tick: Callable[[], None],
) -> dict[Key, UnlabelledDraft]:
    """Return the drafts that the engine served, by the key of their request."""
    drawn: dict[Key, UnlabelledDraft] = {}
    history: dict[Key, list[Outcome | None]] = {}
    for _, due in in_rounds(requests, lambda: history, retries):
        for batch in cut(due, engine.batch_size):
            sent = [Request(one.prompt, sampling, seed_for(seed, *one.key, "judge")) for one in batch]
            for request, draft in zip(batch, engine.sample(sent), strict=True):
                parsed, outcome = read(draft, request.fields, task)
                history.setdefault(request.key, []).append(outcome)
                if outcome is not Outcome.ENGINE_FAILED:
                    drawn[request.key] = UnlabelledDraft(draft, parsed, outcome)
            tick()
    return drawn


def _queries(
    requests: Sequence[_PromptRequest], drawn: Mapping[Key, UnlabelledDraft], task: Task
) -> dict[Key, LevelQuery]:
    """Return the queries of the drafts with an answer."""
    answered = [(one, drawn[one.key]) for one in requests if one.key in drawn and drawn[one.key].said is not None]
    queries = {one.key: level_query(one.prompt, x.draft, x.parsed, task.continuations) for one, x in answered}
    return {key: query for key, query in queries.items() if query is not None}
