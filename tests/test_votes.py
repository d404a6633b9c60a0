"""Numbers against the number of draws: by hand, by brute force over all subsets, and beside the evaluation's own."""

import doctest
import math
from itertools import combinations, pairwise
from statistics import multimode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from rationem import metrics
from rationem.metrics import evidence, votes
from rationem.metrics.votes import Draws, averaged_accuracy, by_draws, pass_at_k, vote_accuracy
from rationem.seeds import generator
from rationem.tasks.scale import Scale
from rationem.types import Example

LEVELS = ("1", "2", "3")
MARGINAL = (0.5, 0.25, 0.25)
relaxed = settings(deadline=None, max_examples=40)


def logs(*probs):
    return tuple(math.log(p) for p in probs)


#: Two say 2 (ranks from 0), one says 0, one is unparsed and unscored.
HAND = Draws((2, 0, None, 2), (logs(0.1, 0.2, 0.7), logs(0.6, 0.2, 0.2), None, logs(0.2, 0.15, 0.65)), 2, MARGINAL)


def drawn(count, draws, seed=0, levels=3):
    """Items as a sampler would leave them: verdicts at random, some lost, some scored without a verdict."""
    draw = generator(seed, "test")
    items = []
    for _ in range(count):
        verdicts = [int(v) if v < levels else None for v in draw.integers(levels + 1, size=draws)]
        rows = [tuple(np.log(draw.dirichlet(np.ones(levels + 1))[:levels]).tolist()) for _ in range(draws)]
        lost = draw.random(draws) < 0.2
        items.append(
            Draws(
                tuple(None if gone else v for v, gone in zip(verdicts, lost, strict=True)),
                tuple(None if gone else row for row, gone in zip(rows, lost, strict=True)),
                int(draw.integers(levels)),
                MARGINAL,
            )
        )
    return items


def subsets(draws, size):
    return list(combinations(range(draws), size))


def won(item, chosen):
    """How far the answer wins the vote over a subset, without numpy: of m levels that tie each has 1 / m."""
    said = [item.verdicts[m] for m in chosen if item.verdicts[m] is not None]
    first = {level for level in said if said.count(level) == max(map(said.count, said))}
    return (item.answer in first) / max(len(first), 1)


def predicted(item, chosen):
    """The evaluation's own prediction from a subset of the draws."""
    logps, scored = evidence.stack([item.level_logps[m] for m in chosen], len(LEVELS))
    parsed = [item.verdicts[m] is not None for m in chosen]
    return evidence.predict("i", logps, scored, parsed, answer_index=item.answer, marginal_L=MARGINAL, levels=LEVELS)


@pytest.mark.parametrize(("verdicts", "right"), [((0, 1), 1 / 2), ((0, 1, 2), 1 / 3), ((1, 1, 0), 1), ((0, 0, 1), 0)])
def test_a_tied_vote_counts_by_halves_whichever_level_comes_first(verdicts, right):
    """The lower rank used to win a tie, so that accuracy hung on which of "no" and "yes" was written first."""
    for turned in (lambda rank: rank, lambda rank: 2 - rank):
        said = tuple(turned(rank) for rank in verdicts)
        item = Draws(said, (None,) * len(said), turned(1), MARGINAL)
        assert vote_accuracy([item], len(said)) == pytest.approx(right)


