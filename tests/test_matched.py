"""Accuracy at matched length: by hand, and what direct standardisation must hold to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rationem.metrics import accuracy_at_matched_length, quantile_edges

relaxed = settings(deadline=None, max_examples=60)
BASE = [10] * 4 + [20] * 4 + [30] * 2


def test_every_number_by_hand():
    # Bins of the base: {10} holds 0.4, {20} 0.4, {30} 0.2. The draws are longer: 1, 2 and 4, and one beyond any.
    lengths = [10, 20, 15, 30, 30, 25, 21, 40]
    correct = [True, True, False, True, False, False, False, True]
    got = accuracy_at_matched_length(BASE, lengths, correct, bins=3)
    assert [(one.low, one.high, one.draws, one.accuracy) for one in got.bins] == [
        (10, 10, 1, 1),
        (10, 20, 2, 1 / 2),
        (20, 30, 4, 1 / 4),
    ]
    assert [one.share for one in got.bins] == [0.4, 0.4, 0.2]
    assert got.accuracy == pytest.approx(0.4 * 1 + 0.4 / 2 + 0.2 / 4)
    assert (got.covered, got.used) == (pytest.approx(1), 7 / 8)


def test_bins_without_draws_are_left_out_and_the_rest_weighs_more():
    got = accuracy_at_matched_length(BASE, [10, 30, 30], [False, True, True], bins=3)
    assert got.accuracy == pytest.approx((0.4 * 0 + 0.2 * 1) / 0.6)
    assert got.covered == pytest.approx(0.6)
    assert [one.accuracy for one in got.bins] == [0, None, 1]


def test_no_draw_at_the_base_models_lengths_has_no_accuracy():
    beyond = accuracy_at_matched_length(BASE, [5, 99], [True, True])
    assert (beyond.accuracy, beyond.covered, beyond.used) == (None, 0, 0)
    nothing = accuracy_at_matched_length(BASE, [], [])
    assert (nothing.accuracy, nothing.covered, nothing.used) == (None, 0, None)


@given(st.lists(st.integers(1, 6), min_size=3, max_size=3))
@relaxed
def test_what_depends_on_length_alone_stays_when_lengths_shift(times):
    """Accuracy 1/4, 2/4 and 3/4 at lengths 10, 20 and 30; how often each is written is all that changes."""
    lengths, correct = [], []
    for right, length, count in zip((1, 2, 3), (10, 20, 30), times, strict=True):
        lengths += [length] * 4 * count
        correct += ([True] * right + [False] * (4 - right)) * count
    got = accuracy_at_matched_length(BASE, lengths, correct, bins=3)
    assert got.accuracy == pytest.approx(0.4 / 4 + 0.4 * 2 / 4 + 0.2 * 3 / 4)


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=40), st.integers(1, 8))
@relaxed
def test_with_the_base_models_own_lengths_it_is_plain_accuracy(draws, bins):
    lengths, correct = zip(*draws, strict=True)
    got = accuracy_at_matched_length(lengths, lengths, correct, bins=bins)
    assert got.accuracy == pytest.approx(np.mean(correct))
    assert (got.covered, got.used) == (pytest.approx(1), 1)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=40), st.integers(1, 9))
@relaxed
def test_edges_are_the_quantiles_that_numpy_has(values, bins):
    """One b at a time, in whole numbers: b / bins as a float may lie on the wrong side of an observation."""
    edges = quantile_edges(values, bins)
    below = [np.mean(np.array(values) <= edge) for edge in edges]
    assert edges[-1] == max(values)
    assert (np.diff(edges) > 0).all()
    for b in range(1, bins + 1):
        close = [np.quantile(values, min(1, b / bins + e), method="inverted_cdf") for e in (-1e-9, 0)]
        assert set(close) & set(edges.tolist())
    assert all(any(share >= b / bins - 1e-12 for b in range(1, bins + 1)) for share in below)


def test_without_ties_the_bins_are_even():
    values = np.arange(20)[::-1]
    edges = quantile_edges(values, 4)
    assert edges.tolist() == [4, 9, 14, 19]
    assert np.bincount(np.searchsorted(edges, values)).tolist() == [5, 5, 5, 5]


def test_equal_values_are_never_parted():
    assert quantile_edges([0, 0, 0, 0, 0, 0, 1, 2], 4).tolist() == [0, 2]
    assert quantile_edges([3], 4).tolist() == [3]


def test_bad_input_is_an_error():
    with pytest.raises(ValueError, match="at least one finite value"):
        accuracy_at_matched_length([], [1], [True])
    with pytest.raises(ValueError, match="at least one finite value and one bin"):
        accuracy_at_matched_length(BASE, [1], [True], bins=0)
    with pytest.raises(ValueError, match="a length and whether it is right"):
        accuracy_at_matched_length(BASE, [1, 2], [True])
    with pytest.raises(ValueError, match="finite"):
        quantile_edges([1, float("nan")], 2)
