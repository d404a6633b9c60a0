"""Selectors that aim at the posterior: weights by hand, distributions on the toy, nothing to weigh where q is cut."""

import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import toy
from rationem import EMState, ScriptedEngine, parse_scheme
from rationem.em import e_step, fit, maximize
from rationem.errors import ConfigError, RunError
from rationem.sampling.schemes import check_sampling
from rationem.sampling.selectors import SELECTORS, Candidate, Resample, Tried, Weighted
from rationem.types import Draft, Finish, Kept, Outcome, Parsed, Purpose, Sampling, Trial


def trial(attempt, reward=1.0, iteration=1):
    draft = Draft("", (), Finish.STOP, 0)
    return Trial(
        iteration, Purpose.TRAIN, "x", attempt, 0, "rationalize", 0, draft, Parsed("", "3"), Outcome.ACCEPTED, reward
    )


def candidates(*ratios, rewards=None, exact=()):
    rewards = rewards or [1.0] * len(ratios)
    return [
        Candidate(trial(n, reward), math.log(ratio), n in exact)
        for n, (ratio, reward) in enumerate(zip(ratios, rewards, strict=True))
    ]


def test_weights_are_ratios_normalised_per_example():
    kept = Weighted().select(Tried([], candidates(0.2, 0.6, 1.2)))
    assert [one.weight for one in kept] == pytest.approx([0.1, 0.3, 0.6])


def test_a_graded_reward_multiplies_the_ratio_unless_it_only_filters():
    graded = candidates(0.2, 0.6, rewards=[1.0, 0.5])
    assert [k.weight for k in Weighted().select(Tried([], graded))] == pytest.approx([0.4, 0.6])
    assert [k.weight for k in Weighted(weighs=False).select(Tried([], graded))] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("name", ["weighted", "resample"])
def test_a_draw_from_the_posterior_itself_is_kept_alone(name):
    tried = Tried([], candidates(1000.0, 1.0, exact={1}), seed=3)
    assert SELECTORS[name].select(tried) == [Kept("x", 1, 1.0, 1)]
    assert SELECTORS[name].satisfied([(False, Outcome.ACCEPTED), (True, Outcome.ACCEPTED)])
    assert not SELECTORS[name].satisfied([(False, Outcome.ACCEPTED), (True, Outcome.WRONG)])
    assert SELECTORS[name].select(Tried([])) == []


@pytest.mark.slow
def test_resampling_picks_in_proportion_to_the_weights():
    picked = Counter(Resample().select(Tried([], candidates(1, 2, 5), seed=seed))[0].attempt for seed in range(4000))
    assert stats.chisquare([picked[n] for n in range(3)], [500, 1000, 2500]).pvalue > 1e-3


def frozen(start, samples, *, iteration, seed, output):
    """An M-step that learns nothing: then every iteration aims at the same posterior."""
    toy.write(toy.read(start), output)
    return {"dropped": []}


def biased(theta_path):
    """A hinted sampler that likes "alpha" and not "delta", whatever the posterior says."""
    return toy.open_scoring_engine(theta_path, taste=(4.0, 1.0, 1.0, 0.5))


def drawn(directory, scheme, selector, iterations, copies=80):
    """What is kept at theta_0 in some E-steps without learning: question -> weights of the four rationales."""
    problem = toy.problem(directory, parse_scheme(scheme, selector), copies=copies, m_step=frozen, engine=biased)
    state = EMState(0, problem.base)
    for k in range(1, iterations + 1):
        kept = e_step(k, state, problem)
        state = EMState(k, maximize(k, state, kept, problem))
    texts = {
        (k, t.example_id, t.attempt): t.parsed.rationale
        for k in range(1, iterations + 1)
        for t in problem.ledger.trials(k, Purpose.TRAIN)
    }
    counts = {name: np.zeros(4) for name in toy.THETA}
    for one in kept:
        z = texts[one.drawn, one.example_id, one.attempt]
        counts[one.example_id.split("-")[0]][toy.RATIONALES.index(z)] += one.weight
    problem.ledger.close()
    return counts


def from_the_posterior(counts):
    return min(
        stats.chisquare(counts[name], toy.posterior(toy.THETA, name) * counts[name].sum()).pvalue for name in counts
    )


def test_pps_alone_does_not_follow_the_posterior_on_the_toy(tmp_path):
    """The control of the tests below: the toy's hinted sampler shifts z, and accepting does not undo it."""
    assert from_the_posterior(drawn(tmp_path, "pps", "first", 1)) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    "scheme", ["rationalize*30", pytest.param("rationalize@base*30", marks=pytest.mark.acceptance), "rs:8"]
)
def test_what_is_resampled_from_many_draws_follows_the_posterior(tmp_path, scheme):
    assert from_the_posterior(drawn(tmp_path, scheme, "resample", 1)) > 1e-3


