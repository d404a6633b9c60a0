"""A run's ledger as the report reads it, and what is the same for all iterations."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rationem import world
from rationem.errors import ConfigError
from rationem.evaluation.choice import Validated
from rationem.evaluation.diagnostics.hints import Faithful
from rationem.ledger import read_examples, read_manifest
from rationem.ledger.phases import read_record
from rationem.metrics.open_answers import Reward
from rationem.tasks import from_description
from rationem.tasks.built_in import described
from rationem.tasks.kinds import Kind
from rationem.tasks.scale import Scale
from rationem.types import Example

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run's open ledger and the content of its manifest.

    Args:
        sets: split -> its examples.
        kind: the kind of the task.
        reward: r(y_hat, y*); None if it is not available: a user's own task is a program that is not run here.
        config: the settings.
        faithful: decides whether a rationale is true of the inputs; None if that cannot be known.
    """

    db: sqlite3.Connection
    sets: Mapping[str, tuple[Example, ...]]
    kind: Kind
    reward: Reward | None
    config: Mapping[str, Any]
    faithful: Faithful | None

    @property
    def scale(self) -> Scale:
        """The answers and their order."""
        return self.kind.scale

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.config.get("seed", 0))

    def validated(self, last: int) -> Validated:
        """Return what validation measured of iterations 0 to ``last``.

        A manifest without the score's name is written by hand and uses whatever was measured; one without
        ``choose_within`` is older than that setting, and the highest score chose.
        """
        by = self.config.get("choose_by") or ("evidence" if self.record(0, "evidence") else "log_likelihood")
        within = self.config.get("choose_within") or 0.0
        return Validated(self.db, self.sets["validation"], self.sets["train"], self.kind, by, within, last, self.seed)

    def record(self, iteration: int, phase: str) -> dict[str, Any] | None:
        """Return the record of a finished phase, or None if it is not finished."""
        return read_record(self.db, iteration, phase)


def _reward(task: Mapping[str, Any]) -> Reward | None:
    if task.get("reward") == "exact":
        return lambda predicted, answer: float(predicted == answer)
    try:
        return from_description(task).reward
    except ConfigError:
        return None


def read_run(db: sqlite3.Connection) -> Recorded:
    """Return the run of a ledger."""
    manifest = read_manifest(db)
    task = manifest["task"]
    sets = {split: read_examples(db, split) for split in SPLITS}
    return Recorded(
        db,
        sets,
        described(task),
        _reward(task),
        manifest["config"],
        world.faithful_of(manifest["notes"]),
    )
