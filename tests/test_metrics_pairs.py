"""Both orders of a pair, by hand."""

from statistics import mean

import pytest

from rated import TIE, guess
from rationem import metrics
from rationem.tasks.pairs import every_order
from rationem.types import Example


def pair(name, answer, ratings=()):
    return Example(name, {"prompt": name, "response_a": "x", "response_b": "y"}, answer, name, ratings)


EXAMPLES = every_order([pair("p", "A"), pair("q", "B"), pair("r", "tie"), pair("s", "A"), pair("t", "A")], TIE)
#: In the given order, and swapped: right both times; always the first; a tie in one order only; none; wrong twice.
SAID = ["A", "B", "A", "A", "tie", "B", "A", None, "B", "A"]
GUESSES = [guess(x.id, said, (0.5, 0.25, 0.25)) for x, said in zip(EXAMPLES, SAID, strict=True)]


def test_every_number_by_hand():
    got = metrics.score_pairs(GUESSES[::-1], EXAMPLES, TIE)
    assert got.pairs == 5
    assert got.strict == 1 / 5  # p
    # p both; q: the first is wrong, and swapped the truth is A: right; r in the given order; s in the given order.
    assert got.lenient == (2 + 1 + 1 + 1 + 0) / 10
    assert got.consistency == 2 / 5  # p, and t, which is wrong both times
    assert (got.first_position_rate, got.decisive) == (5 / 8, 8)
    assert got.unparsed == 1 / 10
    assert got.as_dict()["strict"] == got.strict


def test_each_pair_alone_has_the_mean_of_all():
    each = metrics.each_pair(GUESSES[::-1], EXAMPLES, TIE)
    whole = metrics.score_pairs(GUESSES, EXAMPLES, TIE)
    assert list(each) == ["p", "q", "r", "s", "t"]
    assert [one.consistency for one in each.values()] == [1, 0, 0, 0, 1]
    assert each["r"].winner is None  # a tie
    assert [each[name].winner for name in "pqst"] == [1, 0.5, 0.5, 0]
    for name in ("strict", "lenient", "consistency", "side", "side_consistency", "unparsed"):
        assert mean(getattr(one, name) for one in each.values()) == pytest.approx(getattr(whole, name))
    assert mean(each[name].winner for name in "pqst") == whole.winner


def test_two_lost_verdicts_are_not_consistent_and_a_tie_is():
    examples = every_order([pair("p", "tie")], TIE)
    lost = metrics.score_pairs([guess(x.id, None) for x in examples], examples, TIE)
    assert (lost.consistency, lost.strict, lost.first_position_rate, lost.unparsed) == (0, 0, None, 1)
    ties = metrics.score_pairs([guess(x.id, "tie") for x in examples], examples, TIE)
    assert (ties.consistency, ties.strict, ties.first_position_rate) == (1, 1, None)


def test_a_judge_that_always_says_the_first_is_half_right_and_never_consistent():
    examples = every_order([pair(str(n), "AB"[n % 2]) for n in range(10)], TIE)
    got = metrics.score_pairs([guess(x.id, "A") for x in examples], examples, TIE)
    assert (got.strict, got.lenient, got.consistency, got.first_position_rate) == (0, 0.5, 0, 1)


@pytest.mark.parametrize("kept", [EXAMPLES[:-1], EXAMPLES[1:], EXAMPLES[::2], EXAMPLES[1::2]])
def test_an_order_that_is_missing_is_an_error(kept):
    ids = {x.id for x in kept}
    with pytest.raises(ValueError, match="both orders"):
        metrics.score_pairs([g for g in GUESSES if g.example_id in ids], kept, TIE)


def test_orders_are_averaged_in_the_terms_of_the_given_one():
    examples = every_order([pair("p", "A"), pair("q", "B"), pair("r", "tie")], TIE)[:5]  # r in one order only
    guesses = [
        guess("p", "A", (0.6, 0.3, 0.1), raw=0.5, draws=2, unparsed=1),
        guess("p~swapped", "A", (0.5, 0.2, 0.3), raw=0.3, draws=2),
        guess("q", None, (0.4, 0.4, 0.2)),
        guess("q~swapped", None, (0.4, 0.4, 0.2)),
        guess("r", "tie", (0.1, 0.2, 0.7)),
    ]
    found, given = metrics.merged(guesses, examples, TIE)
    assert [x.id for x in given] == ["p", "q", "r"]
    assert found[0].probabilities == pytest.approx((0.4, 0.4, 0.2))
    assert (found[0].predicted, found[0].raw, found[0].draws, found[0].unparsed) == ("A", pytest.approx(0.4), 4, 1)
    assert (found[1].predicted, found[2]) == (None, guesses[4])
    with pytest.raises(ValueError, match="given order"):
        metrics.merged(guesses[1:2], examples[1:2], TIE)
