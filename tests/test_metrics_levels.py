"""Levels against levels: by hand, by brute force and against scikit-learn, and what must hold for any input."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, mean_absolute_error, root_mean_squared_error

from rated import FOUR, TIE, UNEVEN
from rationem import metrics
from rationem.metrics.correlation import grouped_pearson, pearson
from rationem.tasks.scale import Scale

# Speed is not what these properties state: no deadline on a busy machine.
relaxed = settings(deadline=None, max_examples=30)
NEEDS_ORDER = (
    "within_one", "mae", "mae_parsed", "rmse", "signed_error_parsed", "pearson", "spearman", "kendall",
    "pearson_unrounded", "quadratic_kappa",
)  # fmt: skip


def pairs(scale, lost=False):
    said = st.sampled_from([*scale.levels, None] if lost else scale.levels)
    return st.lists(st.tuples(said, st.sampled_from(scale.levels)), min_size=1, max_size=30)


def test_every_number_by_hand():
    predicted, targets = ["1", "3", "4", None, "2"], ["1", "2", "2", "2", "4"]
    got = metrics.agreement(predicted, targets, FOUR, unrounded=[1, 2.25, 2, 1.75, 4])
    assert (got.count, got.unparsed, got.untargeted) == (5, 1, 0)
    assert (got.accuracy, got.accuracy_parsed) == (1 / 5, 1 / 4)
    assert got.within_one == 2 / 5
    assert got.mae == pytest.approx((0 + 1 + 2 + 2 + 2) / 5)  # no verdict: from 2 the farthest is 4
    assert got.mae_parsed == pytest.approx((0 + 1 + 2 + 2) / 4)
    assert got.rmse == pytest.approx(math.sqrt((0 + 1 + 4 + 4 + 4) / 5))
    assert got.signed_error_parsed == pytest.approx((0 + 1 + 2 - 2) / 4)
    assert got.pearson == pytest.approx(np.corrcoef([1, 3, 4, 2], [1, 2, 2, 4])[0, 1])
    assert got.spearman == pytest.approx(np.corrcoef([1, 3, 4, 2], [1, 2.5, 2.5, 4])[0, 1])
    # Of the 6 pairs of items one has tied targets; 1-3, 1-4 and 1-2 agree, 3-2 and 4-2 do not.
    assert got.kendall == pytest.approx((3 - 2) / math.sqrt(6 * 5))
    assert got.pearson_unrounded == pytest.approx(np.corrcoef([1, 3, 4, 2], [1, 2.25, 2, 4])[0, 1])
    # Met: 1/5. By chance: (1 * 1 + 1 * 3 + 1 * 0 + 1 * 1) / 25, the lost verdict being a class that no target has.
    assert got.kappa == pytest.approx(1 - (1 - 1 / 5) / (1 - 5 / 25))
    filled, true = np.array([1, 3, 4, 4, 2]), np.array([1, 2, 2, 2, 4])
    chance = np.mean((filled[:, None] - true) ** 2)
    assert got.quadratic_kappa == pytest.approx(1 - np.mean((filled - true) ** 2) / chance)
    # F1: of 1 one met; of 2, 3 and 4 none.
    assert got.macro_f1 == pytest.approx(1 / 4)
    assert got.recall == {"1": 1.0, "2": 0.0, "3": None, "4": 0.0}


@pytest.mark.slow
@given(several=pairs(FOUR))
@relaxed
def test_distances_as_scikit_learn_has_them(several):
    predicted, targets = map(list, zip(*several, strict=True))
    ranks = [[FOUR.rank(level) for level in levels] for levels in (targets, predicted)]
    got = metrics.agreement(predicted, targets, FOUR)
    assert got.accuracy == pytest.approx(accuracy_score(targets, predicted))
    assert got.mae == pytest.approx(mean_absolute_error(*ranks))
    assert got.rmse == pytest.approx(root_mean_squared_error(*ranks))
    assert got.within_one == pytest.approx(np.mean(np.abs(np.subtract(*ranks)) <= 1))
    assert got.unparsed == 0


@pytest.mark.slow
@pytest.mark.parametrize("scale", [FOUR, UNEVEN, TIE], ids=str)
@given(data=st.data())
@relaxed
def test_losing_a_verdict_never_helps(scale, data):
    several = data.draw(pairs(scale, lost=True))
    at = data.draw(st.integers(0, len(several) - 1))
    predicted, targets = map(list, zip(*several, strict=True))
    full = metrics.agreement(predicted, targets, scale)
    less = metrics.agreement([*predicted[:at], None, *predicted[at + 1 :]], targets, scale)
    assert less.accuracy <= full.accuracy
    assert all((less.recall[level] or 0) <= (full.recall[level] or 0) for level in scale.levels)
    if scale.ordered:
        assert less.within_one <= full.within_one
        assert less.mae >= full.mae
        assert less.rmse >= full.rmse


@pytest.mark.slow
@pytest.mark.parametrize("scale", [FOUR, UNEVEN, TIE], ids=str)
@given(data=st.data())
@relaxed
def test_the_order_of_the_items_does_not_matter(scale, data):
    several = data.draw(pairs(scale, lost=True))
    shuffled = data.draw(st.permutations(several))
    one, other = (metrics.agreement(*map(list, zip(*each, strict=True)), scale) for each in (several, shuffled))
    for name in ("accuracy", *NEEDS_ORDER, "kappa", "macro_f1", "recall"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9), name


@pytest.mark.slow
@pytest.mark.parametrize("scale", [FOUR, UNEVEN, TIE], ids=str)
@given(data=st.data())
@relaxed
def test_what_is_perfect_is_one_wherever_it_exists(scale, data):
    targets = data.draw(st.lists(st.sampled_from(scale.levels), min_size=1, max_size=20))
    got = metrics.agreement(targets, targets, scale)
    varied = len(set(targets)) > 1
    assert (got.accuracy, got.accuracy_parsed, got.macro_f1) == (1, 1, 1)
    assert {share for share in got.recall.values() if share is not None} == {1}
    assert got.kappa == (1 if varied else None)
    if scale.ordered:
        assert (got.within_one, got.mae, got.rmse, got.signed_error_parsed) == (1, 0, 0, 0)
        for name in ("pearson", "spearman", "kendall", "quadratic_kappa"):
            assert getattr(got, name) == (pytest.approx(1) if varied else None), name


def test_a_scale_without_order_has_no_distances():
    got = metrics.agreement(["A", "B", None, "tie"], ["A", "A", "B", "tie"], TIE, unrounded=[1, 1, 2, 3])
    assert [name for name in NEEDS_ORDER if getattr(got, name) is not None] == []
    assert (got.accuracy, got.accuracy_parsed) == (1 / 2, 2 / 3)
    # Met 2/4; by chance A (1 of 4 said, 2 of 4 true), B (1, 1), tie (1, 1): 4/16.
    assert got.kappa == pytest.approx(1 - (1 / 2) / (3 / 4))
    assert got.recall == {"A": 1 / 2, "B": 0, "tie": 1}
    assert got.macro_f1 == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_nothing_parsed_is_none_and_the_worst_never_zero():
    got = metrics.agreement([None, None], ["1", "3"], FOUR)
    assert (got.unparsed, got.accuracy, got.within_one, got.mae, got.macro_f1) == (2, 0, 0, (3 + 2) / 2, 0)
    assert got.accuracy_parsed is got.mae_parsed is got.signed_error_parsed is got.pearson is got.kendall is None
    assert got.kappa == 0
    assert got.recall == {"1": 0, "2": None, "3": 0, "4": None}


def test_no_verdict_is_not_within_one_even_where_no_level_is_further_off():
    three = Scale.parse("1-3")
    got = metrics.agreement([None, None, "1"], ["2", "1", "2"], three)
    assert (got.count, got.unparsed, got.accuracy, got.within_one, got.mae) == (3, 2, 0.0, 1 / 3, 4 / 3)


def test_distances_are_in_the_values_of_the_scale():
    halves = Scale.parse("1-3 by 0.5")
    got = metrics.agreement(["1.5", None], ["2", "2.5"], halves)
    assert (got.mae, got.within_one) == ((0.5 + 1.5) / 2, 1 / 2)
    named = Scale.parse("Bad < Fair < Good")
    assert metrics.agreement(["Good"], ["Bad"], named).mae == 2
    assert metrics.agreement(["2", None], ["10", "5"], UNEVEN).mae == (8 + 5) / 2


@pytest.mark.slow
@given(several=pairs(FOUR, lost=True))
@relaxed
def test_kappas_f1_and_correlations_are_those_of_scikit_learn_and_scipy(several):
    """A second library; a missing verdict is a class of its own, and for squared distances the farthest level."""
    predicted, targets = map(list, zip(*several, strict=True))
    got = metrics.agreement(predicted, targets, FOUR)
    said = np.array([4 if level is None else FOUR.rank(level) for level in predicted])
    true = np.array([FOUR.rank(level) for level in targets])
    filled = np.where(said < 4, said, np.where(true < 2, 3, 0))
    for one, name, weights in ((said, "kappa", None), (filled, "quadratic_kappa", "quadratic")):
        same = len(set(one) | set(true)) == 1
        known = None if same else cohen_kappa_score(one, true, labels=range(5), weights=weights)
        assert getattr(got, name) == (None if same else pytest.approx(known, abs=1e-12))
    used = sorted((set(said) | set(true)) - {4})
    assert got.macro_f1 == pytest.approx(f1_score(true, said, labels=used, average="macro", zero_division=0), abs=1e-12)
    one, other = said[said < 4], true[said < 4]
    for name, of in (("pearson", pearsonr), ("spearman", spearmanr), ("kendall", kendalltau)):
        varied = len(set(one)) > 1 and len(set(other)) > 1
        assert getattr(got, name) == (pytest.approx(of(one, other).statistic, abs=1e-12) if varied else None), name


@pytest.mark.slow
@given(several=pairs(UNEVEN).filter(lambda several: len(set(sum(several, ()))) > 1))
@relaxed
def test_kappa_of_uneven_values_by_brute_force(several):
    values = [[UNEVEN.values[UNEVEN.rank(level)] for level in levels] for levels in zip(*several, strict=True)]
    apart = sum((u - v) ** 2 for u, v in zip(*values, strict=True)) / len(several)
    chance = sum((u - v) ** 2 for u in values[0] for v in values[1]) / len(several) ** 2
    got = metrics.agreement(*map(list, zip(*several, strict=True)), UNEVEN)
    assert got.quadratic_kappa == pytest.approx(1 - apart / chance)


@given(several=pairs(FOUR))
@relaxed
def test_correlations_by_brute_force_and_none_for_a_constant(several):
    got = metrics.agreement(*map(list, zip(*several, strict=True)), FOUR)
    one, other = (np.array([FOUR.rank(level) for level in levels]) for levels in zip(*several, strict=True))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        assert got.pearson is got.spearman is got.kendall is None
        return
    assert got.pearson == pytest.approx(np.corrcoef(one, other)[0, 1])
    middle = [[(np.sum(x < v) + np.sum(x <= v) + 1) / 2 for v in x] for x in (one, other)]
    assert got.spearman == pytest.approx(np.corrcoef(*middle)[0, 1])
    signs = [(np.sign(a - c), np.sign(b - d)) for (a, b), (c, d) in combinations(zip(one, other, strict=True), 2)]
    untied = [sum(abs(s[k]) for s in signs) for k in (0, 1)]
    assert got.kendall == pytest.approx(sum(a * b for a, b in signs) / math.sqrt(untied[0] * untied[1]))


def test_rounding_is_no_variation():
    assert pearson([0.1 + 0.2, 0.3, 0.3], [1, 2, 3]) is None
    assert pearson([1e-12, 2e-12, 4e-12], [1, 2, 4]) == pytest.approx(1)


def test_correlation_within_groups_does_not_reward_telling_groups_apart():
    said, true, groups = [1, 2, 9, 8, 5, 5, 7], [1, 2, 8, 9, 1, 2, 3], ["a", "a", "b", "b", "c", "c", "d"]
    assert grouped_pearson(said, true, groups) == (pytest.approx((1 - 1) / 2, abs=1e-12), 2)  # c is constant, d alone
    assert grouped_pearson(said[4:], true[4:], groups[4:]) == (None, 0)


def test_lengths_that_differ_and_nothing_are_errors():
    with pytest.raises(ValueError, match="one verdict per target"):
        metrics.agreement(["1"], ["1", "2"], FOUR)
    with pytest.raises(ValueError, match="nothing to compare"):
        metrics.agreement([], [], FOUR)
