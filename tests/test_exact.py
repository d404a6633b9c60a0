"""Enumerations written by hand: bounds, posterior, sampler, accepted distributions, certified divergences."""

import math

import numpy as np
import pytest
from scipy import stats

from rationem.metrics import evidence
from rationem.metrics.evidence import Enumeration, Leaf, RationaleMeasure
from rationem.seeds import generator

#: pi(z), and pi(level | z) of two levels. 0.5 + 0.2 + 0.1 in leaves, 0.15 unexplored, 0.05 without a marker.
PRIOR = (0.5, 0.2, 0.1)
LEVELS = ((0.2, 0.7), (0.9, 0.1), (0.4, 0.5))
HAND = Enumeration(
    tuple(
        Leaf((n,), f"z{n}", math.log(prior), tuple(map(math.log, levels)))
        for n, (prior, levels) in enumerate(zip(PRIOR, LEVELS, strict=True))
    ),
    unexplored=0.15,
    unscored=0.05,
)


def test_bounds_by_hand():
    assert evidence.bounds(HAND, 0) == pytest.approx((0.1 + 0.18 + 0.04, 0.32 + 0.15))
    lower_L, upper_L = evidence.level_bounds(HAND, 2)
    np.testing.assert_allclose(lower_L, (0.32, 0.35 + 0.02 + 0.05))
    np.testing.assert_allclose(upper_L, (0.47, 0.57))
    assert evidence.bounds(Enumeration((), 0.25, 0.75), 0) == (0.0, 0.25)
    assert evidence.bounds(Enumeration((Leaf((1,), "z", math.log(0.9), (0.0,)),), 0.2, 0.0), 0)[1] == 1.0
    assert [bound.tolist() for bound in evidence.level_bounds(Enumeration((), 0.25, 0.75), 2)] == [[0, 0], [0.25] * 2]


def test_posterior_by_hand():
    weights, missing = evidence.posterior_leaves(HAND, 0)
    np.testing.assert_allclose(weights, (0.1 / 0.32, 0.18 / 0.32, 0.04 / 0.32))
    assert missing == pytest.approx(0.15 / 0.47)
    assert evidence.posterior_leaves(Enumeration(HAND.leaves, 0.0, 0.2), 0)[1] == 0.0


def test_a_posterior_of_rationales_far_below_the_smallest_float():
    leaves = tuple(Leaf((n,), "", -2000.0, (-1.0 - n,)) for n in range(2))
    weights, missing = evidence.posterior_leaves(Enumeration(leaves, 1.0, 0.0), 0)
    np.testing.assert_allclose(weights, (math.e / (1 + math.e), 1 / (1 + math.e)))
    assert missing == 1.0


def test_no_posterior_without_a_leaf():
    with pytest.raises(ValueError, match="lower threshold"):
        evidence.posterior_leaves(Enumeration((), 1.0, 0.0), 0)
    impossible = Enumeration((Leaf((1,), "z", -1.0, (-math.inf,)),), 0.5, 0.1)
    with pytest.raises(ValueError, match="all 1 enumerated"):
        evidence.posterior_leaves(impossible, 0)


def test_the_sampler_inverts_the_distribution_function():
    edges = (0.0, 0.1 / 0.32, 0.28 / 0.32, 1.0)
    for n in range(3):
        assert evidence.pick(HAND, 0, edges[n] + 1e-9).text == f"z{n}"
        assert evidence.pick(HAND, 0, edges[n + 1] - 1e-9).text == f"z{n}"
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        evidence.pick(HAND, 0, 1.0)


def test_the_samplers_frequencies_follow_the_posterior():
    drawn = [evidence.pick(HAND, 1, uniform).token_ids[0] for uniform in generator(0, "pick").random(3000)]
    expected = np.array([0.35, 0.02, 0.05]) / 0.42 * 3000
    assert stats.chisquare(np.bincount(drawn, minlength=3), expected).pvalue > 0.001


def measure(masses, rest=0.0):
    return RationaleMeasure({(n,): math.log(mass) if mass else -math.inf for n, mass in enumerate(masses)}, rest)


def test_what_was_found_elsewhere_is_taken_off_the_rest():
    found = evidence.table(HAND, 0, {(0,): -9.0, (7,): math.log(0.03)})
    assert found.log_masses == pytest.approx(
        {(0,): math.log(0.1), (1,): math.log(0.18), (2,): math.log(0.04), (7,): math.log(0.03)}
    )
    assert found.rest == pytest.approx(0.12)
    assert found.known == pytest.approx(0.35)


