"""The validation results of every iteration, item by item, for choosing again without some of the items."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rationem import metrics
from rationem.evaluation.diagnostics.draws import PHASE
from rationem.evaluation.diagnostics.evidence import evidence_scores
from rationem.ledger import read_predictions
from rationem.ledger.phases import read_record
from rationem.metrics.per_item import log_likelihoods
from rationem.tasks.kinds import Kind
from rationem.types import Example, Prediction


@dataclass(frozen=True)
class Validated:
    """The validation set of a run as its ledger holds it.

    Args:
        db: the ledger.
        examples: validation items.
        train: training items, for the marginals.
        kind: the kind of the task.
        choose_by: the score that chooses, "evidence" or "log_likelihood".
        within: how many standard errors better another iteration must be, see :func:`rationem.metrics.choose`.
        last: the last iteration.
        seed: deals the folds.
    """

    db: sqlite3.Connection
    examples: Sequence[Example]
    train: Sequence[Example]
    kind: Kind
    choose_by: str
    within: float
    last: int
    seed: int

    @cached_property
    def predictions(self) -> dict[int, list[Prediction]]:
        """Iteration -> its predictions, of the iterations that have any."""
        found = {k: list(read_predictions(self.db, k, "validation")) for k in range(self.last + 1)}
        return {k: several for k, several in found.items() if several}

    @cached_property
    def scores(self) -> dict[int, dict[str, float]]:
        """Iteration -> example id -> the score whose mean chooses, nats."""
        return {k: _SCORES[self.choose_by](self, k) for k in self.predictions}

    @cached_property
    def chosen(self) -> metrics.Selected | None:
        """The choice among the iterations; None if no score was measured."""
        return metrics.choose(self.scores, self.examples, self.within)

    @property
    def best(self) -> int:
        """The chosen iteration; the last if none can be chosen."""
        return self.last if self.chosen is None else self.chosen.taken

    @cached_property
    def equals(self) -> tuple[int, ...]:
        """The iterations that no other beats by one standard error, whatever the rule of the run."""
        found = metrics.choose(self.scores, self.examples, within=1.0)
        return () if found is None else found.unbeaten

    @cached_property
    def fold_of(self) -> Mapping[str, int]:
        """Group -> fold."""
        return metrics.folds((x.group for x in self.examples), self.seed)

    @cached_property
    def chosen_without(self) -> Mapping[int, int]:
        """Fold -> the iteration that the other folds choose."""
        return metrics.chosen_without(self.scores, self.examples, self.fold_of, self.within)

    def crossfitted(self) -> list[Prediction]:
        """Return one prediction per example, of the iteration chosen without its fold."""
        return metrics.crossfitted(self.predictions, self.examples, self.fold_of, self.chosen_without, self.best)

    def rechosen(self) -> metrics.Rechosen | None:
        """Return the choice, made again; None with one fold or no scores."""
        return metrics.rechosen(self.scores, self.examples, self.fold_of, seed=self.seed, within=self.within)

    def conformal(self) -> metrics.Thresholds | None:
        """Return the thresholds of conformal sets, each fold scored without it; None with one fold."""
        return metrics.conformal(
            self.predictions, self.examples, self.kind.scale, self.fold_of, self.chosen_without, self.best
        )


def item_evidence(
    db: sqlite3.Connection,
    iteration: int,
    examples: Sequence[Example],
    train: Sequence[Example],
    kind: Kind,
    phase: str = PHASE,
) -> dict[str, float]:
    """Return example id -> the score of its evidence, nats; empty if the phase was not measured."""
    asked = read_record(db, iteration, phase)
    if asked is None:
        return {}
    marginals = metrics.marginals(train, kind.scale, metrics.parts(examples))

    def marginal_of(example: Example) -> Sequence[float]:
        return marginals[metrics.criterion(example)]

    draws = {"forward": asked["forward_draws"], "hinted": asked["hinted_draws"]}
    return evidence_scores(db, iteration, examples, kind, marginal_of, **draws)


def _evidence(of: Validated, k: int) -> dict[str, float]:
    return item_evidence(of.db, k, of.examples, of.train, of.kind)


def _log_likelihoods(of: Validated, k: int) -> dict[str, float]:
    by_id = {one.example_id: one for one in of.predictions[k]}
    scores = log_likelihoods([by_id[x.id] for x in of.examples], of.examples, of.kind.scale)
    return dict(zip((x.id for x in of.examples), scores.tolist(), strict=True))


_SCORES = {"evidence": _evidence, "log_likelihood": _log_likelihoods}
