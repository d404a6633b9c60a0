"""The loop on a table-sized toy: theory, order of proposals, states, and what reaches the M-step."""

from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from scipy import stats

import toy
from rationem import (
    PPS,
    STAR,
    EMState,
    Ledger,
    Outcome,
    Proposal,
    Scheme,
    ScriptedEngine,
    parse_scheme,
    rejection_sampling,
)
from rationem.em import e_step, fit
from rationem.errors import RunError
from rationem.types import Purpose, Request, Sample


def trials(problem, k=1):
    return list(problem.ledger.trials(k, Purpose.TRAIN))


def run(tmp_path, scheme, **more):
    problem = toy.problem(tmp_path, scheme, **more)
    return problem, fit(problem, more.pop("iterations", 1))


def test_exact_em_with_a_closed_form_m_step_never_lowers_the_likelihood(tmp_path):
    """A latent class model: one question, people who disagree, so that z and y | z are both learned."""
    answers = ["1"] * 5 + ["2"] * 3 + ["3"] * 8
    theta = toy.write({"first": toy.THETA["first"], "second": toy.THETA["second"]}, tmp_path / "0")
    m_step, likelihoods = toy.closed_form_m_step(), []
    for k in range(1, 30):
        table = toy.joint(toy.read(theta), "first")
        likelihoods.append(sum(np.log(table[:, toy.SCALE.rank(y)].sum()) for y in answers))
        samples = []
        for y in answers:  # E-step: the exact posterior pi(z | x, y*; theta) as weights
            column = table[:, toy.SCALE.rank(y)]
            for z, weight in zip(toy.RATIONALES, column / column.sum(), strict=True):
                ids = ScriptedEngine(lambda r: None).encode_completion(toy.TASK.format(z, y))
                prompt = toy.TASK.prompt({"prompt": "first", "response": "."})
                samples.append(Sample("x", prompt, ids, float(weight)))
        m_step(theta, samples, iteration=k, seed=0, output=tmp_path / str(k))
        theta = str(tmp_path / str(k))
    assert np.all(np.diff(likelihoods) >= -1e-12)
    assert likelihoods[-1] > likelihoods[0] + 0.5
    empirical = np.array([5, 3, 8]) / 16
    assert likelihoods[-1] == pytest.approx(16 * (empirical @ np.log(empirical)), abs=1e-3)


@pytest.mark.slow
def test_filtered_em_by_rejection_sampling_raises_the_likelihood(tmp_path):
    problem, _ = run(tmp_path, rejection_sampling(8), copies=400)
    before = toy.log_likelihood(toy.THETA, problem.data.train)
    after = toy.log_likelihood(toy.read(str(problem.ledger.checkpoint(1))), problem.data.train)
    assert after > before


def test_in_small_rejection_sampling_accepts_as_theory_says(tmp_path):
    """The two tests below at a size that is made in a moment: acceptance 1 - (1 - p)^3, rationales of the posterior."""
    problem = toy.problem(tmp_path, rejection_sampling(3), copies=150)
    kept = {one.example_id for one in e_step(1, EMState(0, problem.base), problem)}
    for name, answer in toy.ANSWERS.items():
        p = toy.joint(toy.THETA, name)[:, toy.SCALE.rank(answer)].sum()
        accepted = Counter(t.parsed.rationale for t in trials(problem) if t.example_id in kept and _right(t, name))
        observed = [accepted[z] for z in toy.RATIONALES]
        assert stats.chisquare(observed, toy.posterior(toy.THETA, name) * sum(observed)).pvalue > 0.01
        assert stats.binomtest(sum(observed), 150, 1 - (1 - p) ** 3).pvalue > 0.01


def _right(trial, name):
    return trial.outcome is Outcome.ACCEPTED and trial.example_id.startswith(name)


def test_a_run_that_dies_after_every_third_write_ends_as_one_that_never_died(tmp_path, monkeypatch):
    """The second invariant on the toy: all trials, kept sets, predictions and weights are the same."""

    class Died(Exception):
        pass

    def lived(directory, lives_end):
        problem = toy.problem(directory, STAR, copies=2, engine=toy.open_scoring_engine, draws=1, hinted=1, wrong=1)
        whole = Ledger.transaction

        writes = iter(range(3))

        @contextmanager
        def last(self):
            with whole(self) as db:
                yield db
            if next(writes) == 2:
                raise Died

        with monkeypatch.context() as patch:
            if lives_end:
                patch.setattr(Ledger, "transaction", last)
            try:
                fit(problem, 2)
            except Died:
                return None
            finally:
                rows = {
                    table: sorted(map(repr, problem.ledger.db.execute(f"SELECT * FROM {table}")))
                    for table in ("trials", "scores", "likelihoods", "kept", "states", "predictions")
                }
                weights = [path.joinpath("theta.json").read_text() for path in problem.ledger.complete_checkpoints()]
                problem.ledger.close()
        return rows, weights

    steady = lived(tmp_path / "steady", lives_end=False)
    deaths = 0
    while (again := lived(tmp_path / "dying", lives_end=True)) is None:
        deaths += 1
    assert deaths > 5
    assert again == steady
    assert len(again[1]) == 2


