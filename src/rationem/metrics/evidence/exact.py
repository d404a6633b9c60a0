r"""Evidence from enumerated rationales: certified bounds, the posterior, its sampler, divergences (pure numpy).

An enumeration splits the completions of pi(. | x) into three parts whose probabilities sum to 1: the *leaves* z (up to
the verdict marker, one by one), what is *unexplored*, and what is *unscored* (ended, or cut, without a marker). Hence

    lower = sum_{leaves z} pi(z | x) pi(y* | x, z)  <=  p(y* | x)  <=  lower + unexplored.

Nothing is floored. Of the unexplored part only its probability is known: it adds between 0 and all of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rationem.metrics.evidence.levels import Floats

TokenIds = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One complete rationale z: its tokens end where the first verdict marker does.

    Args:
        token_ids: the ids of z, marker included.
        text: their text.
        log_prob: log pi(z | prompt), nats.
        level_logps: log pi(level, end of turn | prompt, z) of every level, nats.
    """

    token_ids: TokenIds
    text: str
    log_prob: float
    level_logps: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Enumeration:
    """The completions under one prompt: sum of exp(log_prob) over the leaves + unexplored + unscored = 1.

    Args:
        leaves: the rationales found.
        unexplored: probability of all completions that were not followed to their end.
        unscored: probability of those that end, or reach the maximum length, without a verdict marker; they add nothing
            to any level, as among sampled rationales.
    """

    leaves: tuple[Leaf, ...]
    unexplored: float
    unscored: float


@dataclass(frozen=True, slots=True)
class RationaleMeasure:
    """A measure m over rationales, known on some of them and bounded elsewhere; its sum need not be 1.

    Args:
        log_masses: token ids of z -> log m(z), e.g. log pi(z, y* | x), nats.
        rest: a bound on the sum of m over all other rationales.
    """

    log_masses: Mapping[TokenIds, float]
    rest: float

    @property
    def known(self) -> float:
        """The sum of m over the rationales in the table."""
        return math.fsum(map(math.exp, self.log_masses.values()))


@dataclass(frozen=True, slots=True)
class Divergence:
    """KL(q || p) in nats: ``lower`` is certified; ``enumerated`` is the value if there were nothing but the table."""

    lower: float
    enumerated: float


def bounds(enumeration: Enumeration, answer_index: int) -> tuple[float, float]:
    """Return (lower, upper) with lower <= p(y* | x) <= upper = min(1, lower + unexplored).

    Args:
        enumeration: under the forward prompt.
        answer_index: the rank of y*.
    """
    lower = math.fsum(np.exp(_log_joint(enumeration, answer_index)))
    return lower, min(1.0, lower + enumeration.unexplored)


def level_bounds(enumeration: Enumeration, levels: int) -> tuple[Floats, Floats]:
    """Return :func:`bounds` of every level, both of shape (L,); the lower ones sum to at most 1.

    Args:
        enumeration: under one prompt.
        levels: the number of levels L, for an enumeration without leaves.
    """
    pairs = [bounds(enumeration, index) for index in range(levels)]
    lower_L, upper_L = np.array(pairs, dtype=np.float64).reshape(levels, 2).T
    return lower_L, upper_L


def posterior_leaves(enumeration: Enumeration, answer_index: int) -> tuple[Floats, float]:
    """Return the posterior over the leaves, and a bound on the posterior probability of everything else.

        weight_z = pi(z | x) pi(y* | x, z) / lower,        missing = unexplored / (lower + unexplored)

    The true posterior of a leaf is weight_z times a factor in [1 - missing, 1], the same for all leaves.

    Returns:
        weights in the order of the leaves, summing to 1, and ``missing`` in [0, 1].

    Raises:
        ValueError: the answer can follow from no leaf.
    """
    log_joint = _log_joint(enumeration, answer_index)
    if not np.isfinite(log_joint).any():
        raise ValueError(
            f"No posterior: the answer has probability 0 after all {len(log_joint)} enumerated rationales, and "
            f"{enumeration.unexplored:.3g} of the probability is unexplored. Enumerate with a lower threshold."
        )
    weights: Floats = np.exp(log_joint - log_joint.max())
    weights /= weights.sum()
    lower = bounds(enumeration, answer_index)[0]
    return weights, enumeration.unexplored / (lower + enumeration.unexplored) if enumeration.unexplored > 0 else 0.0


def pick(enumeration: Enumeration, answer_index: int, uniform: float) -> Leaf:
    """Return the leaf min{n : weight_1 + ... + weight_n > uniform}: a draw from the posterior over the leaves.

    Args:
        enumeration: under the forward prompt.
        answer_index: the rank of y*.
        uniform: a uniform draw in [0, 1).

    Raises:
        ValueError: see :func:`posterior_leaves`; or a uniform outside [0, 1).
    """
    if not 0 <= uniform < 1:
        raise ValueError(f"A uniform draw is in [0, 1); found {uniform}.")
    cumulative = np.cumsum(posterior_leaves(enumeration, answer_index)[0])
    return enumeration.leaves[int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))]


