"""The known numbers of FeedbackQA come out of the metrics, to the digits that they are known to."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from rationem import metrics
from rationem.data import expand_raters, load, load_feedbackqa, overlap

pytestmark = pytest.mark.acceptance
FOLDER = Path(os.environ.get("RATIONEM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "feedbackqa"
TRAIN = ("WHO_feedback_train", "CDC_feedback_valid", "UK_feedback_valid", "Australia_feedback_valid")


@pytest.fixture(scope="module")
def folder():
    if not FOLDER.is_dir():
        reason = f"the real data is not at {FOLDER}; set RATIONEM_SHARED_DATA to the folder that holds feedbackqa/"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return FOLDER


@pytest.fixture(scope="module")
def pooled(folder):
    return load(sorted(folder.glob("*.json")))


@pytest.fixture(scope="module")
def test(folder):
    return load(sorted(folder.glob("*_test.json")))


@pytest.fixture(scope="module")
def train(folder):
    return load_feedbackqa(*(folder / f"{name}.json" for name in TRAIN))


def two(*numbers):
    return tuple(round(number, 2) for number in numbers)


def test_the_ceiling_of_all_nine_files(pooled):
    assert len(pooled.examples) == 3924
    got = metrics.human_ceiling(pooled.examples, pooled.scale)
    assert two(got.accuracy, got.within_one, got.mae, got.quadratic_kappa) == (0.45, 0.80, 0.80, 0.54)
    assert two(got.pearson, got.pearson_unrounded) == (0.54, 0.55)
    assert round(metrics.alpha(pooled.examples, pooled.scale), 2) == 0.50
    counts = Counter(x.answer for x in pooled.examples)
    assert round(max(counts.values()) / 3924, 2) == 0.27
    assert all(set(x.fields) == {"prompt", "response"} for x in pooled.examples)


def test_the_ceiling_of_the_test_files(test):
    assert len(test.examples) == 1995
    got = metrics.human_ceiling(test.examples, test.scale)
    assert two(got.accuracy, got.within_one, got.mae, got.quadratic_kappa) == (0.42, 0.79, 0.83, 0.51)
    assert two(got.pearson, got.pearson_unrounded) == (0.52, 0.53)
    assert round(metrics.alpha(test.examples, test.scale), 3) == 0.455


def test_the_baselines(train, test):
    scale = train.scale
    assert len(train.examples) == 1800
    assert overlap(train.examples, test.examples) == 0
    base = metrics.training_marginal(train.examples, test.examples, scale)
    assert round(base.log_likelihood, 3) == -1.318
    rounded = [[replace(x, ratings=()) for x in part.examples] for part in (train, test)]
    assert round(metrics.training_marginal(*rounded, scale).log_likelihood, 3) == -1.425
    assert round(metrics.uniform_log_likelihood(scale), 3) == -1.386
    each = expand_raters(train.examples, "each")
    assert len(each) == 3600
    assert metrics.marginal(each, scale) == metrics.marginal(train.examples, scale)
    shown = metrics.marginals(train.examples, scale)
    human = metrics.human_log_likelihood(test.examples, scale, shown, metrics.fit_alpha(train.examples, scale, shown))
    assert base.log_likelihood < human < 0


def test_the_shift_made_by_rounding_is_named(train, test):
    (sentence,) = metrics.rater_warnings(train.examples, test.examples, train.scale)
    assert "2 ratings on average and test items 3" in sentence
    assert "--raters each" in sentence
