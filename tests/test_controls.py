"""The controls: no filter learns nothing, solved examples change only their own numbers, a reward weighs or filters."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import toy
from rationem import Example, Outcome, Scheme, parse_scheme, rejection_sampling
from rationem.em import fit
from rationem.errors import ConfigError
from rationem.evaluation.evaluate import SHOTS
from rationem.ledger import read_only, read_predictions
from rationem.sampling.demonstrations import solved
from rationem.sampling.schemes import FORWARD, UNFILTERED
from rationem.sampling.selectors import All, First, Tried
from rationem.types import Draft, Finish, Kept, Parsed, Purpose, Splits, Trial


def trial(attempt, outcome, reward=1.0):
    draft = Draft("", (), Finish.STOP, 0)
    return Trial(1, Purpose.TRAIN, "x", attempt, 0, "forward", 0, draft, Parsed("", None), outcome, reward)


def test_unfiltered_keeps_the_first_verdict_right_or_wrong_and_never_a_text_without_one():
    kept = UNFILTERED.selector.select(
        Tried([trial(0, Outcome.ENGINE_FAILED), trial(1, Outcome.UNPARSEABLE), trial(2, Outcome.WRONG, 0.0)])
    )
    assert kept == [Kept("x", 2, 1.0, 1)]
    assert UNFILTERED.selector.select(Tried([trial(0, Outcome.TRUNCATED), trial(1, Outcome.UNPARSEABLE)])) == []
    assert parse_scheme("unfiltered") == UNFILTERED
    with pytest.raises(ConfigError, match="omit --selector all"):
        parse_scheme("unfiltered", "all")


@pytest.mark.slow
def test_what_the_unfiltered_control_keeps_follows_the_model_and_not_the_posterior(tmp_path):
    """Its expected gradient is sum pi(z, y | x) grad log pi(z, y | x) = 0: without the filter there is no teacher."""
    problem = toy.problem(tmp_path, UNFILTERED, copies=2000)
    fit(problem, 1)
    texts = {(t.example_id, t.attempt): t for t in problem.ledger.trials(1, Purpose.TRAIN)}
    kept = [texts[one.example_id, one.attempt] for one in problem.ledger.kept(1) if one.example_id.startswith("first")]
    counts = Counter((t.parsed.rationale, t.parsed.answer) for t in kept)
    observed = [counts[z, y] for z in toy.RATIONALES for y in toy.SCALE.levels]
    expected = toy.joint(toy.THETA, "first").ravel() * len(kept)
    assert len(kept) == 2000
    assert stats.chisquare(observed, expected).pvalue > 0.01
    after = toy.read(str(problem.ledger.checkpoint(1)))
    assert np.allclose(after["first"]["z"], toy.THETA["first"]["z"], atol=0.05)


def graded(tmp_path, **selector):
    scheme = Scheme("rs:1", (FORWARD,), First(**selector))
    problem = toy.problem(tmp_path, scheme, copies=40, task=replace(toy.TASK, rule="ordinal"), threshold=0.5)
    fit(problem, 1)
    rewards = {t.example_id: t.reward for t in problem.ledger.trials(1, Purpose.TRAIN)}
    return rewards, {one.example_id: one.weight for one in problem.ledger.kept(1)}


def test_a_graded_reward_filters_by_its_threshold_and_weighs_what_passes(tmp_path):
    rewards, kept = graded(tmp_path)
    assert {0.0, 0.5, 1.0} == set(rewards.values())
    assert kept == {name: reward for name, reward in rewards.items() if reward >= 0.5}


def test_as_a_filter_only_what_passes_weighs_one(tmp_path):
    rewards, kept = graded(tmp_path, weighs=False)
    assert kept == {name: 1.0 for name, reward in rewards.items() if reward >= 0.5}
    assert parse_scheme("rs:2", "all", "filter").selector == All(weighs=False)
    assert parse_scheme("rs:2").selector == First(weighs=True)


def showing(train, count, seed=0, asked=(), validation=(), task=toy.TASK):
    return solved(Splits(tuple(train), tuple(validation), tuple(asked)), count, seed, task)


def test_shots_are_earlier_turns_with_their_answers_and_without_rationales():
    train = (
        Example("a", {"prompt": "first", "response": "one"}, "3", "a"),
        Example("b", {"prompt": "second", "response": "two"}, "1", "b"),
    )
    x = Example("c", {"prompt": "third", "response": "three"}, "2", "c")
    question = toy.TASK.prompt(x.fields)
    prompt = showing(train, 2, asked=[x]).before(question, x, toy.TASK, lambda _: True)
    assert prompt.text == question.text
    said = {one.name: (one.asked, one.said) for one in prompt.earlier}
    assert said == {one.item: (toy.TASK.prompt(one.fields).text, f"Final rating: {one.answer}") for one in train}


def test_shots_are_dealt_level_by_level_whatever_the_order_of_the_file():
    data = [
        Example(f"x{n}", {"prompt": str(n)}, "1" if n < 90 else "2" if n < 99 else "3", f"g{n}") for n in range(100)
    ]
    shown = showing(data, 6, seed=3).chosen
    assert {one.answer for one in shown[:3]} == {"1", "2", "3"}
    assert showing(data[::-1], 6, seed=3).chosen == shown
    assert showing(data, 6, seed=4).chosen != shown
    assert len(showing(data, 64, seed=3).chosen) == 64
    assert len(showing(data, 200, seed=3).chosen) == 100


def test_an_item_is_shown_once_whatever_it_was_rated():
    data = [Example(f"x{n}", {"prompt": str(n)}, str(k), f"g{n}", rater=k) for n in range(5) for k in (1, 2, 3)]
    shown = showing(data, 12).chosen
    assert len({one.group for one in shown}) == len(shown) == 5


def with_other_items(problem):
    """The toy has two questions only: other responses make the held-out items others than those trained on."""
    held_out = {
        name: tuple(replace(x, fields={**x.fields, "response": "!"}) for x in getattr(problem.data, name))
        for name in ("validation", "test")
    }
    return replace(problem, data=replace(problem.data, **held_out))


def test_a_control_without_an_example_to_show_is_left_out(tmp_path):
    problem = toy.problem(tmp_path, rejection_sampling(1), copies=4, shots=2)
    fit(replace(problem, data=replace(problem.data, test=problem.data.train)), 1)
    assert problem.ledger.record(0, SHOTS) is None


@pytest.mark.slow
def test_the_control_with_shots_has_its_own_predictions_and_changes_no_others(tmp_path):
    prompts = []

    def listening(theta):
        engine = toy.open_engine(theta)
        sample = engine.sample

        def heard(requests):
            prompts.extend(request.prompt.whole for request in requests)
            return sample(requests)

        engine.sample = heard
        return engine

    runs = {}
    for name, more in {"plain": {}, "shots": {"shots": 2}}.items():
        problem = toy.problem(tmp_path / name, rejection_sampling(2), copies=4, engine=listening, **more)
        fit(with_other_items(problem), 1)
        problem.ledger.close()
        db = read_only(tmp_path / name / "run")
        runs[name] = [read_predictions(db, k, split) for k in (0, 1) for split in ("validation", "test")]
        control = read_predictions(db, 0, SHOTS)
        db.close()
    assert runs["plain"] == runs["shots"]
    assert [x.example_id for x in control] == [x.example_id for x in runs["shots"][1]]
    with_shots = {text for text in prompts if text.count("Prompt: ") == 3}
    assert len(with_shots) == 2  # the two questions of the test set, each behind the same two examples


@pytest.mark.slow
def test_a_control_that_was_killed_goes_on_with_the_draws_that_it_had(tmp_path):
    """Killed between two batches of the control and started again: the predictions of a run never killed."""

    def dying(batches):
        left = [batches]

        def opened(theta):
            engine = toy.open_engine(theta)
            engine.batch_size, sample = 4, engine.sample

            def mortal(requests):
                if requests[0].prompt.earlier:  # a request of the control
                    left[0] -= 1
                    if left[0] < 0:
                        raise KeyboardInterrupt
                return sample(requests)

            engine.sample = mortal
            return engine

        return opened

    found = {}
    for name, batches in (("whole", [99]), ("killed", [1, 2, 99])):
        for lives in batches:
            problem = with_other_items(
                toy.problem(tmp_path / name, rejection_sampling(2), copies=4, engine=dying(lives), shots=2)
            )
            if lives < 99:
                with pytest.raises(KeyboardInterrupt):
                    fit(problem, 1)
            else:
                fit(problem, 1)
            problem.ledger.close()
        db = read_only(tmp_path / name / "run")
        drawn = db.execute(
            "SELECT example_id, attempt, text FROM trials WHERE purpose='control' ORDER BY 1, 2"
        ).fetchall()
        found[name] = (drawn, read_predictions(db, 0, SHOTS))
        db.close()
    assert found["killed"] == found["whole"]
    assert len(found["whole"][0]) == 8 * 4
