"""The controls: no filter learns nothing, solved examples change only their own numbers, a reward weighs or filters."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import toy
from rationem import Example, Outcome, Scheme, fit, parse_scheme, rejection_sampling
from rationem.errors import ConfigError
from rationem.evaluation.evaluate import SHOTS
from rationem.ledger import read_only, read_predictions
from rationem.sampling.schemes import FORWARD, UNFILTERED
from rationem.sampling.selectors import All, First, Tried
from rationem.tasks.shots import Shots, choose_shots
from rationem.types import Draft, Finish, Kept, Parsed, Purpose, Trial


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


def test_shots_stand_before_the_question_with_their_answers_and_without_the_one_asked():
    shown = (
        Example("a", {"prompt": "first", "response": "one"}, "3", "a"),
        Example("b", {"prompt": "second", "response": "two"}, "1", "b"),
    )
    task, fields = Shots(toy.TASK, shown), {"prompt": "third", "response": "three"}
    text = task.prompt(fields).text
    asked = toy.TASK.prompt(fields).text
    assert text.endswith(f"\n\n{asked}")
    assert text.startswith(f"{toy.TASK.prompt(shown[0].fields).text}\nFinal rating: 3\n\nPrompt: second")
    assert text.count("Final rating: 1\n\n") == 1
    assert task.hint_prompt(fields, "2").text == text + "\nThe correct rating is 2. Explain why."
    assert task.describe()["shots"] == ["a", "b"]


def test_shots_are_dealt_level_by_level_whatever_the_order_of_the_file():
    data = [
        Example(f"x{n}", {"prompt": str(n)}, "1" if n < 90 else "2" if n < 99 else "3", f"g{n}") for n in range(100)
    ]
    shown = choose_shots(data, 6, seed=3)
    assert {x.answer for x in shown[:3]} == {"1", "2", "3"}
    assert choose_shots(data[::-1], 6, seed=3) == shown
    assert choose_shots(data, 6, seed=4) != shown
    assert len(choose_shots(data, 200, seed=3)) == 100


def test_an_item_is_shown_once_whatever_it_was_rated():
    data = [Example(f"x{n}", {}, str(k), f"g{n}", rater=k) for n in range(5) for k in (1, 2, 3)]
    shown = choose_shots(data, 12, seed=0)
    assert len({x.group for x in shown}) == len(shown) == 5


def test_no_item_that_is_asked_is_shown_whatever_it_was_rated_on():
    def item(name, criterion, response="r"):
        fields = {"prompt": name, "response": response, "criterion": criterion}
        return Example(f"{name}/{criterion}/{response}", fields, "1", f"{name}{response}")

    asked = [item("a", "tone"), item("b", "tone")]
    train = [item("a", "tone"), item("a", "facts"), item("a", "tone", "another"), item("c", "tone")]
    shown = choose_shots(train, 9, seed=0, asked=asked)
    # Another answer to a question that is asked may be shown, as it may be trained on.
    assert {x.id for x in shown} == {"a/tone/another", "c/tone/r"}


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
            prompts.extend(request.prompt.text for request in requests)
            return sample(requests)

        engine.sample = heard
        return engine

    runs = {}
    for name, more in {"plain": {}, "shots": {"shots": 2}}.items():
        problem = toy.problem(tmp_path / name, rejection_sampling(2), copies=4, engine=listening, **more)
        # The toy has two questions only: other responses make the tested items others than those trained on.
        others = tuple(replace(x, fields={**x.fields, "response": "!"}) for x in problem.data.test)
        fit(replace(problem, data=replace(problem.data, test=others)), 1)
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

    def with_others(problem):
        others = tuple(replace(x, fields={**x.fields, "response": "!"}) for x in problem.data.test)
        return replace(problem, data=replace(problem.data, test=others))

    def dying(batches):
        left = [batches]

        def opened(theta):
            engine = toy.open_engine(theta)
            engine.batch_size, sample = 4, engine.sample

            def mortal(requests):
                if requests[0].prompt.text.count("Prompt: ") > 1:  # a request of the control
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
            problem = with_others(
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
