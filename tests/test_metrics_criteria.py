"""Several criteria: whoever reads only the criterion's name orders nothing, and everybody's marginal is its own."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from rated import FOUR, TIE, guess, item, made_up
from rationem import metrics
from rationem.evaluation.evaluate import predict
from rationem.metrics.bootstrap import _statistics, _sums
from rationem.tasks.kinds import Kind
from rationem.tasks.pairs import every_order
from rationem.tasks.scale import Scale
from rationem.types import Example, Outcome

ACROSS = {
    *("pearson", "spearman", "kendall", "pearson_unrounded", "kappa", "quadratic_kappa"),
    *("expected_pearson", "expected_pearson_unrounded", "length_bias"),
}


def about(name, examples):
    """The same examples, rated for a criterion."""
    return [replace(x, item=f"{name}-{x.item}", fields={**x.fields, "criterion": name}) for x in examples]


def said(name, predictions):
    return [replace(one, example_id=f"{name}-{one.example_id}") for one in predictions]


def without_criterion(examples):
    return [replace(x, fields={k: v for k, v in x.fields.items() if k != "criterion"}) for x in examples]


def noise(count=200, raters=3):
    """Two criteria of pure noise: one rated 3 or 4, the other 1 or 2, whatever the item."""
    rng = np.random.default_rng(0)
    examples = []
    for name, levels in (("kind", ("3", "4")), ("true", ("1", "2"))):
        for n in range(count):
            ratings = tuple(levels[k] for k in rng.integers(2, size=raters))
            fields = {"response": "x" * int(rng.integers(1, 9))}
            examples += about(name, [item(str(n), FOUR.mean(ratings), ratings, f"g{n % 20}", **fields)])
    return examples


def reads_the_name(examples):
    """A judge that says high for the one and low for the other, and else tosses coins."""
    rng = np.random.default_rng(1)
    made = []
    for x in examples:
        rank = int(rng.integers(2)) + (2 if x.fields["criterion"] == "kind" else 0)
        probs = np.full(4, 0.1)
        probs[rank] = 0.7
        made.append(guess(x.id, FOUR.levels[rank], probs.tolist()))
    return made


def test_a_judge_that_reads_only_the_criterions_name_orders_nothing():
    examples = noise()
    guesses = reads_the_name(examples)
    own, pooled = (metrics.score(guesses, part, FOUR) for part in (examples, without_criterion(examples)))
    for name in ("pearson", "spearman", "kendall", "quadratic_kappa", "expected_pearson", "grouped_pearson"):
        assert getattr(pooled, name) > 0.55, name
        assert abs(getattr(own, name)) < 0.1, name
    assert own.kappa < 0.1 < pooled.kappa
    low, high = metrics.intervals(guesses, examples, FOUR, seed=0, resamples=200)["quadratic_kappa"]
    assert low < 0 < high < 0.3
    always = [replace(g, predicted="4" if x.fields["criterion"] == "kind" else "1")
              for g, x in zip(guesses, examples, strict=True)]  # fmt: skip
    assert metrics.score(always, examples, FOUR).pearson is None
    assert metrics.score(always, examples, FOUR).kappa == pytest.approx(0)


def test_raters_whose_criteria_are_noise_do_not_agree():
    examples = noise()
    assert metrics.alpha(without_criterion(examples), FOUR) > 0.6
    assert abs(metrics.alpha(examples, FOUR)) < 0.1
    ceiling, pooled = (metrics.human_ceiling(part, FOUR) for part in (examples, without_criterion(examples)))
    assert pooled.quadratic_kappa > 0.6
    assert abs(ceiling.quadratic_kappa) < 0.1
    assert abs(ceiling.pearson_unrounded) < 0.1
    assert ceiling.accuracy == pooled.accuracy


@pytest.mark.slow
@pytest.mark.parametrize("scale", [FOUR, TIE], ids=str)
def test_what_compares_items_is_a_mean_over_criteria_and_all_else_is_over_items(scale):
    several = [made_up(scale, count, seed, raters=3, groups=15) for count, seed in ((40, 1), (60, 2))]
    guesses = said("a", several[0][0]) + said("b", several[1][0])
    parts = [about(name, examples) for name, (_, examples) in zip("ab", several, strict=True)]
    examples = parts[0] + parts[1]
    whole = metrics.score(guesses, examples, scale)
    each = [metrics.score(said(name, one[0]), part, scale)
            for name, one, part in zip("ab", several, parts, strict=True)]  # fmt: skip
    pooled = metrics.score(guesses, without_criterion(examples), scale)
    for name, value in whole.as_dict().items():
        if name in ACROSS:
            known = [getattr(one, name) for one in each]
            assert value == (None if None in known else pytest.approx(sum(known) / 2)), name
        elif not name.startswith(("reliability", "grouped")):
            assert value == pytest.approx(getattr(pooled, name)), name
    assert whole.kappa != pytest.approx(pooled.kappa)
    groups = [one.grouped_pearson_groups for one in each]
    assert whole.grouped_pearson_groups == sum(groups)
    if scale.ordered:
        total = sum(one.grouped_pearson * count for one, count in zip(each, groups, strict=True))
        assert whole.grouped_pearson == pytest.approx(total / sum(groups))
    for function in (metrics.human_ceiling, lambda x, scale: metrics.beside_humans(guesses, x, scale)):
        got = function(examples, scale)
        means = [function(part, scale) for part in parts] if function is metrics.human_ceiling else [
            metrics.beside_humans(said(name, one[0]), part, scale)
            for name, one, part in zip("ab", several, parts, strict=True)
        ]  # fmt: skip
        assert got.kappa == pytest.approx((means[0].kappa + means[1].kappa) / 2)
        assert got.count == means[0].count + means[1].count


def test_a_criterion_without_the_number_is_left_out_of_the_mean():
    guesses, examples = made_up(FOUR, 40, 3, lost=0)
    alone = metrics.score(guesses, examples, FOUR)
    constant = about("one", [item("x", "2"), item("y", "2")])
    got = metrics.score([*guesses, guess("one-x", "2"), guess("one-y", "2")], [*examples, *constant], FOUR)
    for name in ("pearson", "spearman", "kendall", "kappa", "quadratic_kappa"):
        assert getattr(got, name) == pytest.approx(getattr(alone, name)), name


@pytest.mark.parametrize("scale", [FOUR, TIE], ids=str)
def test_one_criterion_with_a_name_scores_as_one_without(scale):
    guesses, examples = made_up(scale, 60, 4, raters=3, groups=20)
    named = about("tone", examples)
    assert metrics.score(said("tone", guesses), named, scale) == metrics.score(guesses, examples, scale)
    assert metrics.human_ceiling(named, scale) == metrics.human_ceiling(examples, scale)
    assert metrics.alpha(named, scale) == metrics.alpha(examples, scale)
    assert metrics.without_reading(named, named, scale) == metrics.without_reading(examples, examples, scale)
    assert metrics.rater_warnings(named, named, scale) == metrics.rater_warnings(examples, examples, scale)
    assert metrics.intervals(said("tone", guesses), named, scale, seed=1, resamples=30) == metrics.intervals(
        guesses, examples, scale, seed=1, resamples=30
    )
    assert metrics.marginals(examples, scale) == {"": metrics.marginal(examples, scale)}


@pytest.mark.parametrize("scale", [FOUR, TIE], ids=str)
def test_a_resample_may_lack_a_criterion(scale):
    """Every group rates one criterion: the numbers of a resample are the metrics of the items that it has."""
    guesses, examples = made_up(scale, 40, 5)
    half = [about("ab"[n % 2], [replace(x, group=f"{'ab'[n % 2]}{n % 8}")])[0] for n, x in enumerate(examples)]
    guesses = [replace(one, example_id=x.id) for one, x in zip(guesses, half, strict=True)]
    only_a = np.array([[1.0] * 4 + [0.0] * 4])
    got = _statistics(only_a, _sums(guesses, half, scale), scale)
    kept = [(g, x) for g, x in zip(guesses, half, strict=True) if x.group[0] == "a"]
    scores = metrics.score([g for g, _ in kept], [x for _, x in kept], scale)
    for name in ("kappa", *(("pearson", "spearman", "kendall", "quadratic_kappa", "mae") if scale.ordered else ())):
        assert got[name][0] == pytest.approx(getattr(scores, name)), name


TRAIN = [
    *about("kind", [item("a", "4"), item("b", "4", ("4", "3")), item("c", "1")]),
    *about("true", [item("d", "1"), item("e", "2", ("1", "2", "2"))]),
]


def test_marginals_are_each_criterions_own_and_without_examples_that_of_all():
    got = metrics.marginals(TRAIN, FOUR, ("true", "new"))
    assert list(got) == ["kind", "true", "new"]
    assert got["kind"] == pytest.approx([1.5 / 6, 0.5 / 6, 1.5 / 6, 2.5 / 6])
    assert got["true"] == pytest.approx([2.5 / 6, 2.5 / 6, 0.5 / 6, 0.5 / 6])
    assert got["new"] == metrics.marginal(TRAIN, FOUR)


def test_the_baselines_know_the_criterion():
    test = [*about("kind", [item("u", "4"), item("v", "3")]), *about("true", [item("w", "1"), item("x", "1")])]
    known = metrics.marginals(TRAIN, FOUR)
    assert metrics.training_marginal(TRAIN, test, FOUR).log_likelihood == pytest.approx(
        (math.log(known["kind"][3]) + math.log(known["kind"][2]) + 2 * math.log(known["true"][0])) / 4
    )
    # Kind: one of two labels is 3 (or 4, which is one away). True: both are 1. With one level for all it were 2 of 4.
    got = metrics.best_constant(test, FOUR)
    assert (got.accuracy, got.within_one, got.mae) == (3 / 4, 1, 1 / 4)
    assert got.levels["accuracy"] is None
    assert metrics.best_constant(test[:2], FOUR).levels["accuracy"] == "3"  # of equals the lower


def test_a_subject_has_the_best_letter_of_all_items():
    """Which letter is right does not depend on the subject: the best of each small one would be luck."""
    letters = Scale(("A", "B", "C"), ordered=False)
    items = [item(f"{subject}{n}", answer, subject=subject) for subject, answers in (("law", "AAB"), ("art", "BBC"))
             for n, answer in enumerate(answers)]  # fmt: skip
    # Of all: B 3 of 6. Of law alone: A would have 2 of 3, B has 1.
    assert metrics.best_constant(items, letters).accuracy == 3 / 6
    assert metrics.best_constant(items[:3], letters, items).accuracy == 1 / 3


def test_people_are_smoothed_by_the_marginal_of_the_criterion():
    examples = [*about("kind", [item("a", "4", ("4", "4"))]), *about("true", [item("b", "1", ("1", "2"))])]
    known = {"kind": (0.1, 0.2, 0.3, 0.4), "true": (0.4, 0.3, 0.2, 0.1)}
    by_hand = (math.log((1 + 2 * 0.4) / 3) + (math.log(2 * 0.4 / 3) + math.log(2 * 0.3 / 3)) / 2) / 2
    assert metrics.human_log_likelihood(examples, FOUR, known, 2.0) == pytest.approx(by_hand)


def test_what_was_not_parsed_or_too_long_has_the_marginal_of_its_criterion():
    examples = [*about("kind", [item("a", "4"), item("b", "4")]), *about("true", [item("c", "1")])]
    known = {"kind": (0.1, 0.2, 0.3, 0.4), "true": (0.4, 0.3, 0.2, 0.1)}
    logps = np.log([0.25] * 4).tolist()
    ledger = SimpleNamespace(
        level_logps=lambda *_, **__: {x.id: {0: logps} for x in examples},
        outcomes=lambda *_: {
            (x.id, m): [o] for x in examples for m, o in enumerate((Outcome.WRONG, Outcome.TRUNCATED))
        },
    )
    run = SimpleNamespace(ledger=ledger, task=SimpleNamespace(levels=FOUR.levels, kind=Kind(FOUR)))
    got = predict(examples, {"kind-a", "true-c"}, run, known, 0, 2)
    assert got[1].too_long
    assert got[1].probabilities == known["kind"]
    for one, name in ((got[0], "kind"), (got[2], "true")):
        assert one.probabilities == pytest.approx((0.25 + np.array(known[name])) / 2)


def test_the_criterion_with_the_least_agreement_is_warned_of_by_name():
    agree = about("facts", [item(str(n), level, (level, level)) for n, level in enumerate("1234123412")])
    chance = about("tone", [item(f"{a}{b}", "2", (a, b)) for a in "1234" for b in "1234" if a != b])
    (sentence,) = metrics.rater_warnings([*agree, *chance], [], FOUR)
    assert "on 'tone', where they agree least of 2 criteria" in sentence
    assert f"{metrics.alphas(chance, FOUR)['tone']:.2f}" in sentence
    assert metrics.alphas([*agree, *chance], FOUR)["facts"] == 1
    assert metrics.rater_warnings(agree, [], FOUR) == []


def test_a_standard_error_takes_groups_as_independent_and_not_items():
    examples = [item("a", "1", group="g"), item("b", "1", group="g"), item("c", "1"), item("d", "1")]
    guesses = [guess("a", "1", (0.4, 0.2, 0.2, 0.2)), guess("b", "1", (0.5, 0.3, 0.1, 0.1)),
               guess("c", "2", (0.1, 0.7, 0.1, 0.1)), guess("d", "1", (0.7, 0.1, 0.1, 0.1))]  # fmt: skip
    got = metrics.score(guesses, examples, FOUR)
    # Right: 1 1 0 1, mean 3/4; apart from it per group: 1/4 + 1/4, -3/4, 1/4.
    assert got.accuracy_se == pytest.approx(math.sqrt(0.5**2 + 0.75**2 + 0.25**2) / 4)
    apart = np.log([0.4, 0.5, 0.1, 0.7]) - np.log([0.4, 0.5, 0.1, 0.7]).mean()
    square = (apart[0] + apart[1]) ** 2 + apart[2] ** 2 + apart[3] ** 2
    assert got.log_likelihood_se == pytest.approx(math.sqrt(3 / 2 * square) / 4)
    alone = metrics.score(guesses[:2], examples[:2], FOUR)
    assert alone.accuracy_se is alone.log_likelihood_se is None


def test_asking_both_orders_of_a_pair_makes_no_number_surer():
    """A judge without a favourite place says the same twice: the errors are those of the pairs asked once."""
    guesses, examples = made_up(TIE, 80, 6, lost=0)
    fields = {"prompt": "p", "response_a": "x", "response_b": "y"}
    given = [Example(x.id, fields, x.answer, x.group) for x in examples]
    both = every_order(given, TIE)
    twice = [one for g in guesses for one in (g, replace(
        g, example_id=f"{g.example_id}~swapped", predicted={"A": "B", "B": "A"}.get(g.predicted, g.predicted),
        probabilities=(g.probabilities[1], g.probabilities[0], g.probabilities[2]),
    ))]  # fmt: skip
    once, got = metrics.score(guesses, given, TIE), metrics.score(twice, both, TIE)
    assert got.count == 2 * once.count
    for name in ("accuracy", "accuracy_se", "log_likelihood", "log_likelihood_se"):
        assert getattr(got, name) == pytest.approx(getattr(once, name)), name