def test_every_number_by_hand():
    # One draw: two of four say the answer; the lost one says nothing, and its marginal argues for rank 0.
    assert vote_accuracy([HAND], 1) == averaged_accuracy([HAND], 1).accuracy == 2 / 4
    expected = (math.log(0.7) + math.log(0.2) + math.log(0.25) + math.log(0.65)) / 4
    assert averaged_accuracy([HAND], 1).log_likelihood == pytest.approx(expected)
    # Two draws, six subsets. Votes: (2,0) and (0,2) tie: half each; (2,-), (2,2) and (-,2) are right, (0,-) is not.
    assert vote_accuracy([HAND], 2) == pytest.approx(4 / 6)
    # Averages of the answer against the best other: .45 > .35, .475 > .3, .675, .225 < .55, .425 > .4, .45 > .35.
    assert averaged_accuracy([HAND], 2).accuracy == 5 / 6
    # Three draws: without the lost one 2 wins; (2,0,-) and (0,-,2) tie: half each; (2,-,2) is right.
    assert vote_accuracy([HAND], 3) == 3 / 4
    assert vote_accuracy([HAND], 4) == 1
    whole = averaged_accuracy([HAND], 4)
    assert (whole.accuracy, whole.log_likelihood) == (1, pytest.approx(math.log((0.7 + 0.2 + 0.25 + 0.65) / 4)))
    rows = by_draws([HAND], (1, 2, 4))
    assert [row["draws"] for row in rows] == [1, 2, 4]
    assert [row["pass"] for row in rows] == [1 / 2, 1 - 1 / 6, 1]
    assert [row["majority_vote"] for row in rows] == pytest.approx([1 / 2, 4 / 6, 1])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_all_subsets_by_brute_force(size):
    items = drawn(7, 6)
    every = subsets(6, size)
    met = [np.mean([won(item, chosen) for chosen in every]) for item in items]
    assert vote_accuracy(items, size) == pytest.approx(np.mean(met))
    found = [[predicted(item, chosen) for chosen in every] for item in items]
    right = [[one.predicted == LEVELS[item.answer] for one in ones] for item, ones in zip(items, found, strict=True)]
    logps = [
        [math.log(one.probabilities[item.answer]) for one in ones] for item, ones in zip(items, found, strict=True)
    ]
    averaged = averaged_accuracy(items, size)
    assert averaged.accuracy == pytest.approx(np.mean(right))
    assert averaged.log_likelihood == pytest.approx(np.mean(logps))


@given(st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=6))
@relaxed
def test_a_vote_of_all_draws_is_the_mode(verdicts):
    items = [Draws(tuple(row), (None,) * 5, 3, (0.2,) * 5) for row in verdicts]
    assert vote_accuracy(items, 5) == pytest.approx(
        np.mean([(3 in multimode(row)) / len(multimode(row)) for row in verdicts])
    )


def test_all_draws_averaged_are_what_the_evaluation_reports():
    items = drawn(40, 4, seed=3)
    scale = Scale.parse("1-3")
    examples = [Example(str(n), {"q": "?"}, LEVELS[item.answer], str(n)) for n, item in enumerate(items)]
    predictions = [
        evidence.predict(
            str(n),
            *evidence.stack(item.level_logps, 3),
            [v is not None for v in item.verdicts],
            answer_index=item.answer,
            marginal_L=MARGINAL,
            levels=LEVELS,
        )
        for n, item in enumerate(items)
    ]
    scored = metrics.score(predictions, examples, scale)
    row = by_draws(items)[-1]
    assert row["draws"] == 4
    assert row["averaged"] == pytest.approx(scored.accuracy)
    assert row["averaged_log_likelihood"] == pytest.approx(scored.log_likelihood)


def test_the_likelihood_is_of_the_single_ratings_where_there_are_several():
    item = Draws((0,), (logs(0.5, 0.25, 0.125),), 0, MARGINAL, (0, 0, 1))
    expected = (2 * math.log(4 / 7) + math.log(2 / 7)) / 3
    assert averaged_accuracy([item], 1).log_likelihood == pytest.approx(expected)


def test_averaging_more_draws_never_lowers_the_likelihood():
    """Jensen: the log of a mean over N + 1 draws is at least the mean of the logs over its subsets of N."""
    likelihoods = [row["averaged_log_likelihood"] for row in by_draws(drawn(20, 7, seed=5), range(1, 8))]
    assert all(low < high for low, high in pairwise(likelihoods))


def test_what_was_never_drawn_for_is_wrong_and_has_the_marginal():
    """Rank 0 is the most frequent label and the answer, yet nobody said it."""
    lost = Draws((None,) * 4, (None,) * 4, 0, MARGINAL)
    for row in by_draws([lost]):
        assert (row["majority_vote"], row["averaged"], row["pass"]) == (0, 0, 0)
        assert row["averaged_log_likelihood"] == pytest.approx(math.log(0.5))


def test_a_scored_draw_without_a_verdict_contributes_the_marginal():
    item = Draws((None, 1), (logs(0.9, 0.05, 0.05), logs(0.2, 0.6, 0.2)), 1, MARGINAL)
    assert averaged_accuracy([item], 2).log_likelihood == pytest.approx(math.log((0.25 + 0.6) / 2))


def test_an_impossible_answer_has_no_finite_likelihood():
    impossible = Draws((1,), ((-math.inf, 0.0, -math.inf),), 0, MARGINAL)
    assert averaged_accuracy([impossible, impossible], 1) == metrics.Averaged(0.0, None)


