"""How items are rated: the plan of a job, and the drafts of its prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rationem.errors import RunError
from rationem.sampling.batches import nothing
from rationem.sampling.unlabelled import draw
from rationem.tasks.protocol import Task
from rationem.types import Engine, Fields, Prompt, Sampling

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
        coverage: the probability with which an item's set of levels holds a new rating; None without sets.
        threshold: of the conformal score, for that coverage.
    """

    draws: int
    fast: bool
    seed: int
    temperature: float | None
    max_new_tokens: int
    scores: bool = True
    coverage: float | None = None
    threshold: float | None = None

    @property
    def sampling(self) -> Sampling:
        """Greedy, or exact sampling from pi(z | x): averages over drafts are meaningless at another temperature."""
        return Sampling(temperature=0.0 if self.fast else 1.0, max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One sampled rationale with its verdict.

    Args:
        rationale: z.
        said: the level or open answer on its verdict line; None if the item does not offer it or the completion was cut
            off.
        level_logps: log pi(level | x, z) of every level, nats; None without a verdict, without scoring or without
            levels.
    """

    rationale: str
    said: str | None
    level_logps: tuple[float, ...] | None = None


def ask(
    questions: Mapping[Prompt, Fields], plan: Plan, engine: Engine, task: Task, tick: Callable[[], None] = nothing
) -> dict[Prompt, list[Drawn]]:
    """Return the drafts of every prompt, in the order of their numbers.

    Drafts that the engine failed in all retries are left out.

    Args:
        questions: prompt -> the fields of its item.
        tick: called after every batch.

    Raises:
        RunError: the engine failed all drafts of a prompt, so its rating is unknown.
    """
    drawn = draw(
        questions,
        plan.draws,
        engine,
        task,
        seed=plan.seed,
        sampling=plan.sampling,
        retries=RETRIES,
        scores=plan.scores,
        tick=tick,
    )
    unserved = [prompt for prompt, drafts in drawn.items() if not drafts]
    if unserved:
        raise RunError(
            f"The engine failed all drafts of {len(unserved)} prompts, {RETRIES + 1} times each. Is it still running? "
            "Earlier ratings are kept; the same command resumes the job."
        )
    return {
        prompt: [Drawn(draft.parsed.rationale, draft.said, draft.level_logps) for draft in drafts]
        for prompt, drafts in drawn.items()
    }
