"""The choice of an iteration: what a maximum promises too much, and what making it again takes off."""

import numpy as np
import pytest

from rated import item
from rationem import metrics


def scored(means, groups, rng):
    """Scores of iterations whose items differ by noise alone around these means."""
    items = [item(f"i{n}", "1", group=f"g{n}") for n in range(groups)]
    drawn = rng.normal(0, 1, (len(means), groups)) + np.array(means)[:, None]
    return items, {k: {x.id: float(drawn[k, n]) for n, x in enumerate(items)} for k in range(len(means))}


@pytest.mark.parametrize("groups", [20, 60])
def test_the_score_of_a_chosen_iteration_is_too_high_and_the_one_of_other_folds_is_not(groups):
    """Six iterations that are equally good, 300 validation sets; the expected maximum is 1.27 standard errors."""
    rng, high, apart = np.random.default_rng(0), [], []
    for _ in range(300):
        items, scores = scored([0.0] * 6, groups, rng)
        high.append(max(np.mean(list(one.values())) for one in scores.values()))
        again = metrics.rechosen(scores, items, metrics.folds((x.group for x in items), 0), seed=0, resamples=2)
        apart.append(again.apart.value)
    assert np.mean(high) * groups**0.5 == pytest.approx(1.27, abs=0.12)
    assert abs(np.mean(apart)) < 3 * np.std(apart) / 300**0.5


def test_by_hand_a_fold_is_scored_by_what_the_others_choose():
    items = [item(f"i{n}", "1", group=f"g{n}") for n in range(4)]
    fold_of = {"g0": 0, "g1": 0, "g2": 1, "g3": 1}
    scores = {0: {"i0": 1.0, "i1": 1, "i2": 0, "i3": 0}, 1: {"i0": 0.0, "i1": 0.5, "i2": 2, "i3": 0}}
    assert metrics.chosen_without(scores, items, fold_of) == {0: 1, 1: 0}
    again = metrics.rechosen(scores, items, fold_of, seed=0, resamples=50)
    assert again.apart.value == pytest.approx((0.0 + 0.5 + 0 + 0) / 4)
    assert sum(again.shares.values()) == pytest.approx(1)
    assert metrics.rechosen(scores, items[:1], {"g0": 0}, seed=0) is None
    assert metrics.rechosen({0: {}, 1: {}}, items, fold_of, seed=0) is None


def test_equal_iterations_are_the_earlier_one():
    items, scores = scored([0.0], 12, np.random.default_rng(1))
    twice = {0: scores[0], 1: dict(scores[0])}
    again = metrics.rechosen(twice, items, metrics.folds((x.group for x in items), 0), seed=0, resamples=50)
    assert again.shares == {0: 1.0, 1: 0.0}
    assert metrics.best_iteration([-1.0, -0.5, -0.5]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.0, 0.3])
def test_intervals_with_the_choice_inside_hold_the_score_of_the_chosen(gain):
    """150 sets of 60 groups; below 132 of 150 has probability .0001 for a 95 % interval."""
    rng, held = np.random.default_rng(2), 0
    means = [gain * k for k in range(4)]
    for _ in range(150):
        items, scores = scored(means, 60, rng)
        again = metrics.rechosen(scores, items, metrics.folds((x.group for x in items), 0), seed=0, resamples=300)
        low, high = metrics.interval(again.apart)
        best = metrics.best_iteration([float(np.mean(list(one.values()))) for one in scores.values()])
        held += low <= means[best] <= high
    assert held >= 132