@pytest.fixture(scope="module")
def accepted_by_six(tmp_path_factory):
    problem, _ = run(tmp_path_factory.mktemp("six"), rejection_sampling(6), copies=2000)
    return [t for t in trials(problem) if t.outcome is Outcome.ACCEPTED]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first", "second"])
def test_what_rejection_sampling_accepts_follows_the_exact_posterior(accepted_by_six, name):
    accepted = Counter(t.parsed.rationale for t in accepted_by_six if t.example_id.startswith(name))
    observed = [accepted[z] for z in toy.RATIONALES]
    expected = toy.posterior(toy.THETA, name) * sum(observed)
    assert stats.chisquare(observed, expected).pvalue > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("budget", [1, 3, pytest.param(8, marks=pytest.mark.slow)])
def test_acceptance_is_one_minus_the_failures_to_the_power_of_the_budget(tmp_path, budget):
    problem, _ = run(tmp_path, rejection_sampling(budget), copies=1500)
    for name, answer in toy.ANSWERS.items():
        p = toy.joint(toy.THETA, name)[:, toy.SCALE.rank(answer)].sum()
        kept = sum(one.example_id.startswith(name) for one in problem.ledger.kept(1))
        assert stats.binomtest(kept, 1500, 1 - (1 - p) ** budget).pvalue > 0.01


def test_star_hints_only_after_a_failure_and_pps_always(tmp_path):
    problem, _ = run(tmp_path / "star", STAR, copies=20)
    by_example = {}
    for t in trials(problem):
        by_example.setdefault(t.example_id, []).append(t)
    assert len(by_example) == 40
    for several in by_example.values():
        assert [t.proposal for t in several] == ["forward", "rationalize"][: len(several)]
        assert (len(several) == 1) == (several[0].outcome is Outcome.ACCEPTED)
    problem, _ = run(tmp_path / "pps", PPS, copies=20)
    assert {t.proposal for t in trials(problem)} == {"rationalize"}
    assert len(trials(problem)) == 40


@pytest.mark.parametrize("scheme", ["rs:2", "star", "pps", "direct", "forward*2+rationalize@base"])
def test_training_text_is_the_forward_prompt_and_the_completion_for_every_proposal(tmp_path, scheme):
    seen = []
    closed_form = toy.closed_form_m_step(0.1)

    def m_step(start, samples, **rest):
        seen.extend(samples)
        return closed_form(start, samples, **rest) if scheme != "direct" else {"dropped": []}

    problem = toy.problem(tmp_path, parse_scheme(scheme), m_step=m_step, copies=8)
    toy_direct = scheme == "direct"
    if toy_direct:
        problem.ledger.finish(1, "validation", seconds=0, record={"log_likelihood": 0.0})
        problem.ledger.finish(1, "evidence", seconds=0, record={"score": 0.0})
        problem.ledger.finish(1, "test", seconds=0)
        problem.ledger.finish(1, "test_evidence", seconds=0)
    fit(problem, 1)
    fields = {x.id: x for x in problem.data.train}
    drawn = {(t.example_id, t.outcome): t for t in trials(problem)}
    assert seen
    for sample in seen:
        assert sample.prompt == problem.task.prompt(fields[sample.example_id].fields)
        assert "correct rating" not in sample.prompt.text
        assert sample.token_ids == drawn[sample.example_id, Outcome.ACCEPTED].draft.token_ids


def test_every_example_ends_in_exactly_one_state(tmp_path):
    problem, fitted = run(tmp_path, rejection_sampling(2), copies=20)
    assert sum(fitted.history[0].states.values()) == len(problem.data.train)
    assert fitted.history[0].states["kept"] == len(problem.ledger.kept(1))
    assert set(fitted.history[0].states) == {"kept", "exhausted"}


@pytest.mark.slow
def test_the_frozen_base_proposes_with_its_own_weights(tmp_path):
    opened = []

    def engine(path):
        opened.append(path)
        return toy.open_engine(path)

    scheme = Scheme("frozen", (Proposal("rationalize", "base"),))
    problem = toy.problem(tmp_path, scheme, engine=engine, m_step=toy.closed_form_m_step(0.1))
    fit(problem, 3)
    hinted = trials(problem, 3)
    assert {t.proposal for t in hinted} == {"rationalize@base"}
    names = [t.example_id.split("-")[0] for t in hinted]
    prompts = [toy.TASK.hint_prompt({"prompt": name, "response": "."}, toy.ANSWERS[name]) for name in names]
    base = toy.open_engine(problem.base)
    again = base.sample([Request(p, problem.context.sampling, t.seed) for p, t in zip(prompts, hinted, strict=True)])
    assert [d.text for d in again] == [t.draft.text for t in hinted]


