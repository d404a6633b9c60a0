"""How unequal the weights of a weighing selector were, per training example: from the ledger's tables alone.

One example has a handful of accepted draws, so one of them often has all the weight, and weighing has then changed
little: the effective sample size and the largest weight say how often.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from rationem.ledger.reading import read_likelihoods, read_trials
from rationem.sampling.likelihoods import log_drawn
from rationem.sampling.schemes import FORWARD, names_marginal
from rationem.sampling.selectors import SELECTORS, Candidate, posterior_weights
from rationem.types import Outcome, Purpose

#: A larger weight counts as having all of it.
DOMINANT = 0.9


def weights_record(db: sqlite3.Connection, iteration: int, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the weights of an E-step over its training examples; None if the selector does not weigh.

    ``examples``   training examples whose accepted draws were weighed
    ``unweighed``  those that an accepted unhinted draw of the current model settled
    ``accepted``   mean number of accepted draws of a weighed example
    ``alone``      share of the weighed examples with one accepted draw, whose weight is always 1
    ``ess``        mean effective sample size, (sum w)^2 / sum w^2; 1 to the number of accepted draws
    ``largest``    mean of the largest weight; the weights of an example sum to 1
    ``dominated``  share of the weighed examples whose largest weight exceeds .9, those with one draw included

    Args:
        db: a run's ledger.
        iteration: k >= 1, its E-step finished.
        config: the run's settings.
    """
    selector = SELECTORS.get(config.get("selector") or "")
    if selector is None or not selector.needs_ratios or names_marginal(config.get("scheme") or ""):
        return None
    weighs = config.get("reward_as") != "filter"
    graded = weighs and (config.get("threshold") or 1.0) < 1
    drawn = list(_candidates(db, iteration, graded=graded))
    weights = [posterior_weights(several, weighs) for several in drawn if several]
    largest = [max(one) for one in weights]
    return {
        "examples": len(weights),
        "unweighed": len(drawn) - len(weights),
        "accepted": _mean([len(one) for one in weights]),
        "alone": _mean([len(one) == 1 for one in weights]),
        "ess": _mean([1 / float(np.square(one).sum()) for one in weights]),
        "largest": _mean(largest),
        "dominated": _mean([one > DOMINANT for one in largest]),
    }


def _candidates(db: sqlite3.Connection, iteration: int, *, graded: bool) -> Iterator[list[Candidate]]:
    """Yield the weighed draws of every example with an accepted one; none if an exact draw settled it.

    Exact draws are not scored again: pi is what they were drawn with. If rewards are graded they are weighed too.
    """
    likelihoods = read_likelihoods(db, iteration, Purpose.TRAIN)
    for example_id, group in groupby(read_trials(db, iteration, Purpose.TRAIN), key=lambda trial: trial.example_id):
        accepted = [trial for trial in group if trial.outcome is Outcome.ACCEPTED]
        scored = [likelihoods.get((example_id, iteration, trial.attempt, str(FORWARD))) for trial in accepted]
        if accepted and None in scored and not graded:
            yield []
        elif accepted:
            yield [
                Candidate(trial, 0.0 if one is None else one.completion - log_drawn(trial))
                for trial, one in zip(accepted, scored, strict=True)
            ]


def _mean(values: list[Any]) -> float | None:
    return float(np.mean(values)) if values else None