def test_many_subsets_are_sampled_by_the_seed_and_come_close():
    items = drawn(60, 12, seed=1)
    assert math.comb(12, 6) == 924 > votes.EXACT
    exact = np.mean([[won(item, chosen) for chosen in subsets(12, 6)] for item in items])
    got = vote_accuracy(items, 6, seed=4)
    assert got == vote_accuracy(items, 6, seed=4) != vote_accuracy(items, 6, seed=5)
    # Each item's mean over 200 subsets has a standard error of at most 0.5 / sqrt(200).
    assert got == pytest.approx(exact, abs=4 * 0.5 / math.sqrt(200 * 60))
    assert got != exact


def test_sampled_subsets_are_of_the_size_asked_and_hold_every_draw_alike():
    chosen_SM = votes.subsets(40, 10, 0)
    assert chosen_SM.shape == (votes.SAMPLED, 40)
    assert (chosen_SM.sum(axis=1) == 10).all()
    # A draw is in a quarter of 200 subsets: 50, give or take 6.1.
    assert np.abs(chosen_SM.sum(axis=0) - 50).max() < 4.5 * math.sqrt(200 * 0.25 * 0.75)


@given(st.data())
@relaxed
def test_pass_at_k_is_the_share_of_subsets_with_a_success(data):
    draws = data.draw(st.integers(1, 9))
    right, k = data.draw(st.integers(0, draws)), data.draw(st.integers(1, draws))
    every = subsets(draws, k)
    assert pass_at_k(draws, right, k) == sum(min(chosen) < right for chosen in every) / len(every)
    assert pass_at_k(draws, right, k) == pytest.approx(1 - hypergeom(draws, right, k).pmf(0), abs=1e-12)


def test_pass_at_k_is_unbiased():
    """E over c ~ Binomial(n, p) is 1 - (1 - p)^k, which the plug-in 1 - (1 - c / n)^k is not."""
    for p in (0.1, 0.5):
        chances = [math.comb(10, c) * p**c * (1 - p) ** (10 - c) for c in range(11)]
        mean = sum(chance * pass_at_k(10, c, 5) for c, chance in enumerate(chances))
        assert mean == pytest.approx(1 - (1 - p) ** 5)


def test_pass_at_k_holds_for_numbers_beyond_floats():
    assert math.comb(5000, 2500) > 1e308  # more than a float holds
    assert pass_at_k(5000, 1, 2500) == 0.5
    assert pass_at_k(10**6, 1, 1) == 1e-6


@pytest.mark.parametrize(("draws", "right", "k"), [(4, 1, 5), (4, 1, 0), (4, 5, 1), (4, -1, 1), (0, 0, 1)])
def test_pass_at_k_out_of_range_is_an_error(draws, right, k):
    with pytest.raises(ValueError, match=r"pass@|can be right"):
        pass_at_k(draws, right, k)


def test_mean_pass_at_k_counts_the_draws_that_say_the_answer():
    items = [HAND, Draws((0, 1, 1, None), (None,) * 4, 0, MARGINAL)]
    assert metrics.mean_pass_at_k(items, 1) == (2 / 4 + 1 / 4) / 2
    assert metrics.mean_pass_at_k(items, 3) == (1 + 3 / 4) / 2


@pytest.mark.parametrize(("draws", "counts"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])])
def test_without_counts_the_powers_of_two_and_all(draws, counts):
    assert [row["draws"] for row in by_draws(drawn(2, draws))] == counts


def test_unequal_numbers_of_draws_cannot_be_compared():
    short = Draws((1,), (None,), 1, MARGINAL)
    for items in ([], [HAND, short]):
        for function in (vote_accuracy, averaged_accuracy, metrics.mean_pass_at_k):
            with pytest.raises(ValueError, match="the same number of draws"):
                function(items, 1)
        with pytest.raises(ValueError, match="the same number of draws"):
            by_draws(items)
    for count in (0, 5):
        with pytest.raises(ValueError, match="number from 1 to 4"):
            vote_accuracy([HAND], count)


def test_draws_that_contradict_themselves_are_errors():
    with pytest.raises(ValueError, match="0 verdicts"):
        Draws((), (), 0, MARGINAL)
    with pytest.raises(ValueError, match="2 verdicts and 1 rows"):
        Draws((1, 2), (None,), 0, MARGINAL)
    for verdict, answer, ratings in ((3, 0, ()), (-1, 0, ()), (0, 3, ()), (0, 0, (7,))):
        with pytest.raises(ValueError, match="Ranks of 3 levels are 0 to 2"):
            Draws((verdict,), (None,), answer, MARGINAL, ratings)


def test_docstring_examples():
    result = doctest.testmod(votes)
    assert result.attempted == 1
    assert result.failed == 0
