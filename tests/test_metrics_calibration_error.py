"""The squared calibration error: its expectation by enumeration, and intervals that hold the truth."""

import itertools

import numpy as np
import pytest

from rated import FOUR, guess, item
from rationem import metrics
from rationem.metrics.calibration_error import calibration_sums, squared_calibration_error
from rationem.metrics.distributions import calibration_error, reliability

#: Kinds of items: confidence, probability of being right, share.
KINDS = ((0.62, 0.9, 0.3), (0.68, 0.2, 0.3), (0.95, 0.7, 0.4))


def expectation(size, count):
    """E of the estimate over all samples of ``count`` groups of ``size`` items of one kind and one outcome."""
    total = 0.0
    outcomes = [(c, right, share * (p if right else 1 - p)) for c, p, share in KINDS for right in (0, 1)]
    for drawn in itertools.product(outcomes, repeat=count):
        probability = np.prod([one[2] for one in drawn])
        rows = [one for one in drawn for _ in range(size)]
        groups = np.repeat(np.arange(count), size)
        total += probability * squared_calibration_error([r[0] for r in rows], [r[1] for r in rows], groups)
    return total


@pytest.mark.parametrize(("size", "count"), [(1, 2), (1, 4), (3, 3)])
def test_the_estimate_is_unbiased_but_for_bins_with_a_single_group(size, count):
    """By enumeration: a bin with P(b) = .6 and E[d | b] = -.1, one with .4 and -.25; a bin of one group counts 0."""
    first = (0.3 * (0.9 - 0.62) + 0.3 * (0.2 - 0.68)) / 0.6
    expected = sum(
        (share - share * (1 - share) ** (count - 1)) * gap**2 for share, gap in ((0.6, first), (0.4, 0.7 - 0.95))
    )
    assert expectation(size, count) == pytest.approx(expected, abs=1e-12)


def test_items_of_one_group_make_no_pair():
    """Copies of an item in its group: as if there were one, for all of its group are right or wrong together."""
    confidence, right = np.array([0.65, 0.62, 0.68, 0.7]), np.array([1.0, 0, 1, 1])
    once = squared_calibration_error(confidence, right, np.arange(4))
    thrice = squared_calibration_error(np.repeat(confidence, 3), np.repeat(right, 3), np.repeat(np.arange(4), 3))
    assert thrice == pytest.approx(once)
    assert squared_calibration_error(confidence, right, np.zeros(4, dtype=int)) == 0


def test_in_expectation_over_resamples_it_is_the_plug_in_error():
    sums = calibration_sums([0.65, 0.62, 0.95], [1, 0, 0], np.arange(3))
    counts = np.array(list(itertools.product(range(3), repeat=3)))
    resamples = np.stack([(counts == g).sum(axis=1) for g in range(3)], axis=1).astype(float)
    drawn = sums.debiased(resamples)
    single = [  # a resample with one item in a bin gives nothing for that bin
        sum(n / 3 * gap**2 for n, gap in ((row[0] + row[1], (0.35 - 0.62) / 2), (row[2], -0.95)) if n == 1)
        for row in resamples
    ]
    assert drawn.mean() + np.mean(single) == pytest.approx(sums.plug_in())


def drawn(rng, count, power=1.0):
    """A judge whose confidence is p^power, where it is right with probability p."""
    p = rng.dirichlet(np.full(4, 0.8), count).max(axis=1)
    return p**power, (rng.random(count) < p).astype(float)


def test_a_calibrated_judge_has_no_calibration_error_on_average_while_the_plug_in_says_six_percent():
    rng = np.random.default_rng(0)
    samples = [drawn(rng, 256) for _ in range(300)]
    of = np.arange(256)
    debiased = [squared_calibration_error(*one, of) for one in samples]
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / 300**0.5
    assert min(debiased) < 0
    assert np.mean([calibration_error(reliability(*one)) for one in samples]) == pytest.approx(0.06, abs=0.015)


def told(confidence, right):
    """Predictions and items with these confidences, of which these are right."""
    rest = (1 - confidence) / 3
    guesses = [guess(str(n), "2", (r, c, r, r)) for n, (c, r) in enumerate(zip(confidence, rest, strict=True))]
    return guesses, [item(str(n), "2" if met else "1") for n, met in enumerate(right)]


@pytest.mark.slow
@pytest.mark.parametrize(("power", "count"), [(1.0, 256), (0.5, 256), (0.5, 64)])
def test_intervals_hold_the_squared_calibration_error(power, count):
    """150 samples: of a 95 % interval fewer than 133 would hold the truth with probability .0005."""
    rng = np.random.default_rng(1)
    confidence, right = drawn(rng, 400_000, power)
    truth = squared_calibration_error(confidence, right, np.arange(len(right)) % 1000)
    assert (truth < 1e-4) == (power == 1)
    held = 0
    for _ in range(150):
        said, items = told(*drawn(rng, count, power))
        low, high = metrics.intervals(said, items, FOUR, seed=0, resamples=200)["squared_calibration_error"]
        held += low <= truth <= high
    assert held >= 133
