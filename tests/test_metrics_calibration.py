"""Temperature: recovered where it is known, the best of a grid, and never worse than none."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rated import FOUR, TIE, guess, item, made_up
from rationem import metrics
from rationem.metrics.calibration import HIGHEST, LOWEST, PRIOR_SD
from rationem.tasks.pairs import every_order
from rationem.types import Example

relaxed = settings(deadline=None, max_examples=40)


def distributions(count, levels=4, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(levels, 0.8), count)


def log_likelihood(probabilities, ratings):
    return np.mean([np.mean(np.log(row[list(said)])) for row, said in zip(probabilities, ratings, strict=True)])


def posterior(probabilities, ratings, temperature):
    """The log posterior of a temperature over the number of items, up to a constant."""
    prior = (math.log(temperature) / PRIOR_SD) ** 2 / 2
    return log_likelihood(metrics.tempered(probabilities, temperature), ratings) - prior / len(ratings)


def test_items_that_are_too_long_are_not_asked_and_fit_nothing():
    asked = [guess("a", "2", (0.1, 0.6, 0.2, 0.1)), guess("b", "1", (0.7, 0.1, 0.1, 0.1))]
    items = [item("a", "2"), item("b", "1")]
    long = replace(guess("c", None, (0.97, 0.01, 0.01, 0.01)), too_long=True)
    alone = metrics.calibrate(asked, items, FOUR)
    assert metrics.calibrate([*asked, long], [*items, item("c", "4")], FOUR) == alone
    assert metrics.calibrate([long], [item("c", "4")], FOUR) is None


def test_tempering_is_the_power_normalised_and_one_is_the_identity():
    probs = distributions(20)
    assert metrics.tempered(probs, 1) == pytest.approx(probs)
    for temperature in (0.3, 2.0, 7.0):
        power = probs ** (1 / temperature)
        assert metrics.tempered(probs, temperature) == pytest.approx(power / power.sum(axis=1, keepdims=True))
    assert metrics.tempered(probs[0], 2.0) == pytest.approx(metrics.tempered(probs, 2.0)[0])
    assert (metrics.tempered(probs, 0.2).argmax(axis=1) == probs.argmax(axis=1)).all()


def test_what_is_impossible_stays_so_and_tiny_numbers_do_not_vanish():
    got = metrics.tempered([0.0, 0.25, 0.75, 0.0], 0.5)
    assert got.tolist() == pytest.approx([0, 1 / 10, 9 / 10, 0])
    assert metrics.tempered([1e-300, 1 - 1e-300], 20)[0] == pytest.approx(1e-15 / (1 + 1e-15))
    assert metrics.tempered([1e-300, 1 - 1e-300], 0.05).tolist() == [0, 1]


@pytest.mark.parametrize("temperature", [0, -1, math.inf, math.nan])
def test_a_temperature_is_a_positive_number(temperature):
    with pytest.raises(ValueError, match="above 0"):
        metrics.tempered([0.5, 0.5], temperature)


@pytest.mark.slow
@pytest.mark.parametrize("truth", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_the_data_is_found(truth):
    """20,000 ratings drawn from p_T; the error of the estimate is about 0.02."""
    probs = distributions(10_000, seed=1)
    rng = np.random.default_rng(2)
    ratings = [rng.choice(4, 2, p=row).tolist() for row in metrics.tempered(probs, truth)]
    assert metrics.fit_temperature(probs, ratings) == pytest.approx(truth, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_point_of_a_grid_is_better(seed):
    probs = distributions(60, seed=seed)
    rng = np.random.default_rng(seed)
    ratings = [rng.integers(4, size=rng.integers(1, 4)).tolist() for _ in probs]
    found = metrics.fit_temperature(probs, ratings)
    grid = [posterior(probs, ratings, t) for t in np.geomspace(LOWEST, HIGHEST, 400)]
    assert posterior(probs, ratings, found) >= max(grid) - 1e-9
    assert metrics.fit_temperature(probs, ratings) == found


@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.lists(st.integers(0, 2), min_size=1, max_size=3)
        ),
        min_size=1,
        max_size=12,
    )
)
@relaxed
def test_it_is_never_worse_than_none_on_the_items_it_was_fitted_on(rows):
    probs = np.array([row for row, _ in rows])
    probs /= probs.sum(axis=1, keepdims=True)
    ratings = [said for _, said in rows]
    found = metrics.fit_temperature(probs, ratings)
    assert LOWEST <= found <= HIGHEST
    assert log_likelihood(metrics.tempered(probs, found), ratings) >= log_likelihood(probs, ratings) - 1e-12


def test_where_no_temperature_is_better_the_answer_is_one():
    assert metrics.fit_temperature(np.full((5, 4), 0.25), [[0], [1], [2], [3], [0]]) == 1


def test_an_impossible_rating_is_left_out_of_the_fit():
    probs, ratings = distributions(30, seed=3), [[int(n)] for n in np.arange(30) % 4]
    impossible = np.vstack([probs, [0, 0, 0.5, 0.5]])
    assert metrics.fit_temperature(impossible, [*ratings, [0]]) == pytest.approx(
        metrics.fit_temperature(probs, ratings), rel=1e-4
    )
    assert metrics.fit_temperature([[0, 1]], [[0]]) == 1
    got = metrics.calibrate([guess("a", "2", (0, 1, 0, 0))], [item("a", "1")], FOUR)
    assert (got.temperature, got.before, got.after) == (1, None, None)


@pytest.mark.parametrize(("probs", "ratings"), [([], []), ([[0.5, 0.5]], [[]]), ([[0.5, 0.5]], [[0], [1]])])
def test_nothing_to_fit_is_an_error(probs, ratings):
    with pytest.raises(ValueError, match="at least one rating"):
        metrics.fit_temperature(np.array(probs).reshape(-1, 2), ratings)


def test_before_and_after_are_the_metrics_of_the_same_items():
    guesses, items = made_up(FOUR, 80, 1, raters=3)
    got = metrics.calibrate(guesses[::-1], items, FOUR)
    before = metrics.score(guesses, items, FOUR)
    after = metrics.score(metrics.recalibrated(guesses, got.temperature), items, FOUR)
    assert (got.count, got.before) == (80, pytest.approx(before.log_likelihood))
    assert got.error_before == pytest.approx(before.squared_calibration_error)
    assert got.after == pytest.approx(after.log_likelihood)
    assert got.error_after == pytest.approx(after.squared_calibration_error)
    assert got.after >= got.before
    assert (after.accuracy, after.raw_mean) == (before.accuracy, before.raw_mean)


def test_overconfidence_is_softened_and_its_error_shrinks():
    probs = distributions(2000, seed=5)
    rng = np.random.default_rng(6)
    items = [item(str(n), FOUR.levels[rng.choice(4, p=row)]) for n, row in enumerate(probs)]
    sure = metrics.tempered(probs, 1 / 3)
    guesses = [guess(str(n), FOUR.levels[int(row.argmax())], row.tolist()) for n, row in enumerate(sure)]
    got = metrics.calibrate(guesses, items, FOUR)
    assert got.temperature == pytest.approx(3, rel=0.1)
    assert abs(got.error_after) < 0.002 < 0.04 < got.error_before


def test_the_orders_of_a_pair_are_averaged_before_the_fit():
    pairs = [Example(str(n), {"response_a": "x", "response_b": "y"}, "AB"[n % 2], str(n)) for n in range(20)]
    examples = every_order(pairs, TIE)
    rng = np.random.default_rng(7)
    guesses = [guess(x.id, None, rng.dirichlet(np.ones(3))) for x in examples]
    got = metrics.calibrate(guesses, examples, TIE)
    found, given_order = metrics.merged(guesses, examples, TIE)
    assert got == metrics.calibrate(found, given_order, TIE)
    assert got.count == 20


@pytest.mark.slow
def test_with_few_items_the_prior_saves_the_likelihood_of_new_ones():
    """A calibrated judge, 15 items, 300 fits: without the prior the mean loss on new items is at least three times as
    large (measured 9 to 13 times over five seeds of 150 fits); an over-confident judge (truth T = 2) still gains.
    """
    rng = np.random.default_rng(0)
    new = distributions(4000, seed=9)

    def lost(prior_sd, truth):
        losses = []
        for _ in range(300):
            probs = rng.dirichlet(np.full(4, 0.8), 15)
            ratings = [[int(rng.choice(4, p=row))] for row in metrics.tempered(probs, truth)]
            temperature = metrics.fit_temperature(probs, ratings, prior_sd)
            target = metrics.tempered(new, truth)
            logs = [(target * np.log(metrics.tempered(new, t))).sum(axis=1).mean() for t in (1.0, temperature)]
            losses.append(logs[0] - logs[1])
        return np.mean(losses)

    assert lost(math.inf, 1.0) > 3 * lost(PRIOR_SD, 1.0) > 0
    assert lost(PRIOR_SD, 2.0) < 0


def test_what_a_fold_chose_is_not_fitted_on_it():
    """Two iterations, each the better one on its own half: the temperature comes from the other half's choice."""
    groups = [str(n) for n in range(10)]
    items = [item(name, "1") for name in groups]
    fold_of = {name: n % 2 for n, name in enumerate(groups)}
    scores = {k: {name: float((n % 2) == k) for n, name in enumerate(groups)} for k in (0, 1)}
    chosen = metrics.chosen_without(scores, items, fold_of)
    assert chosen == {0: 1, 1: 0}
    predictions = {k: [guess(name, "1", (0.1 + k / 2, 0.3, 0.3, 0.3 - k / 2)) for name in groups] for k in (0, 1)}
    mixed = metrics.crossfitted(predictions, items, fold_of, chosen, best=0)
    assert [one.probabilities[0] for one in mixed] == pytest.approx([0.6, 0.1] * 5)
    assert [one.example_id for one in mixed] == groups


