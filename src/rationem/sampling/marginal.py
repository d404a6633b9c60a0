r"""The answer summed out: rationales are weighted by p_m = pi(y* | x, z_m), scored exactly, not by a drawn answer.

    rejection         w_m = p_m prod_{j<m} (1 - p_j)      E over the answers of what ``first`` keeps (Rao-Blackwell)
    self-normalised   w_m = p_m / sum_j p_j               the posterior pi(z | x, y*), with a bias of O(1/M)

z_1..z_M are forward drafts at temperature 1, whatever answers they gave. A draft without a marker has p_m = 0. The
training samples are (z_m, y*): the rationale as drawn, and y* after its marker.

With demonstrations both z_m and p_m come from the prompt that shows them, q. Drawing an answer there lands on y* with
probability q(y* | x, z_m), so all that is said here of rejection sampling holds of rejection sampling with the same
demonstrations; what the self-normalised weights tend to is q(z | x, y*), not the posterior of pi.

The mean of the rejection weights' gradient is that of rejection sampling with budget M, and its variance over the same
rationales is no larger: sum_m w_m g_m is a conditional expectation. One row with weight S = sum_m w_m, chosen with
probability w_m / S, has the same mean and lies between the two:

    |sum_m w_m g_m|^2  <=  S sum_m w_m |g_m|^2  <=  sum_m w_m |g_m|^2

Keeping that row with probability S and weight 1 would be rejection sampling itself, only with all M drafts paid for.

Sources: Casella and Robert 1996 (Rao-Blackwellised rejection); Rubin 1987 (resampling); Owen 2013, ch. 9 (the bias).
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp
from typing import Literal

from rationem.ledger.reading import read_closed, read_level_logps
from rationem.sampling.selectors import Candidate, Tried
from rationem.types import Kept, Outcome, Purpose


def weighable(db: sqlite3.Connection, iteration: int) -> dict[str, dict[int, tuple[float, ...]]]:
    """Return example id -> attempt -> log p(level | x, z) of an E-step's drafts, under the prompt that each was drawn
    from: as in the evidence, and the closed ones.
    """
    found = read_level_logps(db, iteration, Purpose.TRAIN, whole=True)
    scored, closed = read_level_logps(db, iteration, Purpose.TRAIN), read_closed(db, iteration, Purpose.TRAIN)
    for example_id, attempt in closed & {(x, m) for x, rows in scored.items() for m in rows}:
        found.setdefault(example_id, {})[attempt] = scored[example_id][attempt]
    return found


def rejection_weights(probabilities_M: Sequence[float]) -> list[float]:
    """Return w_m = p_m prod_{j<m} (1 - p_j); they sum to 1 - prod_m (1 - p_m), the chance of an accepted draft.

    >>> rejection_weights([0.5, 0.5, 1.0])
    [0.5, 0.25, 0.25]
    """
    weights, left = [], 1.0
    for probability in probabilities_M:
        weights.append(left * probability)
        left *= 1 - probability
    return weights


def self_normalised_weights(probabilities_M: Sequence[float]) -> list[float]:
    """Return w_m = p_m / sum_j p_j; all 0 if no p_m is positive.

    >>> self_normalised_weights([0.25, 0.5, 0.25, 0.0])
    [0.25, 0.5, 0.25, 0.0]
    """
    total = sum(probabilities_M)
    return [probability / total if total else 0.0 for probability in probabilities_M]


_WEIGHTS: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "rejection": rejection_weights,
    "self-normalised": self_normalised_weights,
}


@dataclass(frozen=True, slots=True)
class SummedOut:
    """Keep rationales by p(y* | x, z) of all drafts of the plan; each candidate's ``log_ratio`` is log p_m.

    Args:
        weights: "rejection" or "self-normalised".
        rows: "one" keeps a row drawn by the weights, with their sum as its weight; "all" keeps every row with its own
            weight, at up to M times the cost of the M-step.
        name: the name that users give.
    """

    weights: Literal["rejection", "self-normalised"] = "rejection"
    rows: Literal["one", "all"] = "one"
    name: str = "first"
    weighs: bool = False
    needs_ratios: bool = False

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return False: every draft of the plan is used."""
        return False

    def select(self, tried: Tried) -> list[Kept]:
        """Return the kept rationales by attempt; none if no draft reached a marker."""
        candidates = tried.candidates
        weights = _WEIGHTS[self.weights]([exp(one.log_ratio) for one in candidates])
        if self.rows == "one":
            return _one(candidates, weights, tried.seed)
        return [_kept(one, weight) for one, weight in zip(candidates, weights, strict=True) if weight > 0]


def _one(candidates: Sequence[Candidate], weights_M: Sequence[float], seed: int) -> list[Kept]:
    from rationem.seeds import uniforms

    cumulative = list(accumulate(weights_M))
    if not cumulative or cumulative[-1] <= 0:
        return []
    chosen = bisect_right(cumulative, float(uniforms(seed, 1)[0]) * cumulative[-1])
    return [_kept(candidates[min(chosen, len(candidates) - 1)], cumulative[-1])]


def _kept(one: Candidate, weight: float) -> Kept:
    return Kept(one.trial.example_id, one.trial.attempt, weight, one.trial.iteration)


#: The selectors of ``marginal:M``, by the selector of drawn answers that each takes the place of.
MARGINALS: dict[str, SummedOut] = {
    "first": SummedOut("rejection", "one", "first"),
    "all": SummedOut("rejection", "all", "all"),
    "weighted": SummedOut("self-normalised", "all", "weighted"),
    "resample": SummedOut("self-normalised", "one", "resample"),
}
