"""Requests -> trials in the ledger: what the E-step and the evaluation have in common.

``draw`` makes independent draws, ``attempt`` a plan's attempts in order. How they are served is the engine's nature:

- an engine that takes batches draws in **rounds** (``rounds.py``): the order of work is computed from finished rounds
  alone, a batch is one transaction, so a killed run meets the same batches again and skips those that are written;
- an engine that takes requests one by one is **refilled** (``refill.py``): the moment an example's attempt has failed
  its next one is submitted. The trials and their seeds are the same; only who was under way with whom is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rationem.sampling import refill, rounds
from rationem.sampling.schemes import Proposal, Scheme
from rationem.sampling.trials import DrawRequest, SamplingContext
from rationem.types import Concurrent, Engine, Example, Purpose

__all__ = ["attempt", "draw"]


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
    """Serve every request once, and again those that the engine failed, up to ``run.retries`` times.

    Args:
        levels_under: also write log pi(level | prompt, z) of every level under the prompt of this proposal, for each
            draft that reached a verdict marker.
    """
    kind = refill if _flows(engine, [proposal]) else rounds
    kind.draw(
        draw_requests,
        proposal,
        engine,
        run,
        iteration=iteration,
        purpose=purpose,
        label=label,
        levels_under=levels_under,
    )


def attempt(
    queue: Sequence[Example],
    scheme: Scheme,
    engine_for: Callable[[Proposal], Engine],
    run: SamplingContext,
    *,
    iteration: int,
) -> None:
    """Try the plan's proposals in order for every example, until its selector is satisfied.

    Args:
        queue: the training examples whose prompts fit.
        engine_for: a proposal's engine.
    """
    flow = all(_flows(engine_for(proposal), [proposal]) for proposal in dict.fromkeys(scheme.plan))
    kind = refill if flow else rounds
    kind.attempt(queue, scheme, engine_for, run, iteration=iteration)


def _flows(engine: Engine, proposals: Sequence[Proposal]) -> bool:
    """Say whether an engine can be refilled: a posterior is enumerated in batches, whatever the engine."""
    return isinstance(engine, Concurrent) and all(one.prompt != "posterior" for one in proposals)
