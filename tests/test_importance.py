"""Importance-weighted evidence by enumeration: every draw that a small table can make, with its probability."""

import math
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from rationem.metrics import evidence
from toy import THETA, joint

#: The first question of the toy: four rationales, answer 3, hint 3.
PI_Z = np.array(THETA["first"]["z"])
PI_Y = np.array(THETA["first"]["y"])[:, 2]
P = 0.4 * 0.1 + 0.3 * 0.3 + 0.2 * 0.6 + 0.1 * 0.9  # p(y* | x), by hand
Q_ZY = joint(THETA, "first", "3")
Q_Z = Q_ZY.sum(1)
NEVER = -math.inf


def draws_from(*samplers):
    """Every tuple of draws, one from each sampler, with its probability."""
    for chosen in product(range(4), repeat=len(samplers)):
        yield np.array(chosen), math.prod(q[z] for q, z in zip(samplers, chosen, strict=True))


def expect(function, *samplers):
    return sum(chance * function(chosen) for chosen, chance in draws_from(*samplers))


def iwae(chosen, q=Q_Z):
    return evidence.iwae(np.log(PI_Z * PI_Y)[chosen], np.log(q)[chosen])


def mixture(chosen, forward, hinted, q=Q_Z):
    return evidence.mixture(np.log(PI_Z)[chosen], np.log(q)[chosen], np.log(PI_Y)[chosen], forward, hinted)


@pytest.mark.parametrize("draws", [1, 2, 4])
def test_iwae_is_the_logarithm_of_an_unbiased_estimate(draws):
    assert expect(lambda z: math.exp(iwae(z)), *[Q_Z] * draws) == pytest.approx(P, rel=1e-12)


@pytest.mark.slow
def test_iwae_rises_with_k_and_stays_below_the_truth():
    expected = [expect(iwae, *[Q_Z] * k) for k in range(1, 7)]
    assert all(a < b for a, b in pairwise(expected))
    assert expected[-1] < math.log(P)
    assert expected[0] == pytest.approx(float(Q_Z @ np.log(PI_Z * PI_Y / Q_Z)))  # the ELBO of q


def test_iwae_drawn_from_the_posterior_is_exact():
    posterior = PI_Z * PI_Y / P
    assert all(iwae(z, posterior) == pytest.approx(math.log(P)) for z, _ in draws_from(posterior, posterior))


@pytest.mark.parametrize(("forward", "hinted"), [(1, 1), (3, 1), (1, 3), (0, 2), (2, 0)])
def test_the_mixture_is_unbiased_and_no_term_exceeds_n_over_m(forward, hinted):
    samplers = [PI_Z] * forward + [Q_Z] * hinted
    estimate = expect(lambda z: math.exp(mixture(z, forward, hinted)), *samplers)
    assert estimate == pytest.approx(P, rel=1e-12)
    assert expect(lambda z: mixture(z, forward, hinted), *samplers) < math.log(P)
    if forward:
        most = max(mixture(z, forward, hinted) for z, _ in draws_from(*samplers))
        assert most <= math.log((forward + hinted) / forward)


def test_a_rationale_that_q_almost_never_draws_cannot_blow_the_mixture_up():
    blind = np.array([1e-9, 1 / 3, 1 / 3, 1 / 3 - 1e-9])
    drawn = np.array([1, 0])  # one forward; one hinted draw that should never have happened
    assert iwae(drawn, blind) > 15
    assert mixture(drawn, 1, 1, blind) <= math.log(2)


def variance(function, *samplers):
    return expect(lambda z: math.exp(function(z)) ** 2, *samplers) - P**2


