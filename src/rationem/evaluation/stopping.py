"""Conditions that end a run before its last iteration."""

from __future__ import annotations

from dataclasses import dataclass

from rationem.evaluation.diagnostics.cold_start import refuse_cold_start
from rationem.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Stopping:
    """Conditions that end a run before its last iteration.

    Args:
        patience: stop after this many iterations without a better validation score; None runs all.
        token_budget: stop after the iteration whose E-steps together generated the number of tokens nearest to this.
        cold: stop with an error after an E-step that kept next to nothing.
    """

    patience: int | None = None
    token_budget: int | None = None
    cold: bool = False

    def after_e_step(self, ledger: Ledger, iteration: int) -> None:
        """Refuse to train on next to nothing, if asked to.

        Raises:
            ColdStart: see :func:`.refuse_cold_start`.
        """
        if self.cold:
            refuse_cold_start(ledger, iteration)
