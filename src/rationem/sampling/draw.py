"""Requests -> trials in the ledger: the part that the E-step and the evaluation share.

``draw`` makes independent drafts, ``attempt`` the attempts of a plan in order. The kind of engine decides the order of
work:

- with an engine that takes batches, drafts come in **rounds** (``rounds.py``): the order of work is computed from
  finished rounds alone, and a batch is one transaction. A killed run therefore repeats the same batches and skips those
  that are written;
- with an engine that takes single requests, drafts are **refilled** (``refill.py``): the next attempt of an example is
  submitted as soon as the last one has failed. Trials and seeds are the same; only which requests run at the same time
  differs.
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
    """Serve every request once, and retry those that the engine failed, up to ``run.retries`` times.

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
    """Try the proposals of the plan in order for every example, until its selector is satisfied.

    Args:
        queue: the training examples whose prompts fit.
        engine_for: maps a proposal to its engine.
    """
    flow = all(_flows(engine_for(proposal), [proposal]) for proposal in dict.fromkeys(scheme.plan))
    kind = refill if flow else rounds
    kind.attempt(queue, scheme, engine_for, run, iteration=iteration)


def _flows(engine: Engine, proposals: Sequence[Proposal]) -> bool:
    """Return whether an engine can be refilled; a posterior is enumerated in batches on every engine."""
    return isinstance(engine, Concurrent) and all(one.prompt != "posterior" for one in proposals)
