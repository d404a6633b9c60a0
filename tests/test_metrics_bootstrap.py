"""Intervals: the same numbers as the metrics for any resample, percentiles by brute force, groups and not items."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rated import FOUR, TIE, UNEVEN, guess, item, made_up
from rationem import metrics
from rationem.metrics.bootstrap import _statistics, _sums
from rationem.seeds import generator
from rationem.types import Example, Prediction

NAMES = metrics.HEADLINE


def copies(guesses, items, counts):
    """The resample written out: the items of every group as often as it was drawn, each with an id of its own."""
    groups = sorted({x.group for x in items})
    said, true = [], []
    for g, x in zip(guesses, items, strict=True):
        for n in range(int(counts[groups.index(x.group)])):
            name = f"{x.id}-{n}"
            said.append(Prediction(name, g.predicted, g.probabilities, g.raw, g.draws, g.unparsed))
            true.append(Example(name, x.fields, x.answer, f"{x.group}-{n}", x.ratings))
    return said, true


@pytest.mark.slow
@pytest.mark.parametrize("scale", [FOUR, UNEVEN, TIE], ids=str)
@pytest.mark.parametrize("lost", [0.0, 0.3])
@pytest.mark.parametrize("criteria", [1, 3])
def test_a_resamples_numbers_are_the_metrics_of_the_resample(scale, lost, criteria):
    guesses, items = made_up(scale, 40, 4, lost=lost, raters=2, groups=12)
    items = [replace(x, fields={**x.fields, "criterion": str(n % criteria)}) for n, x in enumerate(items)]
    groups = len({x.group for x in items})
    counts = np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), size=4).astype(float)
    counts = np.vstack([np.ones(groups), counts])
    got = _statistics(counts, _sums(guesses, items, scale), scale)
    for row, drawn in enumerate(counts):
        scores = metrics.score(*copies(guesses, items, drawn), scale).as_dict()
        for name in NAMES:
            known = scores[name]
            if known is None:
                assert name not in got or not np.isfinite(got[name][row]), name
            else:
                assert got[name][row] == pytest.approx(known, abs=1e-9), name


def test_what_does_not_exist_in_a_resample_is_no_number():
    guesses = [guess("a", "1"), guess("b", "2"), guess("c", None)]
    items = [item("a", "1"), item("b", "2"), item("c", "2")]
    got = _statistics(np.array([[3.0, 0, 0], [0, 0, 3], [1, 1, 1]]), _sums(guesses, items, FOUR), FOUR)
    for name in ("pearson", "spearman", "kendall", "quadratic_kappa"):
        assert not np.isfinite(got[name][0]), name
        assert np.isfinite(got[name][2]), name
    assert not np.isfinite(got["signed_error_parsed"][1])
    assert got["mae"][:2].tolist() == [0, 2]


@pytest.mark.slow
def test_intervals_are_percentiles_of_resampled_groups_by_brute_force():
    guesses, items = made_up(FOUR, 30, 5, groups=10)
    groups = len({x.group for x in items})
    got = metrics.intervals(guesses, items, FOUR, seed=7, resamples=60, level=0.9)
    drawn = generator(7, "bootstrap").multinomial(groups, np.full(groups, 1 / groups), size=60)
    scores = [metrics.score(*copies(guesses, items, counts), FOUR).as_dict() for counts in drawn]
    for name in NAMES:
        known = [value for value in (one[name] for one in scores) if value is not None]
        if not known:  # rewards are of open answers
            assert name in ("reward", "draw_reward")
            assert got[name] is None
            continue
        ends = np.quantile(known, [0.05, 0.95])
        if name == "squared_calibration_error":  # centred on the plug-in estimate
            sums = _sums(guesses, items, FOUR).calibration
            ends += metrics.score(guesses, items, FOUR).squared_calibration_error - sums.plug_in()
        assert got[name] == pytest.approx(tuple(ends), abs=1e-9), name


def test_equal_seeds_give_equal_intervals_in_any_order_of_items():
    guesses, items = made_up(FOUR, 50, 6, groups=20)
    one = metrics.intervals(guesses, items, FOUR, seed=1)
    assert metrics.intervals(guesses[::-1], items, FOUR, seed=1) == one
    other = metrics.intervals(guesses, items[::-1], FOUR, seed=1)
    assert all(other[name] == pytest.approx(ends) for name, ends in one.items())
    assert metrics.intervals(guesses, items, FOUR, seed=2) != one


def test_items_of_one_group_are_not_independent():
    """Every item four times in one group tells no more than once; four times as many groups tell more."""
    guesses, items = made_up(FOUR, 100, 7, lost=0)
    times = [(f"{n}-{k}", n) for n in range(100) for k in range(4)]
    many = [guess(name, guesses[n].predicted, guesses[n].probabilities) for name, n in times]
    grouped = [item(name, items[n].answer, group=str(n), response="") for name, n in times]
    alone = [item(name, items[n].answer, response="") for name, n in times]

    def width(said, true):
        low, high = metrics.intervals(said, true, FOUR, seed=0)["accuracy"]
        return high - low

    once = width(guesses, items)
    assert width(many, grouped) == pytest.approx(once, rel=0.1)
    assert width(many, alone) == pytest.approx(once / 2, rel=0.1)
    share = metrics.score(guesses, items, FOUR).accuracy
    assert once == pytest.approx(2 * 1.96 * math.sqrt(share * (1 - share) / 100), rel=0.1)


@pytest.mark.slow
def test_nineteen_in_twenty_intervals_hold_the_truth():
    """100 samples of 150 items whose true accuracy is the mean of the largest probability, 95 % intervals."""
    truth = np.random.default_rng(0).dirichlet(np.full(4, 0.7), 200_000).max(axis=1).mean()
    held = 0
    for seed in range(100):
        low, high = metrics.intervals(*made_up(FOUR, 150, 1000 + seed, lost=0), FOUR, seed=0, resamples=100)["accuracy"]
        held += low <= truth <= high
    assert 88 <= held <= 100  # binomial(100, 0.95): below 88 has probability 0.004


def test_there_is_no_interval_where_there_is_no_number():
    guesses, items = made_up(TIE, 20, 8)
    nominal = metrics.intervals(guesses, items, TIE, seed=0, resamples=50)
    assert list(nominal) == list(metrics.HEADLINE)
    there = {name for name in metrics.HEADLINE if metrics.METRICS[name].exists(TIE)}
    assert {name for name, ends in nominal.items() if ends} == there
    assert there >= {"accuracy", "kappa", "log_likelihood", "squared_calibration_error"}
    assert not there & {"mae", "pearson", "rps", "reward"}
    one_group = [item(x.id, x.answer, group="all") for x in items]
    assert set(metrics.intervals(guesses, one_group, TIE, seed=0).values()) == {None}
    constant = [guess(name, "1", (0, 1, 0, 0)) for name in "abcdefghij"]
    got = metrics.intervals(constant, [item(name, "1") for name in "abcdefghij"], FOUR, seed=0)
    assert got["pearson"] is got["log_likelihood"] is got["quadratic_kappa"] is None
    assert got["accuracy"] == (1, 1)


def test_many_groups_and_levels_are_cut_into_pieces_without_changing_anything(monkeypatch):
    guesses, items = made_up(FOUR, 60, 9)
    whole = metrics.intervals(guesses, items, FOUR, seed=3, resamples=40)
    monkeypatch.setattr("rationem.metrics.bootstrap._CHUNK", 7 * 60)
    pieces = metrics.intervals(guesses, items, FOUR, seed=3, resamples=40)
    assert all(pieces[name] == pytest.approx(ends) for name, ends in whole.items())
