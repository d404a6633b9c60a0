r"""The value of more drafts at test time for open answers; beside ``votes``.

Every item has the same number n of draws, fixed in advance, and a reward r of two answers. A number for N < n draws is
its mean over subsets of N of the n:

    consensus   r(y, y*) of the y among N answers that the others agree with most, argmax_y sum_m r(y_m, y)
    best        max_m r(y_m, y*) of N answers: what somebody who knows y* would choose

An unparsed draft agrees with nothing, and its reward is 0. With r = 1[y_m = y] the consensus is the majority vote, and
the best of N is pass@N.

Sources: as ``votes``; the consensus is the minimum Bayes risk choice of :func:`rationem.metrics.evidence.predict_open`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rationem.metrics.correlation import Floats
from rationem.metrics.votes import equal_draws, pass_at_k, powers, subsets

Reward = Callable[[str, str], float]


@dataclass(frozen=True, slots=True)
class Said:
    """The answers of the n drafts of one item.

    Args:
        answers: of each draft, None if there is none; length n. An item without drafts has n times None.
        answer: y*.
    """

    answers: tuple[str | None, ...]
    answer: str


def best_of(rewards_M: Sequence[float], draws: int) -> float:
    """Return the mean, over all subsets of ``draws`` rewards, of the largest one: unbiased for that number of drafts.

    With r_(1) <= ... <= r_(n) it is sum_j r_(j) C(j - 1, N - 1) / C(n, N).

    Args:
        rewards_M: of all n drafts.
        draws: N, 1 to n.

    >>> best_of([0.0, 1.0, 0.5], 1), best_of([0.0, 1.0, 0.5], 3)
    (0.5, 1.0)
    """
    ways = math.comb(len(rewards_M), draws)
    return math.fsum(one * (math.comb(j, draws - 1) / ways) for j, one in enumerate(sorted(rewards_M)))


def by_open_draws(items: Sequence[Said], reward: Reward, *, exact: bool, seed: int = 0) -> list[dict[str, Any]]:
    """Return one row of numbers per number of draws N: the powers of two below n, and n.

    Args:
        items: all with the same number n of drafts.
        reward: r(y_hat, y*) in [0, 1].
        exact: whether r is 1[y_hat = y*]; the consensus is then a majority vote.
        seed: of the subsets, if not all are used.

    Returns:
        Rows ``{"draws": N, "consensus": mean reward, "best": mean reward, "pass": share of items with a whole reward
        among N draws, "majority_vote": the consensus where r is exact, else None}``.

    Raises:
        ValueError: no item, or numbers of draws that differ.
    """
    most = equal_draws([len(item.answers) for item in items], 1)
    tables = [_table(item, reward) for item in items]
    rows = []
    for draws in powers(most):
        chosen_SM = subsets(most, draws, seed)
        consensus = math.fsum(_consensus(table, chosen_SM) for table in tables) / len(items)
        rows.append(
            {
                "draws": draws,
                "consensus": consensus,
                "best": math.fsum(best_of(table.rewards, draws) for table in tables) / len(items),
                "pass": math.fsum(pass_at_k(most, table.whole, draws) for table in tables) / len(items),
                "majority_vote": consensus if exact else None,
            }
        )
    return rows


@dataclass(frozen=True, slots=True)
class _Table:
    """One item: which draft states which of its D distinct answers, (n, D); their agreement, (D, D); their rewards.

    ``agreed_DD[other, one]`` is r(other, one); ``rewards`` are of the n drafts, ``whole`` counts those that are 1.
    """

    says_MD: Floats
    agreed_DD: Floats
    reward_D: Floats
    rewards: list[float]
    whole: int


def _table(item: Said, reward: Reward) -> _Table:
    distinct = list(dict.fromkeys(said for said in item.answers if said is not None))
    met = {one: reward(one, item.answer) for one in distinct}
    rewards = [0.0 if said is None else met[said] for said in item.answers]
    return _Table(
        np.array([[float(said == one) for one in distinct] for said in item.answers]).reshape(
            len(item.answers), len(distinct)
        ),
        np.array([[reward(other, one) for one in distinct] for other in distinct]).reshape(
            len(distinct), len(distinct)
        ),
        np.array([met[one] for one in distinct]),
        rewards,
        sum(one == 1 for one in rewards),
    )


def _consensus(table: _Table, chosen_SM: Floats) -> float:
    """Return the mean over subsets of the reward of their consensus; of equals the first stated, as in predict_open.

    The sum has the same order of answers as there, so that all drafts together give exactly the prediction.
    """
    if not len(table.reward_D):
        return 0.0
    counts_SD = chosen_SM @ table.says_MD
    agreed_SD = np.zeros_like(counts_SD)
    for d, row_D in enumerate(table.agreed_DD):
        agreed_SD = agreed_SD + counts_SD[:, d : d + 1] * row_D
    agreed_SD = np.where(counts_SD > 0, agreed_SD / chosen_SM[0].sum(), -1.0)
    is_best_SD = (agreed_SD == agreed_SD.max(axis=1, keepdims=True)) & (counts_SD > 0)
    said_SMD = (chosen_SM[:, :, None] * table.says_MD) > 0
    first_SD = np.where(is_best_SD, said_SMD.argmax(axis=1), len(table.says_MD))
    earned_S = np.where(counts_SD.any(axis=1), table.reward_D[first_SD.argmin(axis=1)], 0.0)
    return float(earned_S.mean())