def table(
    enumeration: Enumeration, answer_index: int, others: Mapping[TokenIds, float] | None = None
) -> RationaleMeasure:
    """Return pi(z, y* | prompt) as a table over the leaves and, if given, over rationales found elsewhere.

    Rationales found elsewhere belong to the unexplored part, so their mass is subtracted from it.

    Args:
        enumeration: under the prompt.
        answer_index: the rank of y*.
        others: token ids -> log pi(z, y* | the same prompt) of rationales found under other prompts; those that are
            leaves here keep their value.
    """
    own = dict(zip((leaf.token_ids for leaf in enumeration.leaves), _log_joint(enumeration, answer_index), strict=True))
    new = {ids: log_mass for ids, log_mass in (others or {}).items() if ids not in own}
    rest = enumeration.unexplored - math.fsum(map(math.exp, new.values()))
    return RationaleMeasure({**{ids: float(log_mass) for ids, log_mass in own.items()}, **new}, max(0.0, rest))


def accepted(plan: Sequence[RationaleMeasure]) -> RationaleMeasure:
    r"""Return the measure of a plan's accepted completions: proposals are tried in order until one states y*.

        m(z) = sum_j  [prod_{i < j} (1 - upper_i)]  m_j(z),        m_j(z) = q_j(z, y* | prompt j)

    with upper_i a bound on the probability that proposal i is accepted. Rejection sampling is ``(forward,) * M``,
    prompt posterior sampling ``(rationalize,)``, STaR ``(forward, rationalize)``.

    Divided by its sum this is the plan's accepted distribution exactly if all its tables are one, or if the upper
    bounds are met. Otherwise the later proposals get too little, never too much. For one kind of proposal after forward
    ones that moves the distribution towards the posterior, so that, KL being convex and 0 there, :func:`divergence`
    from the posterior stays a lower bound. For other plans it is an approximation.

    Args:
        plan: one table per proposal, all over the same rationales.

    Raises:
        ValueError: an empty plan, or tables over different rationales.
    """
    if not plan:
        raise ValueError("A plan has at least one proposal.")
    masses, rest, reached = np.zeros(len(plan[0].log_masses)), 0.0, 1.0
    for proposal in plan:
        masses += reached * np.exp(_aligned(plan[0], proposal))
        rest += reached * proposal.rest
        reached *= max(0.0, 1 - proposal.known - proposal.rest)
    with np.errstate(divide="ignore"):
        return RationaleMeasure(dict(zip(plan[0].log_masses, np.log(masses).tolist(), strict=True)), rest)


def divergence(q: RationaleMeasure, p: RationaleMeasure) -> Divergence:
    r"""Return a certified lower bound on KL(q || p) of the two tables, each divided by its unknown sum.

    With masses a_z of q (sum A, rest r in [0, R]) and b_z of p (sum B, rest s in [0, S]), all rationales outside the
    table taken as one cell, which by the log-sum inequality lowers the divergence:

        D(r, s) = [sum_z a_z log(a_z / b_z) + r log(r / s)] / (A + r) + log((B + s) / (A + r))

    Both sums are known only within their bounds, so the minimum over r and s is returned, in closed form: at
    r = min(R, S exp(sum_z a_z/A log(a_z / b_z))), s = min(S, r B / A) (with R = 0 or S = 0: r = s = 0). There is no
    finite certified upper bound: q could have mass on an unexplored rationale that p all but excludes.

    Raises:
        ValueError: tables over different rationales, or one without mass.
    """
    log_a, log_b = np.array(list(q.log_masses.values())), _aligned(q, p)
    known_q, known_p = q.known, p.known
    if known_q <= 0 or known_p <= 0:
        raise ValueError(f"A divergence needs mass in both tables; found {known_q} and {known_p}.")
    held = np.isfinite(log_a)
    share = np.exp(log_a[held]) / known_q
    log_ratio = float(share @ (log_a[held] - log_b[held]))
    enumerated = max(0.0, log_ratio + math.log(known_p / known_q))
    if math.isinf(log_ratio) or p.rest == 0 or q.rest == 0:
        return Divergence(enumerated, enumerated)
    r = min(q.rest, p.rest * math.exp(min(log_ratio, 700.0)))
    s = min(p.rest, r * known_p / known_q)
    inner = (known_q * log_ratio + r * math.log(r / s)) / (known_q + r)
    return Divergence(max(0.0, inner + math.log((known_p + s) / (known_q + r))), enumerated)


def _log_joint(enumeration: Enumeration, answer_index: int) -> Floats:
    """Return log pi(z, y* | x) of every leaf, in order."""
    joint = [leaf.log_prob + leaf.level_logps[answer_index] for leaf in enumeration.leaves]
    return np.array(joint, dtype=np.float64)


def _aligned(first: RationaleMeasure, second: RationaleMeasure) -> Floats:
    """Return the second table's log masses in the order of the first's."""
    if first.log_masses.keys() != second.log_masses.keys():
        lacking = len(first.log_masses.keys() ^ second.log_masses.keys())
        raise ValueError(
            f"Both tables must hold the same rationales; {lacking} are in one alone. Score every leaf of either "
            "enumeration under both prompts, and pass those scores as others."
        )
    return np.array([second.log_masses[ids] for ids in first.log_masses], dtype=np.float64)
