"""Finds the faster engine for a model on this machine, by sampling from the user's own prompts with each.

What counts is the time of one batch of completions; the start of a server is not in it, because a run pays for it once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

from rationem import progress
from rationem.engines.opening import EngineConfig, opening
from rationem.engines.table import ENGINES
from rationem.errors import RationemError
from rationem.types import Engine, Prompt, Request, Sampling

#: Engines that can be compared here, in the order of preference at equal speed.
CANDIDATES = ("transformers", "vllm")
#: Completions of the measured batch, and their most tokens.
_ROWS, _TOKENS = 32, 48
#: An engine must be faster by this share to be worth a server.
_WORTH = 0.1


@dataclass(frozen=True, slots=True)
class Fastest:
    """The chosen engine, and what was measured.

    Args:
        engine: its name.
        tokens_per_second: engine -> new tokens per second, of those that could be measured.
        failed: engine -> why it could not be.
    """

    engine: str
    tokens_per_second: Mapping[str, float]
    failed: Mapping[str, str]


def fastest(
    choice: EngineConfig, checkpoint: str, prompts: Sequence[Prompt], new_tokens: int, names: Sequence[str] = CANDIDATES
) -> Fastest:
    """Return the engine that draws the most tokens per second from these prompts.

    Args:
        choice: the settings of the engines.
        checkpoint: the model.
        prompts: some of the user's prompts; repeated if there are few.
        new_tokens: the length limit of completions.
        names: the engines; the first is chosen unless another is faster by a tenth.

    Raises:
        RationemError: the first one fails.
    """
    rates: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            with opening(replace(choice, engine=name)) as open_engine:
                rates[name] = _rate(open_engine(checkpoint), prompts, min(new_tokens, _TOKENS))
        except RationemError as error:
            if name == names[0]:
                raise
            failed[name] = str(error)
    best = max(rates, key=lambda name: rates[name])
    worth = rates[best] > (1 + _WORTH) * rates[names[0]]
    return Fastest(best if worth else names[0], rates, failed)


def told(found: Fastest) -> str:
    """Return one line that says what was measured and chosen."""
    rates = ", ".join(f"{ENGINES[name].title} {rate:.0f}" for name, rate in found.tokens_per_second.items())
    failed = "".join(f" {ENGINES[name].title} did not start: {why}" for name, why in found.failed.items())
    return f"Engine: {ENGINES[found.engine].title}, chosen by measurement (tokens per second: {rates}).{failed}"


def _rate(engine: Engine, prompts: Sequence[Prompt], tokens: int) -> float:
    try:
        engine.sample(_requests(prompts, 1, 2))  # the first call of a process is slower
        with progress.track("measuring an engine", 1) as advance:
            started = time.perf_counter()
            drafts = engine.sample(_requests(prompts, _ROWS, tokens))
            taken = time.perf_counter() - started
            advance(1)
    finally:
        engine.close()
    return sum(len(draft.token_ids) for draft in drafts) / taken


def _requests(prompts: Sequence[Prompt], count: int, tokens: int) -> list[Request]:
    sampling = Sampling(max_new_tokens=tokens)
    return [Request(prompt, sampling, seed) for seed, prompt in enumerate(islice(cycle(prompts), count))]