def test_accepted_by_hand():
    """STaR: the posterior with probability p, else what is accepted with the hint."""
    forward, hinted = measure((0.1, 0.3)), measure((0.6, 0.2))
    star = evidence.accepted((forward, hinted))
    assert [math.exp(one) for one in star.log_masses.values()] == pytest.approx([0.1 + 0.6 * 0.6, 0.3 + 0.6 * 0.2])
    again = evidence.accepted((forward,) * 3)
    assert again.known == pytest.approx(1 - 0.6**3)  # acceptance 1 - (1 - p)^M
    assert evidence.divergence(again, forward).enumerated == pytest.approx(0, abs=1e-12)  # and the posterior, any M
    assert evidence.accepted((hinted,)).log_masses == pytest.approx(hinted.log_masses)


def test_accepted_agrees_with_running_the_plan():
    rng = generator(0, "plan")
    forward, hinted, count = np.array([0.1, 0.3, 0.6]), np.array([0.6, 0.2, 0.2]), 20_000  # the last cell is rejected
    first, second = (rng.choice(3, count, p=one) for one in (forward, hinted))
    drawn = np.where(first < 2, first, second)
    star = evidence.accepted((measure(forward[:2]), measure(hinted[:2])))
    expected = [math.exp(one) * count for one in star.log_masses.values()]
    expected.append(count - sum(expected))
    assert stats.chisquare(np.bincount(drawn, minlength=3), expected).pvalue > 0.001


def coarse(a, b, r, s):
    """KL of two measures with one rest cell each, divided by their sums; over arrays of rests r and s."""
    q, p = (np.stack([*(np.full_like(rest, one) for one in known), rest]) for known, rest in ((a, r), (b, s)))
    return stats.entropy(q, p, axis=0)


def test_divergence_by_hand():
    found = evidence.divergence(measure((0.3, 0.1)), measure((0.1, 0.1)))
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert (found.lower, found.enumerated) == pytest.approx((expected, expected))
    assert evidence.divergence(measure((0.3, 0.1)), measure((0.2, 0.0))).lower == math.inf
    assert evidence.divergence(measure((0.3, 0.0)), measure((0.2, 0.2))).lower == pytest.approx(math.log(2))


@pytest.mark.parametrize("seed", range(6))
def test_the_lower_bound_is_the_least_divergence_that_the_bounds_allow(seed):
    rng = generator(seed, "least")
    a, b = rng.dirichlet(np.ones(4)) * rng.uniform(0.2, 1), rng.dirichlet(np.ones(4)) * rng.uniform(0.2, 1)
    most_r, most_s = rng.uniform(0.001, 0.5, 2)
    found = evidence.divergence(measure(a, most_r), measure(b, most_s))
    grid = coarse(a, b, *np.meshgrid(np.linspace(1e-9, most_r, 200), np.linspace(1e-9, most_s, 200)))
    assert found.lower <= grid.min() + 1e-12
    assert found.lower == pytest.approx(grid.min(), abs=2e-4)
    assert found.enumerated == pytest.approx(coarse(a, b, *np.full((2, 1), 1e-15))[0])


@pytest.mark.slow
def test_the_certificate_holds_whatever_the_unexplored_rationales_are():
    """KL over ten rationales, of which the table knows five: STaR's and PPS's accepted distributions."""
    rng = generator(0, "certificate")
    for _ in range(300):
        forward, hinted = rng.dirichlet(np.full(10, 0.4)) * 0.5 + 1e-12, rng.dirichlet(np.full(10, 0.4)) * 0.9 + 1e-12
        slack = rng.uniform(1, 2)
        known_p, known_q = (measure(one[:5], one[5:].sum() * slack) for one in (forward, hinted))
        star = forward + (1 - forward.sum()) * hinted
        for whole, known in ((hinted, known_q), (star, evidence.accepted((known_p, known_q)))):
            truth = stats.entropy(whole / whole.sum(), forward / forward.sum())
            assert evidence.divergence(known, known_p).lower <= truth + 1e-9


def test_tables_must_hold_the_same_rationales():
    with pytest.raises(ValueError, match="1 are in one alone"):
        evidence.divergence(measure((0.1, 0.2)), measure((0.1,)))
    with pytest.raises(ValueError, match="needs mass"):
        evidence.divergence(measure((0.0,)), measure((0.1,)))
    with pytest.raises(ValueError, match="at least one proposal"):
        evidence.accepted(())
