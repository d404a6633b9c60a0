"""Intervals over seeds and items: by hand, by brute force, and by simulation."""

import itertools

import numpy as np
import pytest

from rationem import metrics
from rationem.metrics.crossed import stretch
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction

FIVE = Scale.parse("1-5")
ITEMS = [Example(f"i{n}", {}, str(1 + n % 5), f"g{n // 2}") for n in range(40)]


def predictions(seed, skill=2.0):
    found = []
    for n, x in enumerate(ITEMS):
        weight = np.random.default_rng((seed, n)).uniform(0.5, 1.5, 5)
        weight[FIVE.rank(x.answer)] += skill * np.random.default_rng((7, n)).uniform()
        probs = weight / weight.sum()
        found.append(Prediction(x.id, FIVE.levels[int(probs.argmax())], tuple(probs.tolist()), 0.5, 1, 0))
    return found


def of(seed, skill=2.0, resamples=500):
    return metrics.resampled(predictions(seed, skill), ITEMS, FIVE, seed=0, resamples=resamples)


def test_with_one_seed_an_interval_is_that_of_the_run():
    numbers = of(1, resamples=1000)
    alone = metrics.intervals(predictions(1), ITEMS, FIVE, seed=0)
    for name, one in numbers.items():
        assert metrics.percentiles(metrics.crossed([one], seed=5).drawn_R) == alone[name]


def test_a_resample_is_the_mean_over_drawn_seeds_of_the_number_on_drawn_groups():
    runs = [of(seed)["accuracy"] for seed in range(3)]
    drawn = metrics.crossed(runs, seed=0)
    assert drawn.value == pytest.approx(np.mean([one.value for one in runs]))
    items = np.mean([one.drawn_R for one in runs], axis=0)
    pairs = [
        [(a[r] + b[r]) / 2 for a, b in itertools.product([one.drawn_R for one in runs], repeat=2)] for r in range(500)
    ]
    within = items + (drawn.drawn_R - items) / stretch(3)
    assert all(np.isclose(within[r], pairs[r]).any() for r in range(500))


def test_the_variance_over_seeds_is_that_of_a_mean_of_them():
    """Drawing S - 1 of S seeds: the resamples' variance is s^2 / S, with s^2 unbiased."""
    values = [0.1, 0.4, 0.9, 0.5]
    drawn = metrics.crossed([metrics.constant(value, 200_000) for value in values], seed=0)
    assert drawn.drawn_R.var() == pytest.approx(stretch(4) ** 2 * np.var(values, ddof=1) / len(values), rel=0.02)
    exact = [np.mean([values[n] for n in chosen]) for chosen in itertools.product(range(4), repeat=3)]
    assert np.var(exact) == pytest.approx(np.var(values, ddof=1) / len(values))


def test_differences_are_paired_by_item_and_by_seed():
    """What two arms share cancels: a constant advantage has an interval without width, however noisy the items."""
    groups = {x.id: x.group for x in ITEMS}
    noise = [{x.id: float(np.random.default_rng((s, n)).normal()) for n, x in enumerate(ITEMS)} for s in range(4)]

    def mean(scores):
        runs = [metrics.resampled_mean(one, groups, seed=0, resamples=400) for one in scores]
        return metrics.crossed(runs, seed=0)

    better = [{name: score + 0.25 for name, score in one.items()} for one in noise]
    apart = metrics.difference(mean(better), mean(noise))
    assert apart.drawn_R == pytest.approx(np.full(400, 0.25))
    low, high = metrics.percentiles(mean(noise).drawn_R)
    assert high - low > 0.1


def test_a_mean_is_that_of_the_drawn_groups_by_brute_force():
    groups = {f"i{n}": f"g{n % 3}" for n in range(9)}
    scores = {f"i{n}": float(n * n) for n in range(8)}  # the last item has none
    found = metrics.resampled_mean(scores, groups, seed=3, resamples=50)
    by_group = {g: [scores[i] for i, of in groups.items() if of == g and i in scores] for g in ("g0", "g1", "g2")}
    possible = [
        np.mean([score for g in chosen for score in by_group[g]]) for chosen in itertools.product(by_group, repeat=3)
    ]
    assert found.value == pytest.approx(np.mean(list(scores.values())))
    assert all(np.isclose(value, possible).any() for value in found.drawn_R)
    assert metrics.resampled_mean({}, groups, seed=3, resamples=50) is None


def test_a_number_that_a_seed_lacks_is_no_number():
    assert metrics.crossed([metrics.constant(1.0, 10), None], seed=0) is None
    assert metrics.crossed([], seed=0) is None
    assert metrics.difference(metrics.constant(1.0, 10), None) is None


def test_p_values_by_hand():
    assert metrics.two_sided(np.array([1.0] * 95 + [-1.0] * 4)) == pytest.approx(2 * 5 / 100)
    assert metrics.two_sided(np.array([0.0] * 9)) == 1.0
    assert metrics.two_sided(np.full(1999, 0.3)) == pytest.approx(0.001)
    assert metrics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert metrics.holm([0.9, 0.8]) == [1.0, 1.0]
    with pytest.raises(ValueError, match="every resample"):
        metrics.two_sided(np.array([0.1, np.nan]))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_intervals_over_seeds_and_items_hold_the_truth_about_as_often_as_they_say(seeds, noise):
    """Scores of seeds and items with an effect of each and noise of their own; the truth is 0."""
    rng, groups, held = np.random.default_rng(0), {f"i{n}": f"g{n}" for n in range(40)}, 0
    for _ in range(300):
        of_item, of_seed = rng.normal(0, 1, 40), rng.normal(0, noise, seeds)
        runs = [
            metrics.resampled_mean(
                dict(zip(groups, of_item + of_seed[s] + rng.normal(0, 0.5, 40), strict=True)),
                groups, seed=0, resamples=400,
            )
            for s in range(seeds)
        ]  # fmt: skip
        low, high = metrics.percentiles(metrics.crossed(runs, seed=0).drawn_R)
        held += low <= 0 <= high
    assert 0.88 <= held / 300 <= 1
