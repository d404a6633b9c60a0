"""Predictions and examples -> numbers: by hand, against scikit-learn, and what JSON makes of them."""

import json
import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from rated import FOUR, TIE, UNEVEN, guess, item, made_up
from rationem import metrics
from rationem.metrics.distributions import brier, calibration_error, ranked_probability, reliability
from rationem.metrics.evidence import too_long
from rationem.tasks.scale import Scale
from rationem.types import Example

ITEMS = [item("a", "1"), item("b", "2", ("1", "2", "4")), item("c", "4"), item("d", "2"), item("e", "3")]
GUESSES = [
    guess("a", "1", (0.5, 0.25, 0.125, 0.125), raw=0.5),
    guess("b", "3", (0.1, 0.2, 0.4, 0.3), raw=0.25, unparsed=1),
    guess("c", "1", (0.4, 0.3, 0.2, 0.1), raw=0.0),
    guess("d", None, (0.25, 0.25, 0.25, 0.25), raw=0.0, unparsed=4),
    too_long("e", (0.25, 0.25, 0.25, 0.25)),
]


def test_every_number_by_hand():
    got = metrics.score(GUESSES[::-1], ITEMS, FOUR)
    per_item = [
        math.log(0.5),
        (math.log(0.1) + math.log(0.2) + math.log(0.3)) / 3,
        math.log(0.1),
        math.log(0.25),
        math.log(0.25),
    ]
    assert got.count == 5
    assert got.accuracy == pytest.approx(1 / 5)
    assert got.accuracy_se == pytest.approx(math.sqrt(0.2 * 0.8 / 5))
    assert got.within_one == pytest.approx(2 / 5)
    # a 0, b 1, c 3; d has no verdict: label 2 (rank 1) can be missed by 2; e: label 3 (rank 2) by 2.
    assert got.mae == pytest.approx((0 + 1 + 3 + 2 + 2) / 5)
    assert got.accuracy_parsed == pytest.approx(1 / 3)
    assert got.log_likelihood == pytest.approx(sum(per_item) / 5)
    assert got.log_likelihood_se == pytest.approx(np.std(per_item, ddof=1) / math.sqrt(5))
    assert got.raw_mean == pytest.approx(0.15)
    assert got.raw_zero == 3
    assert got.log_evidence == pytest.approx((math.log(0.5) + math.log(0.25)) / 2)
    assert got.unparsed_draws == pytest.approx(5 / 16)
    assert (got.unparsed_items, got.too_long) == (1, 1)


def test_nothing_parsed_is_none_and_the_worst_never_zero():
    got = metrics.score([guess("a", None, raw=0.0, draws=0)], [item("a", "1")], FOUR)
    assert (got.accuracy, got.within_one, got.mae) == (0, 0, 3)
    assert got.accuracy_parsed is got.log_evidence is got.unparsed_draws is got.log_likelihood_se is None


def test_an_impossible_label_is_minus_infinity_and_null_in_json():
    items, guesses = (
        [item("a", "1"), item("b", "1")],
        [guess("a", "2", (0.0, 1.0, 0.0, 0.0)), guess("b", "1")],
    )
    got = metrics.score(guesses, items, FOUR)
    assert got.log_likelihood == -math.inf
    assert got.log_likelihood_se is None
    assert json.loads(json.dumps(got.as_dict(), allow_nan=False))["log_likelihood"] is None
    assert got.as_dict()["accuracy"] == 0.5


def test_every_metric_of_the_table_is_scored_and_the_means_among_them_have_an_interval():
    found = metrics.score(GUESSES, ITEMS, FOUR).as_dict()
    alone = {name for name, row in metrics.METRICS.items() if row.needs != "pairs" and set(row.shown) != {"compare"}}
    assert alone <= set(found)  # the others need a calibration, or pairs
    assert {name for name, row in metrics.METRICS.items() if row.per_item is not None} <= set(metrics.HEADLINE)
    for name, value in found.items():
        if name in metrics.METRICS and value is not None:
            low, high = metrics.METRICS[name].bounds
            assert low <= value <= high, name


@pytest.mark.parametrize("guesses", [GUESSES[:4], [*GUESSES, GUESSES[0]], [*GUESSES[:4], guess("z", "1")], []])
def test_one_prediction_per_example(guesses):
    with pytest.raises(ValueError, match="one prediction per example"):
        metrics.score(guesses, ITEMS, FOUR)
    with pytest.raises(ValueError, match="nothing to compare"):
        metrics.score([], [], FOUR)


def test_marginal_counts_single_ratings_and_is_never_zero():
    got = metrics.marginal([item("a", "3", ("1", "4", "4")), item("b", "4")], FOUR)
    assert got == pytest.approx([1.5 / 6, 0.5 / 6, 0.5 / 6, 3.5 / 6])
    assert metrics.marginal([], FOUR) == (0.25,) * 4


