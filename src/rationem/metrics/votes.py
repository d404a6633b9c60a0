r"""The value of more drafts at test time: majority vote, averaged p(y | x, z) and pass@k by number of drafts.

Every item has the same number n of draws z_1..z_n ~ pi(. | x), fixed in advance. A number for N < n draws is its mean
over subsets of N of the n, which is unbiased for N draws:

    majority vote   the level that most draws say; unparsed draws do not vote; a tie of m levels that y* is one of
                    counts 1 / m, as if broken at random, so that no number depends on the levels' order
    averaged        argmax_y 1/N sum_m pi(y | x, z_m) / sum_y' pi(y' | x, z_m), as :func:`.evidence.predict`
    pass@k          1 - C(n - c, k) / C(n, k): at least one of k draws is right, c of n being right

Without any vote there is no verdict, which counts as wrong. All subsets are used if there are at most ``EXACT``,
otherwise ``SAMPLED`` seeded ones; they are the same for every item.

Sources: pass@k is Chen et al., "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, equation 1; the
vote is Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models", arXiv 2203.11171.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from rationem.metrics.correlation import Floats
from rationem.metrics.evidence.levels import predictive, stack
from rationem.seeds import generator

#: All subsets are used up to the first number; of more, the second number is drawn.
EXACT = 500
SAMPLED = 200


@dataclass(frozen=True, slots=True)
class Draws:
    """The n draws of one item.

    An item without drafts, because its prompt is too long, has n drafts without verdict and without scores.

    Args:
        verdicts: the rank of the level that each draft states, None if it states no offered level; length n.
        level_logps: log pi(level, end of turn | x, z_m) of every level, nats, or None if a draft could not be scored;
            length n, each of length L.
        answer: the rank of y*.
        marginal: the training marginal over the levels, length L, which an unparsed draft contributes to the average.
        ratings: the ranks of the single ratings over which the log-likelihood is averaged; empty: y* alone.

    Raises:
        ValueError: no draft, lengths that differ, or an invalid rank.
    """

    verdicts: tuple[int | None, ...]
    level_logps: tuple[Sequence[float] | None, ...]
    answer: int
    marginal: tuple[float, ...]
    ratings: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        draws, levels = len(self.verdicts), len(self.marginal)
        if not draws or len(self.level_logps) != draws:
            raise ValueError(
                f"An item needs one verdict and one row of scores per draw, None where there is none; "
                f"found {draws} verdicts and {len(self.level_logps)} rows."
            )
        said = [self.answer, *self.ratings, *(verdict for verdict in self.verdicts if verdict is not None)]
        wrong = sorted({rank for rank in said if not 0 <= rank < levels})
        if wrong:
            raise ValueError(f"Ranks of {levels} levels are 0 to {levels - 1}; found {wrong}.")

    @property
    def right(self) -> int:
        """The number c of drafts that state y*."""
        return self.verdicts.count(self.answer)


@dataclass(frozen=True, slots=True)
class Averaged:
    """The scores of the predictive distribution averaged over N drafts.

    Args:
        accuracy: share of items, and of subsets, whose most probable level is y*.
        log_likelihood: mean of log p~ over items, nats per rating; None if a rating has probability 0.
    """

    accuracy: float
    log_likelihood: float | None


@dataclass(frozen=True, slots=True)
class _Item:
    """One item's draws as arrays: votes and predictive parts, both (n, L), and which drafts state a scored level,
    (n,)."""

    votes_ML: Floats
    parts_ML: Floats
    is_parsed_M: Floats
    answer: int
    ratings: list[int]


def vote_accuracy(items: Sequence[Draws], draws: int, *, seed: int = 0) -> float:
    """Return the expected accuracy of a majority vote over ``draws`` of each item's draws.

    Args:
        items: with the same number n of draws.
        draws: N, 1 to n.
        seed: of the subsets, where not all are taken.

    Raises:
        ValueError: no item, numbers of draws that differ, or N out of range.
    """
    chosen_SM = subsets(_checked(items, draws), draws, seed)
    return _vote([_arrays(item) for item in items], chosen_SM)


def averaged_accuracy(items: Sequence[Draws], draws: int, *, seed: int = 0) -> Averaged:
    """Return the expected accuracy and log-likelihood of p~ averaged over ``draws`` of each item's draws.

    The expected log-likelihood increases with the number of averaged drafts (Jensen). Arguments and errors are those of
    :func:`vote_accuracy`; also a ValueError for scores that are not log-probabilities, or a marginal that is not a
    distribution.
    """
    chosen_SM = subsets(_checked(items, draws), draws, seed)
    return _average([_arrays(item) for item in items], chosen_SM)


def pass_at_k(draws: int, right: int, k: int) -> float:
    """Return 1 - C(n - c, k) / C(n, k), an unbiased estimate of the probability that at least one of k drafts is right.

    Args:
        draws: n, at least k; fixed in advance, because drafts that stop at a success are not exchangeable.
        right: c, the draws that are right, 0 to n.
        k: 1 to n.

    Raises:
        ValueError: k or c out of range.

    >>> pass_at_k(4, 1, 1), pass_at_k(4, 2, 2) == 5 / 6, pass_at_k(4, 1, 4)
    (0.25, True, 1.0)
    """
    if not 0 <= right <= draws:
        raise ValueError(f"Of {draws} draws, 0 to {draws} can be right; found {right}.")
    if not 1 <= k <= draws:
        raise ValueError(f"pass@{k} needs k from 1 to the number of draws, {draws}: draw more, or request a smaller k.")
    every = math.comb(draws, k)
    return (every - math.comb(draws - right, k)) / every


def mean_pass_at_k(items: Sequence[Draws], k: int) -> float:
    """Return the mean of :func:`pass_at_k` over items; a draft is right if it states y*.

    Raises:
        ValueError: no item, numbers of draws that differ, or k out of range.
    """
    draws = _checked(items, k)
    return math.fsum(pass_at_k(draws, item.right, k) for item in items) / len(items)


def by_draws(items: Sequence[Draws], counts: Sequence[int] | None = None, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return one row of numbers per number of draws N, by vote, by average and by pass@N.

    Args:
        items: with the same number n of draws.
        counts: the N, each 1 to n; by default the powers of two below n, and n.
        seed: of the subsets, where not all are taken.

    Returns:
        Rows ``{"draws": N, "majority_vote": accuracy, "averaged": accuracy, "averaged_log_likelihood": nats or None,
        "pass": pass@N}``, in the order of ``counts``.

    Raises:
        ValueError: see :func:`vote_accuracy` and :func:`averaged_accuracy`.
    """
    most = _checked(items, 1)
    wanted = powers(most) if counts is None else counts
    arrays = [_arrays(item) for item in items]
    rows = []
    for draws in wanted:
        chosen_SM = subsets(_checked(items, draws), draws, seed)
        averaged = _average(arrays, chosen_SM)
        rows.append(
            {
                "draws": draws,
                "majority_vote": _vote(arrays, chosen_SM),
                "averaged": averaged.accuracy,
                "averaged_log_likelihood": averaged.log_likelihood,
                "pass": mean_pass_at_k(items, draws),
            }
        )
    return rows


