"""The loop's evidence: enumerated EM on the toy, which iteration is chosen, patience, the leak filter, difficulty."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import toy
from rationem import PPS, STAR, EMState, Outcome, ScriptedEngine, parse_scheme
from rationem.em import e_step, fit
from rationem.evaluation import choice
from rationem.evaluation.diagnostics.difficulty import read_difficulty
from rationem.sampling.hint_leakage import HintLeakage
from rationem.types import Purpose, State


@pytest.mark.slow
def test_what_exact_em_keeps_follows_the_posterior_and_generates_nothing(tmp_path):
    problem = toy.problem(tmp_path, parse_scheme("exact"), copies=1000, engine=toy.open_enumerating)
    kept = e_step(1, EMState(0, problem.base), problem)
    assert len(kept) == 2000
    drawn = list(problem.ledger.trials(1, Purpose.TRAIN))
    for name in toy.THETA:
        counts = Counter(t.parsed.rationale for t in drawn if t.example_id.startswith(name))
        expected = toy.posterior(toy.THETA, name) * 1000
        assert stats.chisquare([counts[z] for z in toy.RATIONALES], expected).pvalue > 1e-3
    record = problem.ledger.record(1, "e_step")
    assert record["outcomes"] == {"accepted": 2000}
    assert record["generated_tokens"] == record["prompt_tokens"] == 0


@pytest.mark.slow
def test_exact_em_raises_the_likelihood_until_it_is_certain(tmp_path):
    problem = toy.problem(tmp_path, parse_scheme("exact"), copies=200, engine=toy.open_enumerating)
    fit(problem, 2)
    thetas = [toy.THETA, *(toy.read(str(problem.ledger.checkpoint(k))) for k in (1, 2))]
    scores = [toy.log_likelihood(theta, problem.data.train) / len(problem.data.train) for theta in thetas]
    assert scores[1] > scores[0] + 0.3
    assert scores[2] > scores[1] - 0.01


def scripted_scores(tmp_path, monkeypatch, scores, **more):
    """A run whose validation evidence is given, by iteration; items differ from their iteration's mean by up to 2 k."""
    problem = toy.problem(tmp_path, STAR, copies=4, engine=toy.open_scoring_engine, **more)
    for k, score in enumerate(scores):
        problem.ledger.finish(k, "evidence", seconds=0.0, record={"score": score})

    def scored(of, k):
        ends = np.linspace(-2, 2, len(of.examples)) * k
        return {x.id: scores[k] + end for x, end in zip(of.examples, ends, strict=True)}

    monkeypatch.setitem(choice._SCORES, "evidence", scored)
    return problem


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scores", "patience", "last", "best"),
    [
        ([0.0, 1.0, 0.5, 0.6, 2.0], 2, 3, 1),
        ([0.0, 1.0, 0.5, 0.6, 2.0], 3, 4, 4),
        ([0.0, 1.0, 0.5, 0.6, 2.0], None, 4, 4),
        ([0.0, -1.0, -1.0, -1.0, -1.0], 1, 1, 0),
        ([0.0, 1.0, 2.0, 3.0, 2.0], 1, 4, 3),
    ],
)
def test_patience_ends_a_run_whose_best_iteration_is_old(tmp_path, monkeypatch, scores, patience, last, best):
    problem = scripted_scores(tmp_path, monkeypatch, scores, patience=patience)
    fitted = fit(problem, 4)
    assert (fitted.last, fitted.best) == (last, best)
    assert len(fitted.history) == last
    tested = {k for (k,) in problem.ledger.db.execute("SELECT iteration FROM iterations WHERE phase='test'")}
    assert tested == {0, best, last}
    again = fit(problem, 4)
    assert (again.last, again.best) == (last, best)


@pytest.mark.slow
def test_the_iteration_is_chosen_by_evidence_or_by_the_likelihood_of_ratings(tmp_path, monkeypatch):
    problem = scripted_scores(tmp_path, monkeypatch, [0.0, 5.0, 1.0])
    assert fit(problem, 2).best == 1
    logs = [problem.ledger.record(k, "validation")["log_likelihood"] for k in range(3)]
    assert fit(toy.changed(problem, choose_by="log_likelihood"), 2).best == int(np.argmax(logs))


@pytest.mark.slow
@pytest.mark.parametrize(("within", "best"), [(0.0, 2), (0.2, 2), (1.0, 1), (100.0, 0)])
def test_a_rule_in_standard_errors_takes_an_earlier_iteration_and_patience_still_counts_from_the_highest(
    tmp_path, monkeypatch, within, best
):
    """Eight items that are a group each get four more. Of iterations 0 to 2, the later beat the earlier by 13, 7 and .5
    standard errors."""
    problem = scripted_scores(tmp_path, monkeypatch, [0.0, 5.0, 5.2, 5.1, 5.1, 9.0], patience=2, choose_within=within)
    extra = toy.examples(2, start=30_000)
    problem = replace(problem, data=replace(problem.data, validation=(*problem.data.validation, *extra)))
    assert len({x.group for x in problem.data.validation}) >= 10
    fitted = fit(problem, 5)
    assert (fitted.last, fitted.best) == (4, best)
    assert fitted.best_theta == (str(problem.ledger.checkpoint(best)) if best else problem.base)


@pytest.mark.slow
def test_evidence_of_the_run_is_that_of_the_table(tmp_path):
    """Twelve draws per item; over items the mean of p_hat is p within four standard errors."""
    problem = toy.problem(tmp_path, PPS, copies=4, engine=toy.open_scoring_engine, draws=8, hinted=8, wrong=4)
    fit(problem, 1)
    record = problem.ledger.record(0, "evidence")
    exact = toy.log_likelihood(toy.THETA, problem.data.validation) / len(problem.data.validation)
    assert record["score"] == pytest.approx(exact, abs=4 * record["standard_error"] + 0.05)
    assert record["hints"]["wrong_hints"] == 4