def test_the_training_marginal_reads_the_training_ratings_alone():
    train, test = [item("a", "2"), item("b", "1"), item("c", "2")], [item("d", "2"), item("e", "4")]
    got = metrics.training_marginal(train, test, FOUR)
    # Shares of 1, 2, 3, 4: (1.5, 2.5, .5, .5) / 5.
    assert got.log_likelihood == pytest.approx((math.log(2.5 / 5) + math.log(0.5 / 5)) / 2)
    assert got.brier == pytest.approx(((0.3**2 + 0.5**2 + 2 * 0.1**2) + (0.3**2 + 0.5**2 + 0.1**2 + 0.9**2)) / 2)
    assert metrics.uniform_log_likelihood(FOUR) == pytest.approx(-1.3862943611)


def rated(count, *ratings):
    return [item(f"{ratings}{n}", FOUR.pool(ratings, "mean"), ratings) for n in range(count)]


def test_the_best_constant_is_chosen_by_the_labels_that_accuracy_counts():
    """Most single ratings are 1, and few labels: the mode of the ratings scored 20 % and silenced a warning."""
    # Means 2, 1.67, 1.67 and 1, so labels 2, 2, 2 and 1: 320 of 400 are 2.
    items = [
        *rated(160, "1", "1", "4"),
        *rated(80, "1", "2", "2"),
        *rated(80, "1", "1", "3"),
        *rated(80, "1", "1", "1"),
    ]
    got = metrics.best_constant(items, FOUR)
    assert (got.count, got.accuracy, got.levels["accuracy"]) == (400, 0.8, "2")
    assert (got.mae, got.levels["mae"]) == (pytest.approx(0.2), "2")
    assert metrics.marginal(items, FOUR).index(max(metrics.marginal(items, FOUR))) == 0  # the mode of the ratings: 1


def test_each_number_of_the_best_constant_has_its_own_level():
    test = [item(str(n), level) for n, level in enumerate("11344")]
    # Equal: 2 of 5 are 1 (or 4). Within one: 2 reaches 1, 1, 3 (and 3 as many). Distance: of 3 (2 2 0 1 1) = 6,
    # of 1 (2 3 3) = 8, of 2 (1 1 1 2 2) = 7, of 4 (3 3 1) = 7.
    got = metrics.best_constant(test, FOUR)
    assert (got.accuracy, got.within_one, got.mae) == (2 / 5, 3 / 5, pytest.approx(6 / 5))
    assert got.levels == {"accuracy": "1", "within_one": "2", "mae": "3"}
    unordered = metrics.best_constant([item("a", "A"), item("b", "A"), item("c", "B")], TIE)
    assert (unordered.accuracy, unordered.within_one, unordered.mae) == (2 / 3, None, None)
    with pytest.raises(ValueError, match="at least one label"):
        metrics.best_constant([], FOUR)


def test_no_single_level_scores_more_than_the_best_constant():
    _, items = made_up(UNEVEN, 60, 5, raters=3)
    best = metrics.best_constant(items, UNEVEN)
    each = [metrics.agreement([level] * len(items), [x.answer for x in items], UNEVEN) for level in UNEVEN.levels]
    assert best.accuracy == max(one.accuracy for one in each)
    assert best.within_one == max(one.within_one for one in each)
    assert best.mae == pytest.approx(min(one.mae for one in each))


def test_the_best_iteration_is_the_earlier_of_equals():
    assert metrics.best_iteration([-1.5, -1.0, None, -1.0]) == 1
    assert metrics.best_iteration([None]) is None


def test_the_expected_rating_by_hand():
    items = [
        item("a", "2", ("1", "2", "4"), response="xx"),
        item("b", "4", response="xxxx"),
        item("c", "1", response="x"),
    ]
    guesses = [
        guess("a", "1", (0.5, 0.5, 0, 0)),
        guess("b", "4", (0, 0, 0.5, 0.5)),
        guess("c", None, (0.25, 0.25, 0.25, 0.25)),
    ]
    got = metrics.score(guesses, items, FOUR)
    said, true, means = [1.5, 3.5, 2.5], [2, 4, 1], [7 / 3, 4, 1]
    assert got.expected_mae == pytest.approx(np.mean([0.5, 0.5, 1.5]))
    assert got.expected_rmse == pytest.approx(math.sqrt(np.mean([0.25, 0.25, 2.25])))
    assert got.expected_pearson == pytest.approx(np.corrcoef(said, true)[0, 1])
    assert got.expected_mae_unrounded == pytest.approx(np.mean(np.abs(np.subtract(said, means))))
    assert got.expected_rmse_unrounded == pytest.approx(np.sqrt(np.mean(np.subtract(said, means) ** 2)))
    assert got.expected_pearson_unrounded == pytest.approx(np.corrcoef(said, means)[0, 1])
    assert got.length_bias == pytest.approx(np.corrcoef([2, 4, 1], [-0.5, -0.5, 1.5])[0, 1])
    assert (got.grouped_pearson, got.grouped_pearson_groups) == (None, 0)
    # ece: confidence .5 right never and once, .25 never; bins (0.2, 0.3] and (0.4, 0.5].
    assert got.ece == pytest.approx((1 * 0.25 + 2 * abs(0.5 - 0.5)) / 3)
    assert got.brier == pytest.approx((0.5 + 0.5 + (0.75**2 + 3 * 0.25**2)) / 3)
    assert got.rps == pytest.approx((0.25 / 3 + 0.25 / 3 + (0.75**2 + 0.5**2 + 0.25**2) / 3) / 3)


