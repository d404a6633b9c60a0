"""Intervals over seeds and items: by hand, by brute force, and by simulation."""

import importlib.util
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from rationem import metrics
from rationem.metrics import Crossed
from rationem.metrics.crossed import constant
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
        assert metrics.crossed([one]).interval() == alone[name]


def scores(item_S, cells_GS):
    """A mean over groups: the seeds' numbers, and on resamples of the groups."""
    groups = len(cells_GS)
    counts = np.random.default_rng(1).multinomial(groups, np.full(groups, 1 / groups), size=len(item_S))
    return Crossed(cells_GS.mean(axis=0), (counts @ cells_GS / groups).T, groups)


def two_way(rng, groups, seeds, of_seed, noise):
    """Scores with effects of groups (variance 1), of seeds, and of cells; the truth is 0."""
    effects = rng.normal(0, 1, (groups, 1)) + rng.normal(0, of_seed, (1, seeds))
    return effects + rng.normal(0, noise, (groups, seeds))


def test_the_standard_error_of_a_mean_is_that_of_a_two_way_layout():
    """Mean squares by hand: Var = (MS_items + MS_seeds - MS_cells) / (G S), and Satterthwaite's degrees of freedom."""
    cells = two_way(np.random.default_rng(3), 25, 4, 0.5, 0.7)
    groups, seeds = cells.shape
    rows, columns, mean = cells.mean(axis=1), cells.mean(axis=0), cells.mean()
    of_items = seeds * ((rows - mean) ** 2).sum() / (groups - 1)
    of_seeds = groups * ((columns - mean) ** 2).sum() / (seeds - 1)
    of_cells = ((cells - rows[:, None] - columns + mean) ** 2).sum() / ((groups - 1) * (seeds - 1))
    variance = (of_items + of_seeds - of_cells) / (groups * seeds)
    parts = [(of_items, groups - 1), (of_seeds, seeds - 1), (of_cells, (groups - 1) * (seeds - 1))]
    freedom = (of_items + of_seeds - of_cells) ** 2 / sum(square**2 / n for square, n in parts)
    found = scores(range(200_000), cells).error()
    assert found == pytest.approx((variance**0.5, freedom), rel=0.01)


def test_where_seeds_differ_by_less_than_their_noise_their_share_is_taken_as_none():
    cells = (
        np.random.default_rng(0).normal(0, 1, (40, 1)) + np.array([[0.3, -0.3, 0.0]]) * (-1.0) ** np.arange(40)[:, None]
    )
    assert cells.mean(axis=0) == pytest.approx(np.full(3, cells.mean()))
    error, freedom = scores(range(100_000), cells).error()
    assert freedom == 39
    assert error == pytest.approx(cells.mean(axis=1).std(ddof=1) / 40**0.5, rel=0.01)


def test_numbers_without_items_vary_over_seeds_alone():
    values = [0.1, 0.4, 0.9, 0.5]
    found = metrics.crossed([constant(value) for value in values])
    assert found.error() == pytest.approx((np.std(values, ddof=1) / 2, 3.0))
    low, high = found.interval()
    assert (high - low) / 2 == pytest.approx(3.182446 * np.std(values, ddof=1) / 2)


def test_two_seeds_have_no_interval():
    found = metrics.crossed([of(seed)["accuracy"] for seed in range(2)])
    assert found.interval() is found.p_value() is found.detectable() is None


def test_fewer_than_ten_groups_have_no_interval():
    few = [Example(x.id, {}, x.answer, f"g{n % 9}") for n, x in enumerate(ITEMS)]
    assert set(metrics.intervals(predictions(1), few, FIVE, seed=0).values()) == {None}
    several = [metrics.resampled(predictions(s), few, FIVE, seed=0, resamples=50)["accuracy"] for s in range(4)]
    assert metrics.crossed(several).interval() is metrics.crossed(several[:1]).interval() is None