@pytest.mark.slow
def test_evidence_on_test_is_of_the_base_and_the_chosen_weights_and_that_of_the_table(tmp_path):
    """Sixteen drafts per test item; no test item chose anything, and the last iteration is not measured."""
    problem = toy.problem(tmp_path, PPS, copies=4, engine=toy.open_scoring_engine, draws=8, hinted=8)
    fitted = fit(problem, 2)
    db = problem.ledger.db
    measured = {k for (k,) in db.execute("SELECT iteration FROM iterations WHERE phase='test_evidence'")}
    assert measured == {0, fitted.best}
    record, test = problem.ledger.record(0, "test_evidence"), problem.data.test
    exact = toy.log_likelihood(toy.THETA, test) / len(test)
    assert record["items"] == len(test)
    assert record["score"] == pytest.approx(exact, abs=4 * record["standard_error"] + 0.05)
    assert record["lower_bound_95"] <= exact
    assert {x.id for x in test} & {t.example_id for t in problem.ledger.trials(0, Purpose.PROBE)} == set()


def leaky(theta_path):
    """Every hinted rationale of the toy's "alpha" speaks of the hint."""
    engine = toy.open_scoring_engine(theta_path)
    say = engine._say

    def leaking(request):
        text = say(request)
        hinted = request.prompt.kind == "rationalize"
        return text.replace("alpha", "alpha, as the hint says") if hinted and text.startswith("alpha") else text

    engine._say, engine._tokens = leaking, None
    return engine


@pytest.mark.slow
@pytest.mark.parametrize(("leak_filter", "leaked"), [("off", False), ("flag", False), ("drop", True)])
def test_dropping_leaks_does_not_accept_them_and_flagging_does(tmp_path, leak_filter, leaked):
    problem = toy.problem(tmp_path, PPS, copies=200, engine=leaky, leaks=HintLeakage(leak_filter))
    kept = e_step(1, EMState(0, problem.base), problem)
    drawn = list(problem.ledger.trials(1, Purpose.TRAIN))
    speaking = [t for t in drawn if "the hint" in t.draft.text and t.reward == 1.0]
    assert speaking
    assert {t.outcome for t in speaking} == {Outcome.LEAKED if leaked else Outcome.ACCEPTED}
    kept_ids = {one.example_id for one in kept}
    assert all((t.example_id in kept_ids) is not leaked for t in speaking)
    states = problem.ledger.state_counts(1)
    assert sum(states.values()) == 400
    assert states.get(State.EXHAUSTED, 0) >= (len(speaking) if leaked else 0)


def test_a_forward_rationale_has_no_hint_to_leak(tmp_path):
    problem = toy.problem(tmp_path, parse_scheme("rs:1"), copies=20, leaks=HintLeakage("drop", ("alpha",)))
    e_step(1, EMState(0, problem.base), problem)
    assert not any(t.outcome is Outcome.LEAKED for t in problem.ledger.trials(1, Purpose.TRAIN))


@pytest.mark.slow
def test_difficulty_is_the_raw_evidence_of_some_training_examples_under_the_base(tmp_path):
    problem = toy.problem(tmp_path, STAR, copies=40, engine=toy.open_scoring_engine, draws=16, probed=30)
    fit(problem, 1)
    found = read_difficulty(problem.ledger.db, toy.TASK.kind)
    assert len(found) == 30
    for name in toy.THETA:
        rates = [p for example_id, p in found.items() if example_id.startswith(name)]
        exact = toy.joint(toy.THETA, name)[:, toy.SCALE.rank(toy.ANSWERS[name])].sum()
        assert np.mean(rates) == pytest.approx(exact, abs=4 * np.std(rates) / np.sqrt(len(rates)) + 0.02)


class Pairs(ScriptedEngine):
    """Its tokens are two characters long: one in two reaches beyond the marker."""

    def tokens_within(self, draft, characters):
        return characters // 2


@pytest.mark.slow
def test_a_draw_whose_token_reaches_beyond_the_marker_counts_nothing_in_the_evidence_and_all_in_the_prediction(
    tmp_path,
):
    def in_pairs(theta_path):
        engine = toy.open_scoring_engine(theta_path)
        return Pairs(engine._say, engine._levels, tokens=engine._tokens)

    problem = toy.problem(tmp_path, STAR, copies=4, engine=in_pairs, draws=16)
    problem.measure.test(0, problem.base)
    plain = toy.problem(tmp_path / "plain", STAR, copies=4, engine=toy.open_scoring_engine, draws=16)
    plain.measure.test(0, plain.base)
    for here, there in zip(problem.ledger.predictions(0, "test"), plain.ledger.predictions(0, "test"), strict=True):
        assert here.probabilities == there.probabilities
        assert (here.draws, here.unparsed) == (16, 0)
        ends = [t.parsed.marker_end for t in problem.ledger.trials(0, Purpose.EVAL) if t.example_id == here.example_id]
        logps = problem.ledger.level_logps(0, Purpose.EVAL)[here.example_id]
        answer = toy.SCALE.rank(toy.ANSWERS[here.example_id.split("-")[0]])
        even = [np.exp(logps[m][answer]) for m, end in enumerate(ends) if end % 2 == 0]
        assert here.raw == pytest.approx(sum(even) / 16)
        assert 0 < len(even) < 16