def test_an_engine_failure_costs_no_budget_and_is_drawn_again(tmp_path):
    calls = Counter()

    def engine(path):
        inner = toy.open_engine(path)

        def say(request):
            calls[request.seed] += 1
            return None if request.seed % 3 == 0 and calls[request.seed] == 1 else inner._say(request)

        return ScriptedEngine(say, inner._levels)

    flaky, _ = run(tmp_path / "flaky", rejection_sampling(2), engine=engine, copies=8)
    steady, _ = run(tmp_path / "steady", rejection_sampling(2), copies=8)
    assert any(t.outcome is Outcome.ENGINE_FAILED for t in trials(flaky))
    good = [t for t in trials(flaky) if t.outcome is not Outcome.ENGINE_FAILED]
    assert [(t.example_id, t.attempt, t.draft) for t in good] == [
        (t.example_id, t.attempt, t.draft) for t in trials(steady)
    ]
    assert flaky.ledger.kept(1) == steady.ledger.kept(1)


def test_what_the_engine_never_serves_is_owed_and_not_exhausted(tmp_path):
    def engine(path):
        inner = toy.open_engine(path)
        return ScriptedEngine(
            lambda r: None if "Prompt: second" in r.prompt.text and r.prompt.kind == "forward" else inner._say(r),
            inner._levels,
        )

    problem = toy.problem(tmp_path, STAR, engine=engine, copies=8)
    fitted = fit(problem, 1)
    assert fitted.history[0].states["owed"] == 8
    assert not any(t.proposal == "rationalize" and t.example_id.startswith("second") for t in trials(problem))


def test_an_engine_that_serves_nobody_stops_the_run(tmp_path):
    def engine(path):
        return ScriptedEngine(lambda r: None)

    problem = toy.problem(tmp_path, PPS, engine=engine)
    for split in ("validation", "test"):
        problem.ledger.finish(0, split, seconds=0, record={"log_likelihood": 0.0})
    with pytest.raises(RunError, match="engine failed on every request"):
        fit(problem, 1)


def test_over_long_prompts_are_counted_and_never_sent(tmp_path):
    limit = len(toy.TASK.hint_prompt(toy.examples()[0].fields, "3").text)  # "second" is one character longer
    problem = toy.problem(tmp_path, PPS, max_prompt_tokens=limit)
    fitted = fit(problem, 1)
    assert len(trials(problem)) == 50
    assert fitted.history[0].states.get("too_long") == 50
    assert fitted.history[0].states.get("kept", 0) + fitted.history[0].states.get("exhausted", 0) == 50


@pytest.mark.slow
def test_init_base_starts_every_m_step_from_the_base_model(tmp_path):
    starts = []

    def m_step(start, samples, **rest):
        starts.append(start)
        return toy.closed_form_m_step(0.1)(start, samples, **rest)

    problem = toy.problem(tmp_path / "base", PPS, m_step=m_step, init="base")
    fit(problem, 3)
    assert starts == [problem.base] * 3
    starts.clear()
    problem = toy.problem(tmp_path / "previous", PPS, m_step=m_step)
    fit(problem, 3)
    assert starts == [problem.base, str(problem.ledger.checkpoint(1)), str(problem.ledger.checkpoint(2))]


@pytest.mark.slow
def test_the_test_set_is_scored_at_the_end_for_base_best_and_last_only(tmp_path):
    problem = toy.problem(tmp_path, STAR)
    fitted = fit(problem, 4)
    scored = {k for k in range(5) if problem.ledger.record(k, "test") is not None}
    assert scored == {0, fitted.best, 4}
    validation = [problem.ledger.record(k, "validation")["log_likelihood"] for k in range(5)]
    assert fitted.best == int(np.argmax(validation))


def test_an_iteration_that_keeps_nothing_leaves_theta_as_it_is(tmp_path):
    def engine(path):
        inner = toy.open_engine(path)
        return ScriptedEngine(lambda r: "no verdict here" if r.prompt.kind == "rationalize" else inner._say(r))

    problem = toy.problem(tmp_path, PPS, engine=engine, copies=8)
    fitted = fit(problem, 2)
    assert fitted.history[0].outcomes == {"unparseable": 16}
    assert fitted.history[0].states == {"exhausted": 16}
    assert not problem.ledger.checkpoint(1).exists()
    assert fitted.best_theta == problem.base
