"""Conformal sets: quantiles by hand, and coverage by simulation, of new groups and of single ratings."""

import numpy as np
import pytest

from rated import FOUR, guess, item
from rationem import metrics
from rationem.metrics.conformal import RESOLUTION, quantiles, threshold
from rationem.metrics.per_item import log_likelihoods
from rationem.tasks.kinds import Kind


def test_quantiles_by_hand():
    """Nine groups of one rating: the n-th smallest score at coverage n / 10, and nothing above .9."""
    found = quantiles({f"g{n}": [[n / 100]] for n in range(1, 10)})
    assert found.groups == 9
    assert len(found.at) == 0.9 * RESOLUTION
    assert [threshold(found.at, n / 10) for n in range(1, 10)] == [n / 100 for n in range(1, 10)]
    assert threshold(found.at, 0.801) == 0.09  # rounded up
    with pytest.raises(IndexError):
        threshold(found.at, 0.95)


def test_a_group_weighs_as_much_as_another_however_many_items_and_ratings_it_has():
    """Half of the first group's weight is at .1, its other half at .5; the other two groups are at .3 and .4."""
    found = quantiles({"a": [[0.1] * 5, [0.5]] * 7, "b": [[0.3]], "c": [[0.4]]})
    assert [threshold(found.at, c) for c in (0.12, 0.13, 0.37, 0.38, 0.62, 0.63, 0.75)] == [
        *(0.1, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5)
    ]


def test_a_set_holds_the_most_probable_level_and_nothing_that_is_not_offered():
    probabilities = np.array([0.5, 0.3, 0.2, 0.0])
    assert metrics.level_set(probabilities, 0.1, FOUR.levels) == ("1",)
    assert metrics.level_set(probabilities, 0.7, FOUR.levels) == ("1", "2")
    assert metrics.level_set(probabilities, 1.0, FOUR.levels) == FOUR.levels
    assert metrics.level_set(probabilities, 1.0, FOUR.levels, [True, True, True, False]) == ("1", "2", "3")


def test_the_groups_that_a_coverage_needs():
    assert [metrics.needed(c) for c in (0.8, 0.9, 0.95, 0.99)] == [10, 10, 19, 99]


def simulated(rng, groups, iterations=4):
    """Groups of one to three items, one to three raters each, who agree within a group; iterations whose probabilities
    are off by noise and over-confident, the later the better; what chooses is the likelihood.
    """
    items, predictions = [], {k: [] for k in range(iterations)}
    for g in range(groups):
        centre = rng.normal(0, 1.0, 4)
        for i in range(int(rng.integers(1, 4))):
            logits = centre + rng.normal(0, 0.7, 4)
            shares = np.exp(logits) / np.exp(logits).sum()
            said = tuple(FOUR.levels[k] for k in rng.choice(4, int(rng.integers(1, 4)), p=shares))
            items.append(item(f"{g}-{i}", said[0], said, f"g{g}"))
            for k in range(iterations):
                told = np.exp(2.0 * (logits + rng.normal(0, 1.5 - 0.2 * k, 4)))
                told /= told.sum()
                predictions[k].append(guess(f"{g}-{i}", FOUR.levels[int(told.argmax())], told.tolist()))
    return items, predictions


def covered(rng, groups, coverage, new=150):
    """Whether ratings of new groups are in the sets of a judge chosen and fitted on validation: the share, the size."""
    items, predictions = simulated(rng, groups)
    logs = {
        k: dict(zip([x.id for x in items], log_likelihoods(said, items, FOUR), strict=True))
        for k, said in predictions.items()
    }
    best = metrics.best_iteration([float(np.mean(list(one.values()))) for one in logs.values()])
    fold_of = metrics.folds((x.group for x in items), 0)
    chosen = metrics.chosen_without(logs, items, fold_of)
    mixed = metrics.crossfitted(predictions, items, fold_of, chosen, best)
    temperature = metrics.calibrate(predictions[best], items, FOUR, mixed).temperature
    found = metrics.conformal(predictions, items, FOUR, fold_of, chosen, best)
    at = threshold(found.at, coverage)
    fresh, told = simulated(rng, new)
    seen = metrics.covered(told[best], fresh, Kind(FOUR), temperature, at, seed=0)
    return seen.coverage, seen.size


def test_coverage_by_hand_counts_a_group_once_and_an_item_without_a_verdict_not_at_all():
    """Threshold .7, so levels of .3 and more, and the most probable. a: 1 of 2 items holds half of its ratings and has
    two levels, the other all and one; b: none, one level. Coverage (.75 + 0) / 2, size (1.5 + 1) / 2."""
    items = [
        item("i", "1", ("1", "4"), "a"),
        item("j", "1", ("1", "1"), "a"),
        item("k", "4", ("4",), "b"),
        item("l", "4", ("4",), "b"),
    ]
    said = [
        guess("i", "1", (0.5, 0.4, 0.1, 0.0)),
        guess("j", "1", (0.28, 0.24, 0.24, 0.24)),
        guess("k", "1", (0.9, 0.1, 0.0, 0.0)),
        guess("l", None, (0.25, 0.25, 0.25, 0.25)),
    ]
    seen = metrics.covered(said, items, Kind(FOUR), 1.0, 0.7, seed=0)
    assert (seen.coverage, seen.interval, seen.size) == (pytest.approx(0.375), None, pytest.approx(1.25))
    assert (seen.items, seen.groups, seen.without) == (3, 2, 1)
    assert metrics.covered(said[3:], items[3:], Kind(FOUR), 1.0, 0.7, seed=0) is None


@pytest.mark.slow
def test_a_report_on_new_groups_is_right_on_average_and_its_interval_holds_the_truth():
    """One judge with T = 1 and a threshold of .6; its true coverage is that of 2,000 groups; 60 reports of 40."""
    rng, at = np.random.default_rng(11), 0.6
    items, said = simulated(rng, 2000, iterations=1)
    truth = metrics.covered(said[0], items, Kind(FOUR), 1.0, at, seed=0)
    found = []
    for _ in range(60):
        items, said = simulated(rng, 40, iterations=1)
        found.append(metrics.covered(said[0], items, Kind(FOUR), 1.0, at, seed=0))
    values = np.array([one.coverage for one in found])
    assert values.mean() == pytest.approx(truth.coverage, abs=4 * values.std() / 60**0.5 + 0.02)
    held = sum(one.interval[0] <= truth.coverage <= one.interval[1] for one in found)
    assert held >= 49  # of 60 at .95: probability .0005


@pytest.mark.slow
def test_one_rating_of_a_new_group_is_in_its_set_as_often_as_it_says():
    """30 validation sets of 60 groups, 100 new groups each: measured .923 with a standard error of .007."""
    rng = np.random.default_rng(60)
    shares, sizes = zip(*(covered(rng, 60, 0.9, new=100) for _ in range(30)), strict=True)
    assert 0.9 <= np.mean(shares) <= 0.95
    assert np.mean(sizes) < 3.5
