"""Evidence by hand, by enumeration, and by Markov's bound."""

import math

import numpy as np
import pytest

from rationem.metrics import evidence

LEVELS = ("Bad", "Fair", "Good")
MARGINAL = (0.5, 0.3, 0.2)
#: Two scored draws and one without a marker. The first leaves mass 0.2 on texts that are no level.
PROBS = [(0.1, 0.3, 0.4), (0.2, 0.2, 0.6)]
ROWS = [tuple(math.log(p) for p in PROBS[0]), None, tuple(math.log(p) for p in PROBS[1])]


def test_stack_marks_the_unscored_draws():
    logps_ML, scored_M = evidence.stack(ROWS, 3)
    assert scored_M.tolist() == [True, False, True]
    np.testing.assert_allclose(np.exp(logps_ML), [PROBS[0], (0, 0, 0), PROBS[1]])
    assert evidence.stack([None, None], 3)[0].shape == (2, 3)


def test_raw_counts_every_draw():
    assert evidence.raw(*evidence.stack(ROWS, 3), 2) == pytest.approx((0.4 + 0 + 0.6) / 3)
    assert evidence.raw(*evidence.stack([None, None], 3), 2) == 0.0


def test_predictive_renormalises_and_adds_the_marginal():
    first = [p / 0.8 for p in PROBS[0]]
    expected = [(a + m + b) / 3 for a, m, b in zip(first, MARGINAL, PROBS[1], strict=True)]
    got = evidence.predictive(*evidence.stack(ROWS, 3), MARGINAL)
    np.testing.assert_allclose(got, expected)
    np.testing.assert_allclose(evidence.predictive(*evidence.stack([None], 3), MARGINAL), MARGINAL)


def test_what_stands_in_an_unscored_row_is_ignored():
    logps_ML, scored_M = evidence.stack(ROWS, 3)
    for filler in (0.0, math.nan, -math.inf):
        filled = logps_ML.copy()
        filled[1] = filler
        assert evidence.raw(filled, scored_M, 0) == evidence.raw(logps_ML, scored_M, 0)
        np.testing.assert_array_equal(
            evidence.predictive(filled, scored_M, MARGINAL), evidence.predictive(logps_ML, scored_M, MARGINAL)
        )


def test_tiny_probabilities_do_not_underflow_the_predictive():
    row = [-2000.0, -2000.0 + math.log(3), -2000.0]
    np.testing.assert_allclose(evidence.predictive([row], [True], MARGINAL), [0.2, 0.6, 0.2])
    assert evidence.raw([row], [True], 1) == 0.0


def predict(rows, answer_index=2, parsed=None):
    logps_ML, scored_M = evidence.stack(rows, len(LEVELS))
    parsed_M = scored_M if parsed is None else parsed
    return evidence.predict(
        "e", logps_ML, scored_M, parsed_M, answer_index=answer_index, marginal_L=MARGINAL, levels=LEVELS
    )


def test_a_draw_that_named_no_level_on_offer_counts_for_the_raw_evidence_and_not_for_the_prediction():
    row = (math.log(0.2), math.log(0.1), math.log(0.3))
    got = predict([row, row], parsed=[True, False])
    assert got.raw == pytest.approx(0.3)
    assert got.probabilities == pytest.approx(
        [(p / 0.6 + m) / 2 for p, m in zip((0.2, 0.1, 0.3), MARGINAL, strict=True)]
    )
    assert (got.unparsed, got.draws) == (1, 2)
    assert predict([row], parsed=[False]).predicted is None


def test_predict():
    got = predict(ROWS)
    assert (got.example_id, got.predicted, got.draws, got.unparsed, got.too_long) == (
        "e",
        "Good",
        3,
        1,
        False,
    )
    assert got.raw == pytest.approx(1 / 3)
    assert sum(got.probabilities) == pytest.approx(1)
    assert all(type(p) is float for p in got.probabilities)


def test_no_scored_draw_is_no_verdict_even_though_the_marginal_has_a_mode():
    got = predict([None, None])
    assert (got.predicted, got.raw, got.unparsed) == (None, 0.0, 2)
    assert got.probabilities == pytest.approx(MARGINAL)


def test_ties_go_to_the_lower_rank():
    assert predict([(math.log(0.2), math.log(0.4), math.log(0.4))]).predicted == "Fair"


def test_too_long():
    got = evidence.too_long("e", MARGINAL)
    assert (got.predicted, got.probabilities, got.raw) == (None, MARGINAL, 0.0)
    assert (got.draws, got.unparsed, got.too_long) == (0, 0, True)


@pytest.mark.parametrize(
    ("logps", "scored"),
    [
        ([[math.nan, -1.0]], [True]),
        ([[0.5, -1.0]], [True]),
        ([[-math.inf, -math.inf]], [True]),
        ([-1.0, -1.0], [True, True]),
        ([[-1.0, -1.0]], [True, False]),
        (np.zeros((0, 2)), []),
    ],
)
def test_what_is_no_log_probability_is_refused(logps, scored):
    with pytest.raises(ValueError, match=r"log-probabilities|Shapes|one draw"):
        evidence.raw(logps, scored, 0)
    with pytest.raises(ValueError, match=r"log-probabilities|Shapes|one draw"):
        evidence.predictive(logps, scored, (0.5, 0.5))


def test_the_marginal_must_be_a_distribution():
    for marginal in ((0.5, 0.6), (1.5, -0.5), (0.5, 0.3, 0.2)):
        with pytest.raises(ValueError, match="distribution over 2 levels"):
            evidence.predictive([[-1.0, -1.0]], [True], marginal)


def test_raw_is_unbiased_and_its_logarithm_a_lower_bound_by_enumeration():
    """Over all draws (z_1, z_2) of a two-rationale model: E[p_hat] = p(y*), and E[log p_hat] <= log p(y*)."""
    prior, answer = np.array([0.3, 0.7]), np.array([0.9, 0.2])
    exact = float(prior @ answer)
    mean = mean_log = 0.0
    for first in range(2):
        for second in range(2):
            logps_ML = np.log([[answer[z], 1 - answer[z]] for z in (first, second)])
            estimate = evidence.raw(logps_ML, [True, True], 0)
            mean += prior[first] * prior[second] * estimate
            mean_log += prior[first] * prior[second] * math.log(estimate)
    assert mean == pytest.approx(exact)
    assert mean_log < math.log(exact)


def test_markov_bound_by_hand_and_by_frequency():
    assert evidence.markov_lower_bound([-1.0, -2.0], 0.05) == pytest.approx(-3.0 - math.log(20))
    assert evidence.markov_lower_bound([-1.0, -math.inf]) == -math.inf
    assert evidence.markov_lower_bound([-1.0], 1.0) == -1.0
    with pytest.raises(ValueError, match="delta"):
        evidence.markov_lower_bound([-1.0], 0.0)
    p, delta = 0.3, 0.2
    p_hat = np.random.default_rng(0).binomial(4, p, size=(2000, 3)) / 4
    with np.errstate(divide="ignore"):
        bounds = [evidence.markov_lower_bound(row, delta) for row in np.log(p_hat)]
    assert np.mean([bound <= 3 * math.log(p) for bound in bounds]) >= 1 - delta