def test_differences_are_paired_by_item_and_by_seed():
    """What two arms share cancels: of a constant advantage nothing varies, however noisy the items."""
    groups = {x.id: x.group for x in ITEMS}
    noise = [{x.id: float(np.random.default_rng((s, n)).normal()) for n, x in enumerate(ITEMS)} for s in range(4)]

    def mean(scores):
        return metrics.crossed([metrics.resampled_mean(one, groups, seed=0, resamples=400) for one in scores])

    better = [{name: score + 0.25 for name, score in one.items()} for one in noise]
    apart = metrics.difference(mean(better), mean(noise))
    assert apart.value == pytest.approx(0.25)
    assert apart.drawn_SR == pytest.approx(np.full((4, 400), 0.25))
    assert apart.error() is None
    low, high = mean(noise).interval()
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
    assert metrics.crossed([constant(1.0), None]) is None
    assert metrics.crossed([]) is None
    assert metrics.difference(metrics.crossed([constant(1.0)]), None) is None


def test_p_values_and_power_by_hand():
    """Of t with 2 degrees of freedom: P(|t| > 4.302653) = .05."""
    found = metrics.crossed([constant(value) for value in (0.0, 1.0, 2.0)])
    error = 1 / 3**0.5
    assert found.error() == pytest.approx((error, 2.0))
    assert found.p_value() == pytest.approx(1 - 3**0.5 / (3 + 2) ** 0.5)  # of t = sqrt(3), 2 degrees of freedom
    assert found.detectable() == pytest.approx((4.302653 + 1.060660) * error, rel=1e-5)
    assert metrics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert metrics.holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 4])
@pytest.mark.parametrize("groups", [30, pytest.param(200, marks=pytest.mark.acceptance)])
@pytest.mark.parametrize("ratio", [0.0, 1.0])
@pytest.mark.parametrize("noise", [1.0])
def test_intervals_hold_the_truth_as_often_as_they_say_and_are_hardly_wider_than_need_be(seeds, groups, ratio, noise):
    """``ratio``: the seeds' share of the mean's variance over the groups' share. The width is beside that of the
    t interval with the true variances.
    """
    rng, held, width, runs = np.random.default_rng(0), 0, 0.0, 1000
    of_seed = (ratio * seeds / groups) ** 0.5
    for _ in range(runs):
        low, high = scores(range(400), two_way(rng, groups, seeds, of_seed, noise)).interval()
        held += low <= 0 <= high
        width += (high - low) / runs
    cells = noise**2 / groups / seeds
    items, between = 1 / groups + cells, of_seed**2 / seeds + cells
    variance = items + between - cells
    freedom = variance**2 / (
        items**2 / (groups - 1) + between**2 / (seeds - 1) + cells**2 / ((groups - 1) * (seeds - 1))
    )
    assert held / runs >= (0.915 if seeds == 3 else 0.93)
    assert width <= 1.1 * 2 * t.ppf(0.975, freedom) * variance**0.5


def test_one_cell_of_the_table_of_power():
    """With known variances the t interval finds a shift of t_.975 + t_.8 standard errors in 80 of 100."""
    spec = importlib.util.spec_from_file_location("power", Path(__file__).parents[1] / "studies" / "power.py")
    power = importlib.util.module_from_spec(spec)
    sys.modules["power"] = power  # dataclasses look their module up
    spec.loader.exec_module(power)
    cell = power.power(5, 100, 0.3, runs=300, resamples=200)
    assert 0.915 <= cell.coverage <= 0.985
    assert 0.95 <= cell.width <= 1.07
    error = ((1 + 0.3 + 1 / 5) / 100) ** 0.5
    assert cell.detected == pytest.approx((t.ppf(0.975, 40) + t.ppf(0.8, 40)) * error, rel=0.12)
    assert power.found_by(np.zeros(10), np.arange(1.0, 11.0)) == pytest.approx(8.0)
