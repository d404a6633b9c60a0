"""A verdict for every rationale: what a closed draft says, what it may count for, and on every way of drawing."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import toy
from rationem import EMState, ScriptedEngine, parse_scheme
from rationem.config import FitConfig
from rationem.em import e_step, fit
from rationem.errors import ConfigError
from rationem.ledger.reading import read_level_logps
from rationem.run.preflight import check_closing
from rationem.sampling.closing import closed, closing_of
from rationem.sampling.selection import training_samples
from rationem.tasks import named
from rationem.tasks.scale import MARKER
from rationem.types import Draft, Finish, Outcome, Prompt, Purpose, Request, Sampling
from streaming import Streaming


def muttering(theta_path):
    """Never writes a verdict: half of its drafts end by themselves, half are cut in a second line."""
    engine = toy.open_engine(theta_path)
    say, sample = engine._say, engine.sample

    def cut(requests):
        drafts = []
        for request, draft in zip(requests, sample(requests), strict=True):
            rationale = draft.text.split("\n")[0]
            if request.seed % 2:
                text, finish, end = rationale, Finish.STOP, (0,)
            else:
                text, finish, end = f"{rationale}\nFinal ra", Finish.LENGTH, ()
            drafts.append(Draft(text, (*map(ord, text), *end), finish, draft.prompt_tokens))
        return drafts

    engine._say, engine.sample = say, cut
    return engine


def stepped(directory, scheme="rs:2", selector="first", copies=60, engine=muttering, **more):
    problem = toy.problem(directory, parse_scheme(scheme, selector), copies=copies, engine=engine, close=True, **more)
    return problem, e_step(1, EMState(0, problem.base), problem)


def closing(text, finish=Finish.STOP):
    engine = ScriptedEngine(lambda _: text)
    draft = Draft(text, engine.encode_completion(text), finish, 1)
    return closing_of(draft, Request(Prompt("x"), Sampling(), 7), {}, engine, toy.TASK)


@pytest.mark.parametrize(
    ("text", "finish", "stem"),
    [
        ("it is kind", Finish.STOP, f"it is kind\n{MARKER}"),
        ("it is kind\nthe to", Finish.LENGTH, f"it is kind\n{MARKER}"),
        ("it is kind\n\n", Finish.LENGTH, f"it is kind\n{MARKER}"),
        ("it is ki", Finish.LENGTH, f"it is ki\n{MARKER}"),
        ("\nit is ki", Finish.LENGTH, f"\nit is ki\n{MARKER}"),
        ("", Finish.STOP, MARKER),
        ("<think>\nhm\n</think>\nkind", Finish.STOP, f"<think>\nhm\n</think>\nkind\n{MARKER}"),
    ],
)
def test_a_draft_is_closed_at_its_end_or_at_its_last_line_break_if_it_was_cut(text, finish, stem):
    found = closing(text, finish)
    assert found.query.draft.text == stem
    assert found.query.upto == len(stem)
    assert found.query.draft.token_ids == tuple(map(ord, stem))
    assert found.drawn == len(text) + 1


@pytest.mark.parametrize(
    ("text", "finish"),
    [
        (f"kind\n{MARKER} 2", Finish.STOP),
        (f"kind\n{MARKER} 9", Finish.STOP),  # a verdict that is not on offer is a verdict line
        (f"kind\n{MARKER}", Finish.LENGTH),
        ("<think>\nhm", Finish.LENGTH),  # in its thoughts a marker counts nothing
        ("", Finish.FAILED),
    ],
)
def test_a_draft_with_a_verdict_line_and_an_open_thought_are_left_alone(text, finish):
    assert closing(text, finish) is None


def test_a_closed_draft_says_each_level_as_often_as_the_model_would(tmp_path):
    problem, _ = stepped(tmp_path, copies=250, scheme="rs:1")
    drawn = list(problem.ledger.trials(1, Purpose.TRAIN))
    assert all(trial.draft.closed and trial.outcome in (Outcome.ACCEPTED, Outcome.WRONG) for trial in drawn)
    for name in toy.THETA:
        said = Counter(t.parsed.answer for t in drawn if t.example_id.startswith(name))
        expected = toy.joint(toy.THETA, name).sum(0)
        for level, share in zip(toy.SCALE.levels, expected, strict=True):
            assert said[level] / 250 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 250))


def test_a_level_that_an_item_does_not_offer_is_never_drawn():
    one, engine = closing("kind"), ScriptedEngine(lambda _: None)
    fewer = replace(one, offered=(True, False, True))
    requests = [Request(Prompt("x"), Sampling(), seed) for seed in range(300)]
    logps = (-5.0, -0.01, -5.0)
    said = Counter(toy.TASK.parse(closed(fewer, logps, request, engine).text).answer for request in requests)
    assert set(said) == {"1", "3"}
    assert said["1"] == pytest.approx(150, abs=4 * math.sqrt(75))
    assert {toy.TASK.parse(closed(one, logps, r, engine).text).answer for r in requests[:20]} == {"2"}


def test_what_is_trained_on_is_the_closed_text_behind_the_forward_prompt(tmp_path):
    problem, kept = stepped(tmp_path)
    samples = training_samples(1, kept, problem.data.train, toy.TASK, problem.ledger)
    assert samples
    for sample in samples:
        text = "".join(map(chr, sample.token_ids[:-1]))
        rationale, verdict = text.split("\n")
        assert rationale in toy.RATIONALES
        assert verdict.startswith(MARKER)
        assert sample.token_ids[-1] == 0  # the end of the turn, as after a drawn verdict


def test_the_tokens_that_were_drawn_are_counted_and_the_closed_ones_are_not(tmp_path):
    problem, _ = stepped(tmp_path)
    drawn = list(problem.ledger.trials(1, Purpose.TRAIN))
    assert problem.ledger.record(1, "e_step")["generated_tokens"] == sum(trial.draft.closed for trial in drawn)
    for trial in drawn:
        rationale = trial.parsed.rationale
        assert trial.draft.closed in (len(rationale) + 1, len(f"{rationale}\nFinal ra"))


def test_a_closed_draft_counts_nothing_in_raw_evidence_and_evaluation_closes_none(tmp_path):
    """Evaluation asks the model as it is; where levels behind closed drafts are scored, they are no draws of it."""
    problem, _ = stepped(tmp_path, "marginal:2")
    db = problem.ledger.db
    assert read_level_logps(db, 1, Purpose.TRAIN, whole=True) == {}
    assert len(read_level_logps(db, 1, Purpose.TRAIN)) == 120
    fit(replace(problem, data=replace(problem.data, train=toy.examples(60))), 1)
    evaluated = list(problem.ledger.trials(1, Purpose.EVAL))
    assert evaluated
    assert not any(trial.draft.closed for trial in evaluated)
    assert all(one.raw == 0 for one in problem.ledger.predictions(1, "validation"))


def test_a_closed_draft_is_never_an_exact_draw(tmp_path):
    problem, _ = stepped(tmp_path)
    assert problem.context.exact(problem.scheme) == [False, False]
    assert replace(problem.context, close=False).exact(problem.scheme) == [True, True]


def test_marginal_weighs_closed_drafts_by_the_right_answer_behind_the_marker(tmp_path):
    problem, kept = stepped(tmp_path, "marginal:3", "weighted", copies=10)
    rationale = {(t.example_id, t.attempt): t.parsed.rationale for t in problem.ledger.trials(1, Purpose.TRAIN)}
    assert len(kept) == 20 * 3
    for x in problem.data.train:
        table = np.array(toy.THETA[toy.name_of(x)]["y"])[:, toy.SCALE.rank(x.answer)]
        p = np.array([table[toy.RATIONALES.index(rationale[x.id, m])] for m in range(3)])
        found = [one.weight for one in sorted(kept, key=lambda k: k.attempt) if one.example_id == x.id]
        assert found == pytest.approx((p / p.sum()).tolist())


def test_refill_closes_the_drafts_that_rounds_close(tmp_path):
    rows = []
    for name, opened in (("rounds", muttering), ("refill", lambda theta: Streaming(muttering(theta)))):
        problem, _ = stepped(tmp_path / name, copies=10, engine=opened)
        rows.append(sorted(map(repr, problem.ledger.db.execute("SELECT * FROM trials"))))
        problem.engines.close()
    assert rows[0] == rows[1]
    assert len(rows[0]) > 20


@pytest.mark.parametrize(
    ("scheme", "selector", "task", "needle"),
    [
        ("pps", "first", "math", "open answers"),
        ("rationalize*2", "resample", "judge", "marginal"),
        ("rationalize@teacher", "first", "judge", "teacher"),
    ],
)
def test_what_closing_cannot_serve_is_refused(scheme, selector, task, needle):
    task = toy.TASK if task == "judge" else named(task)
    with pytest.raises(ConfigError, match=needle):
        check_closing(FitConfig(close=True), parse_scheme(scheme, selector), task)
    check_closing(FitConfig(), parse_scheme(scheme, selector), task)
    check_closing(FitConfig(close=True), parse_scheme("marginal:2"), task)
