"""Each phase of an iteration is done once: timed, recorded with its results, and skipped by a resumed run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rationem import progress
from rationem.ledger import Ledger
from rationem.types import Kept, State


@dataclass(frozen=True, slots=True)
class Concluded:
    """The results of a phase for the ledger.

    Args:
        record: facts about the phase for reports; JSON.
        kept: the kept set of an E-step.
        states: example id -> its state, if the phase decided it.
    """

    record: Mapping[str, Any]
    kept: Sequence[Kept] = ()
    states: Mapping[str, State] = field(default_factory=dict)


def once(ledger: Ledger, iteration: int, phase: str, work: Callable[[], Concluded]) -> dict[str, Any]:
    """Do a phase unless it is done, and return its record."""
    if ledger.record(iteration, phase) is None:
        started = time.perf_counter()
        end = work()
        seconds = time.perf_counter() - started
        ledger.finish(iteration, phase, seconds=seconds, record=end.record, kept=end.kept, states=end.states)
    return ledger.record(iteration, phase) or {}


def train_once(ledger: Ledger, iteration: int, before: str, train: Callable[[Path], dict[str, Any]] | None) -> str:
    """Return the checkpoint of theta_k, trained unless it exists.

    Args:
        ledger: where the checkpoint is published.
        iteration: k.
        before: the checkpoint of theta_{k-1}.
        train: writes theta_k into an empty directory and returns its record; None if nothing was kept, and then theta_k
            = theta_{k-1}.
    """
    target = ledger.checkpoint(iteration)

    def work() -> Concluded:
        if train is None:
            progress.say(f"iteration {iteration}: no trial was accepted; the model is unchanged.")
            return Concluded({"trained": False, "dropped": []})
        with ledger.publish(target) as output:
            record = train(output)
        states = dict.fromkeys(record["dropped"], State.DROPPED_AT_TRAINING)
        return Concluded({"trained": True, **record}, states=states)

    return str(target) if once(ledger, iteration, "m_step", work)["trained"] else before
