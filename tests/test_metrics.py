"""Numbers by hand and against scikit-learn; the human ceiling on the real files."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, mean_absolute_error

from rationem import metrics
from rationem.data import expand_raters, load, load_feedbackqa, overlap
from rationem.evidence import too_long
from rationem.scale import Scale
from rationem.types import Example, Prediction

# Speed is not what these properties state: no deadline on a busy machine.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

FOUR = Scale.parse("1-4")


def item(name: str, answer: str, ratings: tuple[str, ...] = ()) -> Example:
    return Example(name, {"prompt": name, "response": name}, answer, name, ratings)


def guess(name: str, predicted: str | None, probabilities=(0.25,) * 4, raw=0.5, draws=4, unparsed=0) -> Prediction:
    return Prediction(name, predicted, probabilities, raw, draws, unparsed)


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


def test_no_verdict_is_not_within_one_even_where_no_level_is_further_off():
    three = Scale.parse("1-3")
    got = metrics.agreement([None, None, "1"], ["2", "1", "2"], three)
    assert (got.count, got.unparsed, got.accuracy, got.within_one, got.mae) == (3, 2, 0.0, 1 / 3, 4 / 3)


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


@pytest.mark.parametrize("guesses", [GUESSES[:4], [*GUESSES, GUESSES[0]], [*GUESSES[:4], guess("z", "1")], []])
def test_one_prediction_per_example(guesses):
    with pytest.raises(ValueError, match="one prediction per example"):
        metrics.score(guesses, ITEMS, FOUR)
    with pytest.raises(ValueError, match="nothing to compare"):
        metrics.score([], [], FOUR)


LEVELS = st.lists(st.tuples(st.sampled_from(FOUR.levels), st.sampled_from(FOUR.levels)), min_size=1, max_size=30)


@given(pairs=LEVELS)
def test_agreement_as_scikit_learn_has_it(pairs):
    predicted, targets = [one for one, _ in pairs], [other for _, other in pairs]
    ranks = [[FOUR.rank(level) for level in levels] for levels in (targets, predicted)]
    got = metrics.agreement(predicted, targets, FOUR)
    assert got.accuracy == pytest.approx(accuracy_score(targets, predicted))
    assert got.mae == pytest.approx(mean_absolute_error(*ranks))
    assert got.within_one == pytest.approx(np.mean(np.abs(np.subtract(*ranks)) <= 1))


@given(pairs=LEVELS, lost=st.integers(0, 29))
def test_losing_a_verdict_never_helps(pairs, lost):
    predicted, targets = [one for one, _ in pairs], [other for _, other in pairs]
    full = metrics.agreement(predicted, targets, FOUR)
    less = metrics.agreement([None if at == lost else p for at, p in enumerate(predicted)], targets, FOUR)
    assert (less.accuracy, less.within_one) <= (full.accuracy, full.within_one)
    assert less.mae >= full.mae


def test_marginal_counts_single_ratings_and_is_never_zero():
    got = metrics.marginal([item("a", "3", ("1", "4", "4")), item("b", "4")], FOUR)
    assert got == pytest.approx([1.5 / 6, 0.5 / 6, 0.5 / 6, 3.5 / 6])
    assert metrics.marginal([], FOUR) == (0.25,) * 4


def test_majority_reads_the_training_labels_alone():
    train, test = [item("a", "2"), item("b", "1"), item("c", "2")], [item("d", "2"), item("e", "4")]
    got = metrics.majority(train, test, FOUR)
    assert (got.count, got.accuracy, got.within_one, got.mae) == (2, 0.5, 0.5, 1)
    assert got.log_likelihood == pytest.approx((math.log(2.5 / 5) + math.log(0.5 / 5)) / 2)
    assert got.unparsed_draws is None
    assert metrics.uniform_log_likelihood(FOUR) == pytest.approx(-1.3862943611)


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
    got = metrics.human_log_likelihood(items, FOUR, base, alpha)
    assert got == pytest.approx((first + second) / 2)
    assert metrics.human_log_likelihood(items[2:], FOUR, base, alpha) is None


def test_alpha_is_small_where_raters_agree_and_large_where_they_guess():
    base = (0.25,) * 4
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


@pytest.fixture(scope="module")
def feedbackqa() -> Path:
    shared = os.environ.get("RATIONEM_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data"
    folder = Path(shared) / "feedbackqa"
    if folder.is_dir():
        return folder
    reason = f"the real data is not at {folder}; set RATIONEM_SHARED_DATA to the folder that holds feedbackqa/"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.acceptance
def test_ceiling_on_feedbackqa(feedbackqa):
    pooled = load(sorted(feedbackqa.glob("*.json")))
    assert (pooled.preset, len(pooled.examples)) == ("feedbackqa", 3924)
    got = metrics.human_ceiling(pooled.examples, pooled.scale)
    assert (round(got.accuracy, 2), round(got.within_one, 2), round(got.mae, 2)) == (0.45, 0.80, 0.80)
    test = load(sorted(feedbackqa.glob("*_test.json")))
    got = metrics.human_ceiling(test.examples, test.scale)
    assert (round(got.accuracy, 2), round(got.within_one, 2), round(got.mae, 2)) == (0.42, 0.79, 0.83)
    for example in pooled.examples[::50]:
        assert set(example.fields) == {"prompt", "response"}


@pytest.mark.acceptance
def test_baselines_on_feedbackqa(feedbackqa):
    names = ["WHO_feedback_train", "CDC_feedback_valid", "UK_feedback_valid", "Australia_feedback_valid"]
    train = load_feedbackqa(*(feedbackqa / f"{name}.json" for name in names))
    test = load(sorted(feedbackqa.glob("*_test.json")))
    scale = train.scale
    assert (len(train.examples), len(test.examples)) == (1800, 1995)
    assert overlap(train.examples, test.examples) == 0
    base = metrics.majority(train.examples, test.examples, scale)
    assert (round(base.accuracy, 2), round(base.log_likelihood, 3)) == (0.20, -1.318)
    assert round(metrics.uniform_log_likelihood(scale), 3) == -1.386
    each = expand_raters(train.examples, "each")
    assert len(each) == 3600
    assert metrics.marginal(each, scale) == metrics.marginal(train.examples, scale)
    shown = metrics.marginal(train.examples, scale)
    alpha = metrics.fit_alpha(train.examples, scale, shown)
    human = metrics.human_log_likelihood(test.examples, scale, shown, alpha)
    assert base.log_likelihood < human < 0