@pytest.mark.parametrize("name", SELECTORS)
def test_no_selector_keeps_a_draw_that_the_weights_which_weigh_it_were_trained_on(tmp_path, name):
    """A model finds what it was trained on more probable, so earlier draws would gain weight over new ones."""
    scheme = parse_scheme("forward+rationalize@base*2", name)
    problem = toy.problem(tmp_path, scheme, copies=10, engine=biased)
    fit(problem, 3)
    for k in (1, 2, 3):
        assert {one.drawn for one in problem.ledger.kept(k)} == {k}
        assert {key[1] for key in problem.ledger.likelihoods(k, Purpose.TRAIN)} <= {k}


@pytest.mark.parametrize("name", ["pool", "chain"])
def test_withdrawn_selectors_name_what_to_write_instead(name):
    with pytest.raises(ConfigError, match=f"'{name}' was withdrawn") as error:
        parse_scheme("rationalize@base", name)
    scheme, selector = re.search(r'--scheme "(\S+)" --selector (\w+)', str(error.value)).groups()
    check_sampling(parse_scheme(scheme, selector), Sampling())


@pytest.mark.slow
def test_weighted_shares_tend_to_the_posterior(tmp_path):
    counts = drawn(tmp_path, "rationalize*30", "weighted", 1)
    for name, shares in counts.items():
        np.testing.assert_allclose(shares / shares.sum(), toy.posterior(toy.THETA, name), atol=0.06)


@pytest.mark.parametrize("selector", ["weighted", "resample"])
@pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling(top_p=0.9), Sampling(top_k=5)])
def test_what_is_never_drawn_cannot_be_weighed(selector, sampling):
    with pytest.raises(ConfigError, match="never drawn"):
        check_sampling(parse_scheme("pps", selector), sampling)
    check_sampling(parse_scheme("pps", "first"), sampling)


@pytest.mark.slow
def test_a_graded_draw_of_the_model_is_weighed_like_others(tmp_path):
    """Not kept at once: what is accepted follows pi where r > 0, and the target is r pi."""
    task = replace(toy.TASK, rule="ordinal")
    scheme = parse_scheme("rs:12", "resample")
    problem = toy.problem(tmp_path, scheme, copies=300, threshold=0.4, engine=biased, task=task)
    kept = e_step(1, EMState(0, problem.base), problem)
    texts = {(t.example_id, t.attempt): t.parsed for t in problem.ledger.trials(1, Purpose.TRAIN)}
    assert len(texts) == 600 * 12  # the whole plan, for no accepted draw settles it
    for name in toy.THETA:
        counts = Counter(
            (texts[one.example_id, one.attempt].rationale, texts[one.example_id, one.attempt].answer)
            for one in kept
            if one.example_id.startswith(name)
        )
        rewards = [task.reward(level, toy.ANSWERS[name]) for level in toy.SCALE.levels]
        target = (toy.joint(toy.THETA, name) * [r if r >= 0.4 else 0 for r in rewards]).ravel()
        cells = [(z, y) for z in toy.RATIONALES for y in toy.SCALE.levels]
        some = [n for n in range(12) if target[n] > 0]
        assert set(counts) <= {cells[n] for n in some}
        expected = target[some] / target[some].sum() * counts.total()
        assert stats.chisquare([counts[cells[n]] for n in some], expected).pvalue > 1e-3


@pytest.mark.parametrize("scheme", ["exact", "posterior@base", "forward+posterior"])
def test_an_enumerated_posterior_has_no_q_to_be_weighed_by(scheme):
    with pytest.raises(ConfigError, match="enumerated posterior"):
        check_sampling(parse_scheme(scheme, "weighted"), Sampling())


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.5), Sampling(top_p=0.9), Sampling(top_k=3)])
def test_what_does_nothing_to_an_enumeration_is_refused(sampling):
    check_sampling(parse_scheme("exact"), Sampling())
    with pytest.raises(ConfigError, match="have no effect"):
        check_sampling(parse_scheme("exact"), sampling)


def test_a_temperature_enters_q_as_it_was_drawn_and_ends_exactness():
    scheme = parse_scheme("forward+rationalize", "resample")
    check_sampling(scheme, Sampling(temperature=0.7))
    assert scheme.plan[0].is_exact(Sampling())
    assert not scheme.plan[0].is_exact(Sampling(temperature=0.7))
    assert not scheme.plan[1].is_exact(Sampling())


def test_an_engine_that_does_not_say_its_probabilities_cannot_weigh(tmp_path):
    problem = toy.problem(tmp_path, parse_scheme("pps", "resample"), copies=4)
    with pytest.raises(RunError, match="token"):
        fit(problem, 1)


def test_the_answer_alone_is_not_drawn_and_cannot_be_weighed():
    with pytest.raises(ConfigError, match="answer alone"):
        check_sampling(parse_scheme("answer", "weighted"), Sampling())


def test_exact_em_needs_an_engine_that_enumerates(tmp_path):
    problem = toy.problem(tmp_path, parse_scheme("exact"), copies=2, engine=lambda _: ScriptedEngine(lambda r: "x"))
    with pytest.raises(ConfigError, match="cannot"):
        e_step(1, EMState(0, problem.base), problem)
