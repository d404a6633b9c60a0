"""Draws from the posterior pi(z | x, y*) by enumerating the rationales: enumerated EM, for small models.

    z ~ pi(z | x, y*) = pi(z | x) pi(y* | x, z) / p(y* | x),    over the rationales found

Unexplored rationales are missing from the draws, so this is EM up to a known error: at most a share 1 - lower / upper
of an example's posterior is missing (:func:`rationem.metrics.evidence.posterior_leaves`). Reports print it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rationem import progress
from rationem.errors import ConfigError
from rationem.metrics.evidence import Enumeration, bounds, pick
from rationem.seeds import uniforms
from rationem.tasks.protocol import Task
from rationem.types import Draft, Engine, Example, Finish, Prompt

#: The unexplored share of probability from which a warning is given.
_MUCH = 0.5


@runtime_checkable
class Enumerator(Protocol):
    """An engine that can also enumerate its completions."""

    def enumerate(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, threshold: float, max_new_tokens: int
    ) -> list[Enumeration]:
        """Return every rationale whose prefixes are all more probable than ``threshold``, per prompt."""
        ...


def enumerator(engine: Engine, asked: str) -> Enumerator:
    """Return the engine if it can enumerate.

    Raises:
        ConfigError: it cannot; ``asked`` names what needs it.
    """
    if not isinstance(engine, Enumerator):
        raise ConfigError(
            f"{asked} enumerates rationales, which {type(engine).__name__} cannot do. Use the transformers engine, or "
            "omit it."
        )
    return engine


def draw_posterior(
    examples: Sequence[Example],
    prompts: Sequence[Prompt],
    seeds: Sequence[int],
    engine: Engine,
    task: Task,
    *,
    threshold: float,
    max_new_tokens: int,
) -> list[Draft]:
    """Return one completion (z, y*) per example, with z drawn from its posterior; an empty one if no z leads to y*.

    Args:
        prompts: the forward prompts.
        seeds: one per example; a draw uses its first uniform.
        threshold: prefixes less probable than this are not followed.

    Raises:
        ConfigError: the engine cannot enumerate.
    """
    found = enumerator(engine, "The scheme exact").enumerate(
        prompts, task.continuations, threshold=threshold, max_new_tokens=max_new_tokens
    )
    unexplored = sum(enumeration.unexplored for enumeration in found) / len(found)
    if unexplored > _MUCH:
        progress.say(
            f"Warning: {100 * unexplored:.0f} % of the rationales' probability is on prefixes less probable than "
            f"{threshold:g}, which are not followed: these drafts are far from the posterior. Lower --enumerate-above."
        )
    return [
        _draft(enumeration, task.levels.index(x.answer), uniforms(seed, 1)[0], prompt, engine, task)
        for x, prompt, seed, enumeration in zip(examples, prompts, seeds, found, strict=True)
    ]


def _draft(enumeration: Enumeration, answer: int, uniform: float, prompt: Prompt, engine: Engine, task: Task) -> Draft:
    prompt_tokens = engine.prompt_tokens(prompt)
    if bounds(enumeration, answer)[0] == 0:
        return Draft("", (), Finish.STOP, prompt_tokens)
    leaf = pick(enumeration, answer, uniform)
    verdict = task.continuations[answer]
    ids = (*leaf.token_ids, *engine.encode_completion(verdict, leaf.text))
    return Draft(f"{leaf.text}{verdict}", ids, Finish.STOP, prompt_tokens)