@pytest.mark.parametrize(("forward", "hinted"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_fixed_numbers_of_draws_beat_draws_from_the_mixture_by_chance(forward, hinted):
    """Stratification takes the variance between the strata away."""
    count = forward + hinted
    mixed = (forward * PI_Z + hinted * Q_Z) / count
    stratified = variance(lambda z: mixture(z, forward, hinted), *[PI_Z] * forward, *[Q_Z] * hinted)
    by_chance = variance(lambda z: iwae(z, mixed), *[mixed] * count)
    assert stratified < by_chance


@pytest.mark.parametrize(("forward", "hinted"), [(1, 1), (2, 2), (1, 3)])
def test_the_balance_heuristic_is_as_good_as_theory_says(forward, hinted):
    """Veach and Guibas: no other unbiased weighting is better by more than (1 / min n_i - 1 / N) p^2."""
    balance = variance(lambda z: mixture(z, forward, hinted), *[PI_Z] * forward, *[Q_Z] * hinted)
    slack = (1 / min(forward, hinted) - 1 / (forward + hinted)) * P**2
    alone = min(variance(lambda z: mixture(z, forward, 0), *[PI_Z] * forward), variance(iwae, *[Q_Z] * hinted))
    assert balance <= alone + slack
    assert balance < variance(lambda z: mixture(z, forward + hinted, 0), *[PI_Z] * (forward + hinted))


def test_where_q_is_pi_everything_is_the_raw_evidence():
    z = np.array([3, 1, 0, 2, 1])
    raw = evidence.raw(np.log(np.array(THETA["first"]["y"]))[z], [True] * 5, 2)
    assert iwae(z, PI_Z) == pytest.approx(math.log(raw))
    for hinted in range(6):
        assert mixture(z, 5 - hinted, hinted, PI_Z) == pytest.approx(math.log(raw))
    assert mixture(z, 5, 0) == pytest.approx(math.log(raw))
    assert mixture(z, 0, 5) == pytest.approx(iwae(z))


def test_a_draw_that_never_reached_a_verdict_counts_nothing_and_still_counts():
    assert evidence.iwae([-1.0, NEVER], [-1.0, -2.0]) == pytest.approx(math.log(0.5))
    assert evidence.iwae([-1.0, NEVER], [-1.0, NEVER]) == pytest.approx(math.log(0.5))
    # One of two forward draws is whole, pi(z) = q(z) = 1/2 and pi(y*|z) = 0.3; the hinted draw is not: 0.3 / 3.
    half = math.log(0.5)
    got = evidence.mixture([half, NEVER, NEVER], [half, NEVER, -3.0], [math.log(0.3), NEVER, NEVER], 2, 1)
    assert got == pytest.approx(math.log(0.1))


def test_nothing_scored_is_minus_infinity_and_never_nan():
    nothing = [NEVER, NEVER]
    assert evidence.iwae(nothing, nothing) == NEVER
    assert evidence.mixture(nothing, nothing, nothing, 1, 1) == NEVER
    assert evidence.mixture(nothing, nothing, nothing, 2, 0) == NEVER
    assert evidence.iwae_by_k(nothing, nothing, [1, 2]) == (NEVER, NEVER)
    assert evidence.self_normalised(nothing).tolist() == [0, 0]
    assert evidence.effective_sample_size(nothing) == 0


def test_a_hinted_draw_that_the_model_would_never_make_counts_nothing():
    assert evidence.mixture([0.0, NEVER], [NEVER, 0.0], [math.log(0.5), -1.0], 1, 1) == pytest.approx(math.log(0.5))


def test_iwae_by_k_is_the_mean_over_all_subsets():
    log_w = np.log([1.0, 2.0, 4.0, 0.5])
    got = evidence.iwae_by_k(log_w, np.zeros(4), [1, 2, 4])
    pairs = [math.log((a + b) / 2) for a, b in combinations([1.0, 2.0, 4.0, 0.5], 2)]
    assert got == pytest.approx((log_w.mean(), sum(pairs) / 6, math.log(7.5 / 4)))


def test_iwae_by_k_never_falls_with_k():
    log_w = np.log(np.random.default_rng(0).gamma(0.3, size=8))
    got = evidence.iwae_by_k(log_w, np.zeros(8), range(1, 9))
    assert all(a < b for a, b in pairwise(got))


def test_too_many_subsets_are_sampled_with_a_seed():
    log_w = np.log(np.random.default_rng(1).gamma(1.0, size=16))
    (one,) = evidence.iwae_by_k(log_w, np.zeros(16), [4], seed=3)
    every = [math.log(np.exp(log_w[list(chosen)]).mean()) for chosen in combinations(range(16), 4)]
    error = np.std(every) / math.sqrt(500)
    assert abs(one - np.mean(every)) < 4 * error
    assert evidence.iwae_by_k(log_w, np.zeros(16), [4], seed=3) == (one,)
    assert evidence.iwae_by_k(log_w, np.zeros(16), [4], seed=4) != (one,)


def test_effective_sample_size_by_hand():
    assert evidence.effective_sample_size(np.log([1.0, 2.0, 1.0])) == pytest.approx(16 / 6)
    assert evidence.effective_sample_size([-7.0] * 5) == pytest.approx(5)
    assert evidence.effective_sample_size([3.0, NEVER, NEVER]) == pytest.approx(1)
    assert evidence.effective_sample_size([-2000.0, -2000.0]) == pytest.approx(2)  # nothing underflows
    np.testing.assert_allclose(evidence.self_normalised(np.log([1.0, 3.0])), [0.25, 0.75])


def exact_divergence(joint_zy):
    accepted = joint_zy[:, 2] / joint_zy[:, 2].sum()
    return float(accepted @ np.log(accepted / (PI_Z * PI_Y / P)))


def bound(chosen, sampler):
    """Draws of (z, y) from a sampler, cells 0..11: IWAE of all, less the mean ratio of those that say the answer."""
    z, said = chosen // 3, chosen % 3
    log_pi, log_q = np.log(PI_Z * PI_Y)[z], np.log(sampler[:, 2])[z]
    accepted = said == 2
    log_iwae = evidence.iwae(log_pi, np.log(sampler.sum(1))[z])
    return evidence.divergence_bound(log_iwae, log_pi[accepted], log_q[accepted])


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_the_divergence_is_bounded_from_below_in_expectation(draws):
    # A hinted sampler that prefers alpha, whatever the hint: far from the posterior, and nearly always accepted.
    wrong = np.array([0.7, 0.1, 0.1, 0.1])[:, None] * np.array([0.01, 0.01, 0.98])
    total = covered = 0.0
    for chosen in product(range(12), repeat=draws):
        chance = math.prod(wrong.ravel()[list(chosen)])
        value = bound(np.array(chosen), wrong)
        if value is not None:
            total, covered = total + chance * value, covered + chance
    truth = exact_divergence(wrong)
    assert truth > 0.5
    assert covered == pytest.approx(1 - 0.02**draws)
    assert total / covered <= truth
    many = np.random.default_rng(0).choice(12, size=20_000, p=wrong.ravel())
    assert bound(many, wrong) == pytest.approx(truth + math.log(0.98), abs=0.03)


def test_the_divergence_of_accepted_forward_draws_is_zero_up_to_the_acceptance():
    forward = joint(THETA, "first")
    many = np.random.default_rng(0).choice(12, size=20_000, p=forward.ravel())
    assert exact_divergence(forward) == pytest.approx(0)
    assert bound(many, forward) == pytest.approx(math.log(P), abs=0.03)


def test_no_divergence_without_an_accepted_draw():
    assert evidence.divergence_bound(-1.0, [], []) is None
    assert evidence.divergence_bound(NEVER, [-1.0], [-1.0]) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: evidence.iwae([], []),
        lambda: evidence.iwae([0.0], [0.0, 0.0]),
        lambda: evidence.iwae([math.nan], [0.0]),
        lambda: evidence.iwae([0.0], [NEVER]),
        lambda: evidence.iwae_by_k([0.0], [0.0], [2]),
        lambda: evidence.iwae_by_k([0.0], [0.0], [0]),
        lambda: evidence.mixture([0.0], [0.0], [0.0], 1, 1),
        lambda: evidence.mixture([0.0], [0.0], [0.0], 2, -1),
        lambda: evidence.mixture([NEVER], [NEVER], [0.0], 0, 1),
        lambda: evidence.divergence_bound(0.0, [NEVER], [0.0]),
        lambda: evidence.divergence_bound(0.0, [0.0], []),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match=r"draw|k must|needed|NaN|finite"):
        call()
