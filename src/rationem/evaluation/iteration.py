"""The summary of one iteration, read from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rationem.evaluation.evaluate import validation_score
from rationem.ledger import Ledger


@dataclass(frozen=True, slots=True)
class EMInfo:
    """A summary of one iteration for people to read."""

    iteration: int
    outcomes: dict[str, int]
    states: dict[str, int]
    generated_tokens: int
    prompt_tokens: int
    kept: int
    training: dict[str, Any]
    validation_log_likelihood: float | None
    evidence: float | None


def describe(k: int, ledger: Ledger) -> EMInfo:
    """Return the summary of iteration k, read from the ledger."""
    drawn, training = (ledger.record(k, phase) or {} for phase in ("e_step", "m_step"))
    return EMInfo(
        k,
        drawn["outcomes"],
        ledger.state_counts(k),
        drawn["generated_tokens"],
        drawn["prompt_tokens"],
        len(ledger.kept(k)),
        training,
        validation_score(ledger, k, "log_likelihood"),
        validation_score(ledger, k, "evidence"),
    )
