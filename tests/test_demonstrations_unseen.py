"""Demonstrations belong to a proposal: nothing else of a run reads a prompt with earlier turns."""

from dataclasses import replace

import pytest

import toy
from demonstrated import SEEN, shown_at, tempted
from judges import judge
from rationem.ledger import read_manifest
from rationem.sampling.training_set import kept_samples
from rationem.tasks import from_description
from rationem.types import Purpose

ITERATIONS = (1, 2)


class Listening:
    """Opens engines that remember the prompts of everything they were asked: (what was asked, prompt)."""

    def __init__(self, opened):
        self._opened, self.heard = opened, []

    def __call__(self, theta):
        engine = self._opened(theta)
        for name in ("sample", "score_levels", "score_tokens"):
            setattr(engine, name, self._told(name, getattr(engine, name)))
        return engine

    def _told(self, name, work):
        def told(asked):
            before = len(self.heard)
            found = work(asked)
            # A scripted engine scores what it samples by itself: only what it was asked from outside counts.
            self.heard[before:] = [(name, one.prompt) for one in asked]
            return found

        return told

    def prompts(self, *names):
        return [prompt for name, prompt in self.heard if name in names]


class Run:
    """Two iterations of a scheme that shows demonstrations before everything it samples, and all that was read."""

    def __init__(self, directory, selector):
        self.trained, self.engines = [], Listening(tempted)

        def m_step(start, samples, **more):
            self.trained.extend(one.prompt for one in samples)
            return toy.closed_form_m_step(0.1)(start, samples, **more)

        self.problem = shown_at(
            directory, "forward~demos*2+rationalize~demos", 2, engine=self.engines, copies=4, selector=selector,
            m_step=m_step, demos=replace(SEEN, count=2), hinted=2, wrong=2, probed=4,
        )  # fmt: skip
        self.ledger = self.problem.ledger

    def trials(self, *purposes):
        return [trial for k in (0, *ITERATIONS) for purpose in purposes for trial in self.ledger.trials(k, purpose)]


@pytest.fixture(params=["first", "weighted"], scope="module")
def run(request, tmp_path_factory):
    return Run(tmp_path_factory.mktemp(request.param), request.param)


def bare(prompts):
    assert prompts
    assert all(prompt.earlier == () for prompt in prompts)


def test_the_drafts_of_the_e_step_see_demonstrations(run):
    """Otherwise the tests below hold of anything."""
    drawn = run.trials(Purpose.TRAIN)
    assert drawn
    assert all(len(trial.demos) == 2 and "~demos" in trial.proposal for trial in drawn)
    seen = [prompt for prompt in run.engines.prompts("sample") if prompt.earlier]
    assert len(seen) == len(drawn)
    assert {prompt.kind for prompt in seen} == {"forward", "rationalize"}
    asked = {toy.TASK.prompt(x.fields).text for x in run.problem.data.train}
    asked |= {toy.TASK.hint_prompt(x.fields, x.answer).text for x in run.problem.data.train}
    assert {prompt.text for prompt in seen} == asked


def test_no_training_sample_has_earlier_turns(run):
    bare(run.trained)
    assert {prompt.kind for prompt in run.trained} == {"forward"}
    for k in ITERATIONS:
        bare([one.prompt for one in kept_samples(run.ledger.directory, k)])


def test_no_evaluation_request_has_earlier_turns(run):
    held_out = {toy.TASK.prompt(x.fields).text for x in (*run.problem.data.validation, *run.problem.data.test)}
    bare([prompt for prompt in run.engines.prompts("sample") if prompt.text in held_out])
    for purpose in (Purpose.EVAL, Purpose.EVIDENCE, Purpose.PROBE):
        trials = run.trials(purpose)
        assert trials
        assert all(trial.demos == () and "~demos" not in trial.proposal for trial in trials)


def test_no_prompt_under_which_something_is_scored_has_earlier_turns(run):
    """Levels for evaluation and evidence; completions for evidence and the selector's weights (pi, not q)."""
    bare(run.engines.prompts("score_levels"))
    bare(run.engines.prompts("score_tokens"))


def test_no_prompt_of_the_judge_has_earlier_turns(run, tmp_path):
    task = from_description(read_manifest(run.ledger.db)["task"])
    engines = Listening(toy.open_engine)
    items = [x.fields for x in run.problem.data.test]
    ratings = judge(tmp_path, engines(str(run.ledger.checkpoint(2))), task).rate(items)
    assert len(ratings) == len(items)
    bare(engines.prompts("sample"))
    bare(engines.prompts("score_levels"))
    assert {prompt.text for prompt in engines.prompts("sample")} == {toy.TASK.prompt(one).text for one in items}