def test_folds_are_even_and_depend_on_names_alone():
    names = [f"g{n}" for n in range(23)]
    dealt = metrics.folds(names, 3)
    assert dealt == metrics.folds(names[::-1], 3) != metrics.folds(names, 4)
    sizes = [sum(fold == n for fold in dealt.values()) for n in range(5)]
    assert max(sizes) - min(sizes) == 1
    assert metrics.chosen_without({0: {"g0": 1.0}}, [item("g0", "1", group="g0")], metrics.folds(["g0"], 0)) == {}


@given(
    ratings=st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=5), min_size=1, max_size=5),
    seed=st.integers(0, 9),
)
@relaxed
def test_no_probabilities_score_these_ratings_above_the_attainable_log_likelihood(ratings, seed):
    items = [item(str(n), "1", tuple(FOUR.levels[k] for k in said)) for n, said in enumerate(ratings)]
    found = metrics.attainable(items)
    guesses = [guess(str(n), "1", row) for n, row in enumerate(distributions(len(items), seed=seed))]
    assert metrics.score(guesses, items, FOUR).log_likelihood <= found.log_likelihood + 1e-12
    shares = [guess(str(n), "1", [said.count(k) / len(said) for k in range(4)]) for n, said in enumerate(ratings)]
    assert metrics.score(shares, items, FOUR).log_likelihood == pytest.approx(found.log_likelihood)