def test_without_several_ratings_nothing_is_unrounded_and_pairs_have_no_length():
    got = metrics.score([guess("a", "1"), guess("b", "2")], [item("a", "1"), item("b", "2")], FOUR)
    assert got.pearson_unrounded is got.expected_pearson_unrounded is got.expected_mae_unrounded is None
    fields = {"prompt": "x", "response_a": "y", "response_b": "z"}
    pairs = [Example("a", fields, "1", "a"), Example("b", {**fields, "response_a": "yy"}, "2", "b")]
    assert metrics.score([guess("a", "1"), guess("b", "2")], pairs, FOUR).length_bias is None


def test_a_scale_without_order_has_probabilities_but_no_distances():
    guesses, items = made_up(TIE, 30, 1, raters=3)
    got = metrics.score(guesses, items, TIE)
    for name, value in got.as_dict().items():
        needs_order = name.startswith("expected") or name in {
            "within_one", "mae", "mae_parsed", "rmse", "signed_error_parsed", "pearson", "spearman", "kendall", "rps",
            "pearson_unrounded", "quadratic_kappa", "grouped_pearson", "length_bias", "reward", "draw_reward",
        }  # fmt: skip
        assert (value is None) == needs_order, name
    assert got.reliability_best == ()


def test_scores_of_probabilities_as_scikit_learn_has_them():
    guesses, items = made_up(FOUR, 200, 2, lost=0)
    probabilities = np.array([one.probabilities for one in guesses])
    answers = [one.answer for one in items]
    got = metrics.score(guesses, items, FOUR)
    assert got.brier == pytest.approx(brier_score_loss(answers, probabilities, labels=FOUR.levels, scale_by_half=False))
    right = [one.predicted == answer for one, answer in zip(guesses, answers, strict=True)]
    shares, means = calibration_curve(right, probabilities.max(axis=1), n_bins=10)
    filled = [one for one in got.reliability if one.count]
    assert [one.accuracy for one in filled] == pytest.approx(shares)
    assert [one.confidence for one in filled] == pytest.approx(means)
    assert sum(one.count for one in got.reliability) == 200
    best, means = calibration_curve([answer == "4" for answer in answers], probabilities[:, 3], n_bins=10)
    assert [one.accuracy for one in got.reliability_best if one.count] == pytest.approx(best)
    assert got.ece == pytest.approx(sum(o.count / 200 * abs(o.accuracy - o.confidence) for o in filled))


def test_bins_hold_their_upper_end_and_count_every_item():
    bins = reliability([0.0, 0.1, 0.1000001, 1.0], [0, 1, 1, 1])
    assert [one.count for one in bins] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (bins[0].low, bins[0].high, bins[0].accuracy, bins[5].accuracy) == (0, 0.1, 0.5, None)
    assert calibration_error(bins) == pytest.approx((abs(1 - 0.1) + 0.8999999 + 0) / 4)


def test_a_far_miss_costs_more_than_a_near_one_only_in_the_ranked_score():
    near, far = [0, 1, 0, 0], [0, 0, 0, 1]
    assert ranked_probability([near, far], [0, 0]) == pytest.approx([1 / 3, 1])
    assert brier([near, far], [0, 0]) == pytest.approx([2, 2])
    rng = np.random.default_rng(0)
    probs, truth = rng.dirichlet(np.ones(4), 20), rng.integers(4, size=20)
    by_hand = [sum((sum(p[: k + 1]) - (t <= k)) ** 2 for k in range(3)) / 3 for p, t in zip(probs, truth, strict=True)]
    assert ranked_probability(probs, truth) == pytest.approx(by_hand)


def test_mean_and_entropy_of_a_distribution():
    assert Scale.parse("-1..1").expected((0.25, 0.25, 0.5)) == 0.25
    assert Scale.parse("A | B").expected((0.5, 0.5)) is None
    assert metrics.entropy((0.25,) * 4) == pytest.approx(math.log(4))
    assert metrics.entropy((0.0, 1.0)) == 0


def test_items_in_another_order_have_the_same_scores():
    guesses, items = made_up(FOUR, 60, 3, raters=3, groups=15)
    one, other = metrics.score(guesses, items, FOUR), metrics.score(guesses[::-1], items[::-1], FOUR)
    for name, value in one.as_dict().items():
        if not name.startswith("reliability"):
            assert other.as_dict()[name] == pytest.approx(value), name
    json.dumps(one.as_dict(), allow_nan=False)