def powers(most: int) -> list[int]:
    """Return the powers of two below a number, and the number."""
    return [*(2**power for power in range((most - 1).bit_length())), most]


def _checked(items: Sequence[Draws], draws: int) -> int:
    """Return n, the number of draws that every item has."""
    return equal_draws([len(item.verdicts) for item in items], draws)


def equal_draws(counts: Sequence[int], draws: int) -> int:
    """Return the number of draws that every item has.

    Args:
        counts: draws of each item.
        draws: how many of them are requested.

    Raises:
        ValueError: no item, numbers that differ, or more requested than there are.
    """
    found = sorted(set(counts))
    if len(found) != 1:
        raise ValueError(
            f"All items must have the same number of draws, and there must be at least one item; found {len(counts)} "
            f"items with {found} draws. Draw a fixed number for each, and pass items without draws as unparsed."
        )
    if not 1 <= draws <= found[0]:
        raise ValueError(f"{draws} of {found[0]} draws requested: give a number from 1 to {found[0]}.")
    return found[0]


def subsets(draws: int, size: int, seed: int) -> Floats:
    """Return which draws each subset holds, 1 or 0, shape (S, n)."""
    if math.comb(draws, size) <= EXACT:
        members = np.array(list(combinations(range(draws), size)), dtype=np.int64)
    else:
        keys = generator(seed, "votes", draws, size).random((SAMPLED, draws))
        members = keys.argsort(axis=1)[:, :size]
    chosen_SM = np.zeros((len(members), draws))
    np.put_along_axis(chosen_SM, members, 1.0, axis=1)
    return chosen_SM


def _arrays(item: Draws) -> _Item:
    levels, marginal_L = len(item.marginal), np.array(item.marginal)
    votes_ML = np.zeros((len(item.verdicts), levels))
    for at, verdict in enumerate(item.verdicts):
        if verdict is not None:
            votes_ML[at, verdict] = 1
    level_logps_ML, is_scored_M = stack(item.level_logps, levels)
    is_parsed_M = is_scored_M & votes_ML.any(axis=1)
    parts = [predictive(level_logps_ML[[m]], is_parsed_M[[m]], marginal_L) for m in range(len(votes_ML))]
    ratings = list(item.ratings or (item.answer,))
    return _Item(votes_ML, np.stack(parts), is_parsed_M.astype(np.float64), item.answer, ratings)


def _vote(items: Sequence[_Item], chosen_SM: Floats) -> float:
    shares = [_won(chosen_SM @ item.votes_ML, item.answer) for item in items]
    return math.fsum(shares) / len(items)


def _won(votes_SL: Floats, answer: int) -> float:
    """Return the mean over subsets of the answer's win: 1 alone, 1 / m if m levels tie, else 0."""
    is_first_SL = (votes_SL == votes_SL.max(axis=1, keepdims=True)) & (votes_SL > 0)
    return float((is_first_SL[:, answer] / np.maximum(is_first_SL.sum(axis=1), 1)).mean())


def _average(items: Sequence[_Item], chosen_SM: Floats) -> Averaged:
    size = chosen_SM[0].sum()
    accuracies, likelihoods = [], []
    for item in items:
        probs_SL = chosen_SM @ item.parts_ML / size
        has_verdict_S = chosen_SM @ item.is_parsed_M > 0
        accuracies.append(float((has_verdict_S & (probs_SL.argmax(axis=1) == item.answer)).mean()))
        rated = probs_SL[:, item.ratings]
        likelihoods.append(float(np.log(rated).mean()) if (rated > 0).all() else None)
    known = [value for value in likelihoods if value is not None]
    mean = math.fsum(known) / len(items) if len(known) == len(items) else None
    return Averaged(math.fsum(accuracies) / len(items), mean)