@pytest.mark.parametrize("raters", [2, 3, 8])
def test_of_new_ratings_the_attainable_likelihood_is_too_high_and_the_correction_takes_some_off(raters):
    """By enumeration of all ratings of a fair coin, whose entropy is log 2."""
    told = [metrics.attainable([item("a", "1", tuple(said))]) for said in itertools.product("12", repeat=raters)]
    high = np.mean([one.log_likelihood for one in told])
    less = np.mean([one.corrected for one in told])
    assert -math.log(2) < less < high
    assert (less + math.log(2)) / (high + math.log(2)) < {2: 0.65, 3: 0.6, 8: 0.3}[raters]
    assert metrics.attainable([item("a", "1")]) is None


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def effects(rng, count, sharper, iterations=5, new=1000):
    """The change of log-likelihood on new items, nats, by three temperatures; see the test below.

    Five equally good iterations read an item's true logits (sd 1.5) with noise (sd .7) and shrink them as they should,
    so that they are calibrated, then take them ``sharper`` times. ``count`` validation items choose one by likelihood.
    """

    def drawn(items):
        logits = rng.normal(0, 1.5, (items, 4))
        ratings = [int(rng.choice(4, p=p)) for p in softmax(logits)]
        noisy = logits + rng.normal(0, 0.7, (iterations, items, 4))
        return softmax(sharper * noisy * 1.5**2 / (1.5**2 + 0.7**2)), np.array(ratings)

    def gain(probs_NL, ratings_N, temperature):
        before, after = probs_NL, metrics.tempered(probs_NL, temperature)
        at = np.arange(len(ratings_N))
        return float(np.log(after[at, ratings_N]).mean() - np.log(before[at, ratings_N]).mean())

    probs_KNL, ratings = drawn(count)
    logs = np.log(probs_KNL[:, np.arange(count), ratings])
    items = [item(f"i{n}", FOUR.levels[rank]) for n, rank in enumerate(ratings)]
    scores = {k: {x.id: float(logs[k, n]) for n, x in enumerate(items)} for k in range(iterations)}
    fold_of = metrics.folds((x.group for x in items), 0)
    chosen, best = metrics.chosen_without(scores, items, fold_of), int(logs.mean(axis=1).argmax())
    apart = np.array([probs_KNL[chosen[fold_of[x.group]], n] for n, x in enumerate(items)])
    single = [[rank] for rank in ratings]
    temperatures = (
        metrics.fit_temperature(probs_KNL[best], single, math.inf),
        metrics.fit_temperature(probs_KNL[best], single),
        metrics.fit_temperature(apart, single),
    )
    fresh_KNL, said = drawn(new)
    return [gain(fresh_KNL[best], said, temperature) for temperature in temperatures]


@pytest.mark.slow
@pytest.mark.parametrize("sharper", [1.0, 1.5])
def test_a_temperature_with_a_prior_does_less_harm_and_apart_from_the_choice_less_again(sharper):
    """120 validation sets of 15 items. Harm: .005 nats and more on new items. The table is in docs/log.md."""
    rng = np.random.default_rng(4)
    gains = np.array([effects(rng, 15, sharper) for _ in range(120)])
    plain, prior, apart = (gains < -0.005).mean(axis=0)
    assert apart < prior - 0.03
    assert prior < plain
    assert gains[:, 0].mean() < gains[:, 1].mean() < gains[:, 2].mean()
