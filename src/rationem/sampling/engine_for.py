"""The engine of each proposal: on the current weights, on the frozen base model, or the teacher's."""

from __future__ import annotations

from collections.abc import Callable

from rationem.engines.pool import EnginePool
from rationem.sampling.schemes import Proposal, Scheme
from rationem.types import Engine


def engine_for(scheme: Scheme, theta: str, base: str, engines: EnginePool) -> Callable[[Proposal], Engine]:
    """Return a function from a proposal to its engine; if a plan uses the base model, both engines stay open."""

    def opened(proposal: Proposal) -> Engine:
        if proposal.model == "teacher":
            return engines.teacher
        if proposal.model == "base":
            return engines.at(base, beside=theta)
        return engines.at(theta, beside=base if scheme.uses_base else None)

    return opened
