"""People against people: left-out raters by hand, alpha by its definition, and warnings that say what to do."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from rated import FOUR, TIE, guess, item
from rationem import metrics
from rationem.tasks.scale import Scale


def test_ceiling_leaves_one_rater_out():
    items = [item("a", "3", ("1", "2", "4")), item("b", "2", ("1", "2")), item("c", "1")]
    # a: 1 against mean(2, 4) = 3; 2 against mean(1, 4) = 2.5 -> 3; 4 against mean(1, 2) = 1.5 -> 2.
    # b: 1 against 2, 2 against 1.
    got = metrics.human_ceiling(items, FOUR)
    assert (got.count, got.accuracy, got.within_one, got.mae) == (5, 0.0, 3 / 5, (2 + 1 + 2 + 1 + 1) / 5)
    assert metrics.human_ceiling(items[2:], FOUR) is None
    model = [guess("a", "3"), guess("b", None), guess("c", "1")]
    # a: 3 against 3, 3, 2; b has no verdict against 2 and 1: off by 2 and 3 at worst.
    got = metrics.beside_humans(model, items, FOUR)
    assert (got.count, got.accuracy, got.within_one, got.mae) == (5, 2 / 5, 3 / 5, (0 + 0 + 1 + 2 + 3) / 5)
    assert metrics.beside_humans(model[2:], items[2:], FOUR) is None


def test_human_log_likelihood_by_hand():
    items = [item("a", "2", ("1", "1", "4")), item("b", "2", ("2", "2")), item("c", "1")]
    base, alpha = (0.4, 0.3, 0.2, 0.1), 2.0
    first = (2 * math.log((1 + 2 * 0.4) / 4) + math.log((0 + 2 * 0.1) / 4)) / 3
    second = math.log((1 + 2 * 0.3) / 3)
    got = metrics.human_log_likelihood(items, FOUR, {"": base}, alpha)
    assert got == pytest.approx((first + second) / 2)
    assert metrics.human_log_likelihood(items[2:], FOUR, {"": base}, alpha) is None


def test_alpha_is_small_where_raters_agree_and_large_where_they_guess():
    base = {"": (0.25,) * 4}
    agree = [item(str(n), level, (level, level)) for n, level in enumerate("12341234")]
    assert metrics.fit_alpha(agree, FOUR, base) == pytest.approx(1e-3)
    chance = [item(f"{a}{b}", "2", (a, b)) for a in "1234" for b in "1234"]
    assert metrics.fit_alpha(chance, FOUR, base) == pytest.approx(1e3)
    mixed = [*agree, *chance]
    alpha = metrics.fit_alpha(mixed, FOUR, base)
    best = metrics.human_log_likelihood(mixed, FOUR, base, alpha)
    # 12 of the 24 pairs agree: the maximum is at (1 + alpha / 4) / (1 + alpha) = 1/2, so alpha = 2.
    assert alpha == pytest.approx(2, rel=0.02)
    assert best >= metrics.human_log_likelihood(mixed, FOUR, base, 2 * alpha)
    assert metrics.fit_alpha([item("c", "1")], FOUR, base) is None


def test_a_left_out_rater_is_met_at_the_rounded_and_at_the_unrounded_mean():
    items = [item("a", "3", ("1", "2", "4")), item("b", "2", ("1", "2"))]
    got = metrics.human_ceiling(items, FOUR)
    said, means, rounded = [1, 2, 4, 1, 2], [3, 2.5, 1.5, 2, 1], [3, 3, 2, 2, 1]
    assert got.pearson == pytest.approx(np.corrcoef(said, rounded)[0, 1])
    assert got.pearson_unrounded == pytest.approx(np.corrcoef(said, means)[0, 1])


def test_without_an_order_the_target_is_the_majority_and_pairs_without_one_are_counted():
    items = [item("a", "A", ("A", "A", "B")), item("b", "A", ("A", "B", "tie", "tie"))]
    # a: A against {A, B} and again: no majority; B against {A, A}: A. b: A against tie, B against tie,
    # tie against {A, B, tie} twice: none.
    got = metrics.human_ceiling(items, TIE)
    assert (got.count, got.untargeted, got.accuracy) == (3, 4, 0)
    assert got.mae is got.pearson is got.pearson_unrounded is None
    model = metrics.beside_humans([guess("a", "A"), guess("b", "tie")], items, TIE)
    assert (model.count, model.untargeted, model.accuracy) == (3, 4, 1)
    assert metrics.human_ceiling([item("a", "A", ("A", "B", "tie"))], TIE) is None


def test_a_model_that_says_what_the_humans_say_scores_as_they_do():
    """One item per pair of raters: the model repeats the first rater, so on its pairs it is that human."""
    items = [item(f"{a}{b}", FOUR.mean([a, b]), (a, b)) for a in FOUR.levels for b in FOUR.levels]
    model = [guess(x.id, x.ratings[0]) for x in items]
    human, beside = metrics.human_ceiling(items, FOUR), metrics.beside_humans(model, items, FOUR)
    assert beside.count == human.count
    assert beside.accuracy == pytest.approx((1 + human.accuracy) / 2)  # against itself it is always right
    with pytest.raises(ValueError, match="one prediction per example"):
        metrics.beside_humans(model[1:], items, FOUR)


def defined_alpha(items, scale):
    """1 - observed / expected disagreement, pair by pair (Krippendorff 2011), no matrix."""
    rated = [x.ratings for x in items if len(x.ratings) > 1]
    pairable = [rating for ratings in rated for rating in ratings]
    total = len(pairable)
    counts = [pairable.count(level) for level in scale.levels]

    def apart(one, other):
        low, high = sorted((scale.rank(one), scale.rank(other)))
        if not scale.ordered:
            return float(low != high)
        return (sum(counts[low : high + 1]) - (counts[low] + counts[high]) / 2) ** 2

    observed = sum(apart(a, b) / (len(ratings) - 1) for ratings in rated for a, b in permutations(ratings, 2)) / total
    expected = sum(apart(a, b) for a, b in permutations(pairable, 2)) / (total * (total - 1))
    return 1 - observed / expected


@pytest.mark.parametrize("scale", [FOUR, TIE], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_alpha_is_krippendorffs_by_its_definition(scale, seed):
    rng = np.random.default_rng(seed)
    items = []
    for n in range(15):
        truth, raters = rng.integers(len(scale.levels)), rng.integers(1, 4)
        said = tuple(scale.levels[min(truth + extra, len(scale.levels) - 1)] for extra in rng.integers(0, 2, raters))
        items.append(item(str(n), said[0], said if raters > 1 else ()))
    assert metrics.alpha(items, scale) == pytest.approx(defined_alpha(items, scale))


def test_alpha_is_one_for_agreement_and_none_where_nothing_can_be_said():
    assert metrics.alpha([item("a", "1", ("1", "1")), item("b", "4", ("4", "4"))], FOUR) == 1
    assert metrics.alpha([item("a", "1", ("1", "1")), item("b", "1", ("1", "1"))], FOUR) is None
    assert metrics.alpha([item("a", "1"), item("b", "2")], FOUR) is None
    assert metrics.alpha([], FOUR) is None


AGREEING = [item(str(n), level, (level, level)) for n, level in enumerate("12341234")]


def test_raters_that_agree_give_no_warning():
    assert metrics.rater_warnings(AGREEING, AGREEING, FOUR) == []
    assert metrics.rater_warnings([item("a", "1")], [item("b", "2")], FOUR) == []
    assert metrics.rater_warnings(AGREEING, [], FOUR) == []


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([item(f"{a}{b}", "2", (a, b)) for a, b in permutations("1234", 2)], "do not agree beyond chance"),
        ([*AGREEING, *(item(f"x{n}", "2", (a, b)) for n, (a, b) in enumerate(permutations("1234", 2)))], "little"),
    ],
)
def test_raters_that_do_not_agree_give_one_with_the_number_and_what_to_do(items, said):
    (sentence,) = metrics.rater_warnings(items, [], FOUR)
    assert said in sentence
    assert f"{metrics.alpha(items, FOUR):.2f}" in sentence
    assert "Describe the levels more clearly" in sentence


def test_nothing_is_said_of_agreement_on_fewer_than_ten_groups():
    """Nine items on which raters differ by chance: alpha says nothing; with a tenth it does."""
    apart = [item(f"{n}", "2", pair) for n, pair in enumerate(list(permutations("1234", 2))[:10])]
    assert metrics.rated_twice([*apart, item("once", "1")]) == 10
    assert len(metrics.rater_warnings(apart, [], FOUR)) == 1
    assert len(metrics.rater_warnings(apart[:4], apart[4:], FOUR)) == 1
    assert metrics.rater_warnings(apart[1:], [], FOUR) == []


def test_a_shift_made_by_rounding_is_named_with_both_distances_and_a_way_out():
    """Single ratings are half 1 and half 4 in both sets; means of one, two and three are not the same mixture."""
    two = [
        item(f"a{n}", FOUR.mean(said), said) for n, said in enumerate([("1", "1"), ("1", "4"), ("4", "1"), ("4", "4")])
    ]
    three = [
        item(f"b{n}", FOUR.mean(said), said)
        for n, said in enumerate((a, b, c) for a in "14" for b in "14" for c in "14")
    ]
    sentences = [one for one in metrics.rater_warnings(two, three, FOUR) if "shifts" in one]
    # Two: 1 1/4, 3 1/2, 4 1/4. Three: 1 1/8, 2 3/8, 3 3/8, 4 1/8. Half the differences: (1/8 + 3/8 + 1/8 + 1/8) / 2.
    assert "2 ratings on average and test items 3" in sentences[0]
    assert f"{3 / 8:.2f}" in sentences[0]
    assert "single ratings by only 0.00" in sentences[0]
    assert "--raters each" in sentences[0]
    each = [replace(item(x.item, said), rater=n) for x in two for n, said in enumerate(x.ratings, 1)]
    sentences = [one for one in metrics.rater_warnings(each, three, FOUR) if "shifts" in one]
    assert "--raters each" not in sentences[0]
    assert "log-likelihood" in sentences[0]


def rows(items):
    """One example per rating, as training has them."""
    return [replace(x, rater=k, answer=said, ratings=()) for x in items for k, said in enumerate(x.ratings, 1)]


def test_rows_of_single_ratings_go_back_to_the_items_that_people_rated():
    items = [item("a", "3", ("1", "4")), item("b#2", "2", ("2", "2", "1")), item("c", "1")]
    assert metrics.regrouped([*rows(items[:2]), items[2]], FOUR) == tuple(items)
    assert metrics.regrouped(items, FOUR) == tuple(items)
    looks_so = [item("q#1", "1"), item("q#2", "2")]  # the user's own ids
    assert metrics.regrouped(looks_so, FOUR) == tuple(looks_so)
    two_criteria = [replace(item("q", one), rater=1, criterion=name) for one, name in (("1", "tone"), ("2", "facts"))]
    assert metrics.regrouped(two_criteria, FOUR) == tuple(two_criteria)
    (tied,) = metrics.regrouped(rows([item("t", "A", ("B", "A"))]), TIE)
    assert tied.ratings == ("B", "A")


def test_one_row_per_rating_is_no_shift_where_all_items_have_as_many_ratings():
    items = [item(f"{a}{b}{c}", FOUR.mean((a, b, c)), (a, b, c)) for a in "14" for b in "14" for c in "14"]
    before = [one for one in metrics.rater_warnings(rows(items), items, FOUR, each=True) if "shifts" in one]
    assert before
    regrouped = metrics.regrouped(rows(items), FOUR)
    assert [one for one in metrics.rater_warnings(regrouped, items, FOUR, each=True) if "shifts" in one] == []


def test_what_is_done_already_is_no_advice():
    two = [item(a + b, FOUR.mean((a, b)), (a, b)) for a in "14" for b in "14"]
    three = [item(a + b + c, FOUR.mean((a, b, c)), (a, b, c)) for a in "14" for b in "14" for c in "14"]
    for each in (True, False):
        (shift,) = [one for one in metrics.rater_warnings(two, three, FOUR, each=each) if "shifts" in one]
        assert "2 ratings on average and test items 3" in shift
        assert ("--raters each" in shift) != each


def test_other_labels_are_no_shift_made_by_rounding():
    low = [item(str(n), "1", ("1", "1")) for n in range(5)] + [item("z", "4", ("4", "4"))]
    high = [item(str(n), "4", ("4", "4", "4")) for n in range(5)] + [item("z", "1", ("1", "1", "1"))]
    assert metrics.rater_warnings(low, high, FOUR) == []
    assert metrics.rater_warnings(low, [item("a", "4", ("4", "4"))], Scale.parse("1-4")) == []


def rated_by_three(count, seed, skill):
    """Items of a hidden level; three raters and a judge each see it with an error of their own."""
    rng = np.random.default_rng(seed)
    guesses, items = [], []
    for n, level in enumerate(rng.integers(4, size=count)):
        hard = rng.choice([0.2, 1.5])
        said = [FOUR.levels[int(np.clip(round(level + rng.normal(0, hard)), 0, 3))] for _ in range(3)]
        verdict = FOUR.levels[int(np.clip(round(level + rng.normal(0, hard / skill)), 0, 3))]
        items.append(item(str(n), FOUR.pool(said, "mean"), tuple(said), f"g{n}"))
        guesses.append(guess(str(n), verdict))
    return guesses, items


def test_a_judge_minus_one_human_is_the_difference_on_the_same_targets_and_resamples():
    guesses, items = rated_by_three(60, 0, 1.0)
    apart = metrics.minus_human(guesses, items, FOUR, seed=0, resamples=400)
    judge, human = metrics.beside_humans(guesses, items, FOUR), metrics.human_ceiling(items, FOUR)
    for name in ("accuracy", "within_one", "mae", "quadratic_kappa", "pearson"):
        assert apart[name].value == pytest.approx(getattr(judge, name) - getattr(human, name)), name
    one_rater = [guess(x.id, x.ratings[0]) for x in items]
    among = metrics.minus_human(one_rater, items, FOUR, seed=0, resamples=400)["accuracy"]
    low, high = metrics.interval(among)
    alone = metrics.intervals(one_rater, items, FOUR, seed=0)["accuracy"]
    assert high - low < 0.8 * (alone[1] - alone[0])  # what is hard for both cancels


def test_without_two_raters_or_with_nine_groups_there_is_no_difference_from_humans():
    guesses, items = rated_by_three(9, 1, 1.0)
    assert metrics.interval(metrics.minus_human(guesses, items, FOUR, seed=0)["accuracy"]) is None
    alone = [replace(x, ratings=()) for x in items]
    assert metrics.minus_human(guesses, alone, FOUR, seed=0) == {}


@pytest.mark.slow
def test_paired_intervals_hold_the_true_difference():
    """200 samples of 80 items; fewer than 180 of 200 has probability .002 for a 95 % interval."""
    truth = metrics.minus_human(*rated_by_three(30_000, 5, 2.0), FOUR, seed=0, resamples=2)["accuracy"].value
    held = 0
    for seed in range(200):
        apart = metrics.minus_human(*rated_by_three(80, 100 + seed, 2.0), FOUR, seed=0, resamples=200)["accuracy"]
        low, high = metrics.interval(apart)
        held += low <= truth <= high
    assert truth > 0.02
    assert held >= 180
