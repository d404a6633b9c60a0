"""A judge asked in Python: every number by hand, every refusal with its reason."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges import CRITERIA, PAIR, TASK, Cut, Recorder, card, directory, judge, seeds
from rationem import JudgeTask, Scale, ScriptedEngine, progress
from rationem.errors import ConfigError, DataError, RunError
from rationem.judging.judge import Judge
from rationem.judging.stream import rate_file
from rationem.judging.verdicts import Status
from rationem.run.card import write_card
from rationem.types import Request, Sampling
from toy import RATIONALES, SCALE, THETA, joint, open_engine, write

ITEM = {"prompt": "first", "response": "."}


@pytest.fixture
def said(monkeypatch):
    """What the terminal is told."""
    lines = []
    shown = progress.Silent()
    monkeypatch.setattr(shown, "say", lines.append)
    monkeypatch.setattr(progress, "_display", shown)
    return lines


@pytest.fixture
def table(tmp_path):
    """The toy of four rationales, with every probability written down."""
    return open_engine(write(THETA, tmp_path / "theta"))


def says(*texts, levels=None, **more):
    """An engine that says one of the texts, by the seed."""
    return Recorder(lambda request: texts[request.seed % len(texts)], levels, **more)


def rationales(engine, fields, draws):
    """The rationales that the toy draws for an item with the judge's seeds."""
    requests = [Request(TASK.prompt(fields), Sampling(), seed) for seed in seeds(TASK, fields, draws)]
    return [RATIONALES.index(draft.text.split("\n")[0]) for draft in engine.sample(requests)]


def test_probabilities_are_the_mean_over_the_draws_of_the_levels_behind_each(tmp_path, table):
    (rating,) = judge(tmp_path, table).rate([ITEM], draws=6)
    by_hand = np.mean([THETA["first"]["y"][z] for z in rationales(table, ITEM, 6)], axis=0)
    assert list(rating.probabilities) == ["1", "2", "3"]
    assert np.allclose(list(rating.probabilities.values()), by_hand)
    assert rating.rating == SCALE.levels[by_hand.argmax()]
    assert rating.expected == pytest.approx(by_hand @ [1, 2, 3])
    assert rating.entropy == pytest.approx(-(by_hand * np.log(by_hand)).sum())
    assert (rating.status, rating.draws, rating.unparsed, rating.consistent) == (Status.RATED, 6, 0, None)


@pytest.mark.slow
def test_many_draws_come_to_the_exact_marginal_over_rationales(tmp_path, table):
    (rating,) = judge(tmp_path, table).rate([ITEM], draws=3000)
    assert np.allclose(list(rating.probabilities.values()), joint(THETA, "first").sum(axis=0), atol=0.02)


def test_eight_draws_unless_the_calibration_was_fitted_with_another_number(tmp_path, table):
    assert judge(tmp_path / "bare", table).rate([ITEM])[0].draws == 8
    assert judge(tmp_path / "fitted", table, temperature=2.0, draws=5).rate([ITEM])[0].draws == 5


def test_the_rationale_shown_is_the_first_that_says_the_rating(tmp_path, table):
    (rating,) = judge(tmp_path, table).rate([ITEM], draws=6)
    drafts = table.sample([Request(TASK.prompt(ITEM), Sampling(), seed) for seed in seeds(TASK, ITEM, 6)])
    agreeing = [draft.text.split("\n")[0] for draft in drafts if draft.text.endswith(rating.rating)]
    assert rating.rationale == agreeing[0]


def test_an_unparsed_draw_contributes_the_training_marginal(tmp_path):
    texts = ("well\nFinal rating: 3", "no verdict")
    asked = judge(tmp_path, says(*texts, levels=lambda _: np.log([0.1, 0.1, 0.8])))
    parsed = sum(seed % 2 == 0 for seed in seeds(TASK, ITEM, 8))
    assert 0 < parsed < 8
    (rating,) = asked.rate([ITEM])
    by_hand = (parsed * np.array([0.1, 0.1, 0.8]) + (8 - parsed) * np.array([0.5, 0.3, 0.2])) / 8
    assert np.allclose(list(rating.probabilities.values()), by_hand)
    assert rating.unparsed == 8 - parsed


def test_an_unparsed_draw_contributes_the_marginal_of_the_criterion_that_is_rated(tmp_path):
    own = {"tone": (0.8, 0.1, 0.1), "facts": (0.1, 0.1, 0.8)}
    engine = says("well\nFinal rating: 3", "no verdict", levels=lambda _: np.log([0.1, 0.1, 0.8]))
    for rating in judge(tmp_path, engine, CRITERIA, marginals=own).rate([ITEM]):
        assert 0 < rating.unparsed < rating.draws == 8
        share = rating.unparsed / 8
        by_hand = (1 - share) * np.array([0.1, 0.1, 0.8]) + share * np.array(own[rating.criterion])
        assert np.allclose(list(rating.probabilities.values()), by_hand)


@pytest.mark.parametrize("text", ["no verdict", "z\nFinal rating: 9", "z\nFinal rating:"])
@pytest.mark.parametrize("fast", [False, True])
def test_where_no_draw_names_a_level_there_is_no_rating_and_no_probability(tmp_path, text, fast):
    (rating,) = judge(tmp_path, says(text)).rate([ITEM], fast=fast)
    assert rating.status is Status.UNPARSED
    assert (rating.rating, rating.expected, rating.probabilities, rating.entropy) == (None, None, None, None)
    assert rating.unparsed == rating.draws == (1 if fast else 8)


def test_a_verdict_that_was_cut_off_is_none(tmp_path):
    (rating,) = judge(tmp_path, Cut(lambda _: "well\nFinal rating: 1")).rate([ITEM])
    assert rating.status is Status.UNPARSED


def test_fast_is_one_greedy_rationale_and_scores_nothing(tmp_path):
    engine = says("well\nFinal rating: 2")
    (rating,) = judge(tmp_path, engine).rate([ITEM], fast=True)
    assert [request.sampling for request in engine.requests] == [Sampling(temperature=0.0, max_new_tokens=64)]
    assert engine.queries == []
    assert (rating.rating, rating.rationale, rating.draws) == ("2", "well", 1)
    assert (rating.expected, rating.probabilities, rating.entropy) == (None, None, None)


def test_draws_are_sampled_as_they_are_whatever_the_training_did(tmp_path):
    engine = says("well\nFinal rating: 2")
    judge(tmp_path, engine).rate([ITEM])
    assert {request.sampling for request in engine.requests} == {Sampling(1.0, 1.0, 0, 64)}


def test_a_scale_without_an_order_has_no_expected_rating(tmp_path):
    task = JudgeTask(Scale.parse("red | green"))
    (rating,) = judge(tmp_path, says("z\nFinal rating: red"), task, marginal=(0.5, 0.5)).rate([ITEM])
    assert rating.expected is None
    assert rating.probabilities == {"red": 0.5, "green": 0.5}


# Pairs ---------------------------------------------------------------------------------------------------------

DUEL = {"prompt": "which", "response_a": "short", "response_b": "a longer one"}
TURNED = {"prompt": "which", "response_a": "a longer one", "response_b": "short"}
ORDERS = {PAIR.prompt(DUEL).text: [0.6, 0.3, 0.1], PAIR.prompt(TURNED).text: [0.5, 0.1, 0.4]}


def duel(say):
    return Recorder(say, lambda query: np.log(ORDERS[query.prompt.text]))


def test_a_pair_is_asked_in_both_orders_and_the_second_is_turned_back_and_averaged(tmp_path):
    engine = duel(lambda _: "z\nFinal rating: A")
    (rating,) = judge(tmp_path, engine, PAIR).rate([DUEL])
    assert {request.prompt.text for request in engine.requests} == set(ORDERS)
    # Second order: A there is B here.
    assert np.allclose(list(rating.probabilities.values()), [(0.6 + 0.1) / 2, (0.3 + 0.5) / 2, (0.1 + 0.4) / 2])
    assert (rating.rating, rating.consistent, rating.draws) == ("B", False, 16)
    assert rating.rationale == "z"  # of the given order, which says A: nobody said B of it


def test_the_verdict_on_a_pair_does_not_depend_on_who_stands_first(tmp_path):
    asked = judge(tmp_path, duel(lambda request: f"z\nFinal rating: {'AB'[request.seed % 2]}"), PAIR)
    one, other = asked.rate([DUEL, TURNED])
    assert np.allclose([one.probabilities[x] for x in "AB"], [other.probabilities[x] for x in "BA"])
    assert one.probabilities["tie"] == pytest.approx(other.probabilities["tie"])
    assert one.consistent == other.consistent


def test_a_judge_that_says_the_same_of_both_orders_is_consistent(tmp_path):
    longer = duel(lambda request: "z\nFinal rating: " + ("B" if "A: short" in request.prompt.text else "A"))
    for fast in (True, False):
        ORDERS[PAIR.prompt(TURNED).text] = [0.7, 0.2, 0.1]
        ORDERS[PAIR.prompt(DUEL).text] = [0.2, 0.7, 0.1]
        (rating,) = judge(tmp_path / str(fast), longer, PAIR).rate([DUEL], fast=fast)
        assert (rating.rating, rating.consistent, rating.rationale) == ("B", True, "z")


def test_two_greedy_verdicts_that_differ_are_no_verdict(tmp_path):
    (rating,) = judge(tmp_path, duel(lambda _: "z\nFinal rating: A"), PAIR).rate([DUEL], fast=True)
    assert (rating.status, rating.rating, rating.consistent) == (Status.INCONSISTENT, None, False)


# Calibration ---------------------------------------------------------------------------------------------------


def test_the_temperature_is_applied_with_the_draws_that_it_was_fitted_with_and_only_then(tmp_path, table, said):
    run = directory(tmp_path, temperature=2.0, draws=4)
    plain = Judge.load(run, engine=table, calibrate=False).rate([ITEM], draws=4)[0]
    asked = Judge.load(run, engine=table)
    said.clear()
    roots = np.sqrt(list(plain.probabilities.values()))
    assert np.allclose(list(asked.rate([ITEM])[0].probabilities.values()), roots / roots.sum())
    assert asked.rate([ITEM])[0].rating == plain.rating
    assert said == []
    other = [asked.rate([ITEM], draws=5)[0] for _ in range(2)]
    assert (
        other[0].probabilities == Judge.load(run, engine=table, calibrate=False).rate([ITEM], draws=5)[0].probabilities
    )
    assert len([line for line in said if "4 drafts" in line and "5" in line]) == 1


@pytest.mark.parametrize("what", ["prompt", "weights"])
def test_a_calibration_of_another_judge_is_refused_by_name(tmp_path, table, what):
    run = directory(tmp_path, temperature=2.0)
    if what == "weights":
        (run / "model" / "model.safetensors").write_bytes(b"others")
    else:
        bound = Judge.load(run, engine=table).card.calibration
        write_card(card(CRITERIA, calibration=bound), run / "model")
    with pytest.raises(RunError, match=rf"the {what} .*--no-calibration.*calibrate=False"):
        Judge.load(run, engine=table)
    assert Judge.load(run, engine=table, calibrate=False).calibration is None


# What is asked -------------------------------------------------------------------------------------------------


def test_an_item_gets_its_verdict_wherever_it_stands(tmp_path):
    def say(request):
        return f"z{request.seed % 5}\nFinal rating: {request.seed % 3 + 1}"

    engine = Recorder(say, lambda query: np.log(np.eye(3)[int(query.draft.text[-1]) - 1] * 0.7 + 0.1), batch_size=3)
    asked = judge(tmp_path, engine)
    items = [{"prompt": f"what is {n} ?", "response": "kind " * (n % 4 + 1)} for n in range(20)]
    alone = [asked.rate([item])[0] for item in items]
    assert asked.rate(items) == alone
    assert asked.rate(items[::-1]) == alone[::-1]
    assert asked.rate([items[0], items[0]]) == [alone[0]] * 2
    assert asked.rate(items, seed=8) != alone


def test_draws_of_one_prompt_stand_side_by_side_so_that_it_is_read_once(tmp_path):
    engine = says("z\nFinal rating: 1", batch_size=8)
    judge(tmp_path, engine).rate([{"prompt": str(n), "response": "."} for n in range(6)])
    for start in range(0, 48, 8):
        assert len({request.prompt for request in engine.requests[start : start + 8]}) == 1


def test_several_criteria_give_one_rating_each_unless_one_is_named(tmp_path):
    engine = says("z\nFinal rating: 1")
    asked = judge(tmp_path, engine, CRITERIA)
    ratings = asked.rate([ITEM, {**ITEM, "criterion": "facts"}])
    assert [rating.criterion for rating in ratings] == ["tone", "facts", "facts"]
    assert {"for tone on the scale" in r.prompt.text for r in engine.requests} == {True, False}
    with pytest.raises(ConfigError, match=r"no criterion 'fact'.*'facts'"):
        asked.rate([{**ITEM, "criterion": "fact"}])


def test_only_the_judges_inputs_reach_the_prompt(tmp_path):
    engine = says("z\nFinal rating: 1")
    judge(tmp_path, engine).rate([{**ITEM, "rating": "SECRET", "explanation": "SECRET", "scale": "SECRET", "x": None}])
    assert not any("SECRET" in request.prompt.text for request in engine.requests)
    judge(tmp_path / "more", engine).rate([{**ITEM, "reference": "the key", "context": "a page"}])
    assert "the key" in engine.requests[-1].prompt.text
    assert "a page" in engine.requests[-1].prompt.text


@pytest.mark.parametrize("value", ["", "  \n", None, 4, ["text"], "half \ud800"])
def test_an_item_that_cannot_be_used_says_why_and_the_others_are_rated(tmp_path, value):
    bad, good = judge(tmp_path, says("z\nFinal rating: 1")).rate([{"prompt": "p", "response": value}, ITEM])
    assert bad.status is Status.UNUSABLE
    assert "response" in bad.problem
    assert (bad.rating, bad.draws) == (None, 0)
    assert good.status is Status.RATED


def test_a_missing_field_is_the_callers_mistake(tmp_path):
    with pytest.raises(DataError, match=r"no 'response'.*Did you mean 'respnse'"):
        judge(tmp_path, says("z\nFinal rating: 1")).rate([{"prompt": "p", "respnse": "r"}])


def test_what_is_too_long_is_never_sent(tmp_path):
    engine = says("z\nFinal rating: 1")
    long, short = judge(tmp_path, engine, max_prompt_tokens=300).rate([{"prompt": "p", "response": "x" * 300}, ITEM])
    assert (long.status, long.draws) == (Status.TOO_LONG, 0)
    assert "300" in long.problem
    assert short.status is Status.RATED
    assert all(len(request.prompt.text) <= 300 for request in engine.requests)


@pytest.mark.parametrize("task", [TASK, PAIR], ids=["single", "pair"])
def test_what_is_too_long_is_shortened_where_the_judge_was_trained_so(tmp_path, task):
    engine = says(f"z\nFinal rating: {task.levels[0]}")
    fields = {"prompt": "p", "response": "x" * 400} if task is TASK else {**DUEL, "response_b": "y" * 400}
    (rating,) = judge(tmp_path, engine, task, max_prompt_tokens=400, elide=True).rate([fields])
    assert rating.status is Status.RATED
    assert rating.elided > 0
    assert str(rating.elided) in rating.problem
    assert all("characters left out" in request.prompt.text for request in engine.requests)


# Failures ------------------------------------------------------------------------------------------------------


def flaky(failures, levels=None):
    """Fails each request so often before it answers."""
    seen = {}

    def say(request):
        seen[request.seed] = seen.get(request.seed, 0) + 1
        return None if seen[request.seed] <= failures(request) else f"z\nFinal rating: {request.seed % 3 + 1}"

    return ScriptedEngine(say, levels)


def test_a_draw_that_the_engine_failed_is_asked_again_and_the_verdict_is_the_same(tmp_path):
    never = judge(tmp_path / "never", flaky(lambda _: 0)).rate([ITEM])
    assert judge(tmp_path / "twice", flaky(lambda request: request.seed % 3)).rate([ITEM]) == never


def test_a_draw_that_is_never_served_says_nothing_of_the_item_and_is_told(tmp_path):
    """The mean is over the draws that were served: the same as if only they had been asked for."""
    asked = seeds(TASK, ITEM, 8)
    gone = sum(seed % 2 for seed in asked)

    def levels(query):
        sure = query.draft.text[-1]
        return tuple(math.log(0.8 if level == sure else 0.1) for level in TASK.levels)

    (rating,) = judge(tmp_path, flaky(lambda request: 9 * (request.seed % 2), levels)).rate([ITEM])
    said = [str(seed % 3 + 1) for seed in asked if seed % 2 == 0]
    assert (rating.draws, rating.unparsed) == (8 - gone, 0)
    assert 0 < gone < 8
    assert rating.probabilities == pytest.approx(
        {level: sum(0.8 if one == level else 0.1 for one in said) / len(said) for level in TASK.levels}
    )
    assert f"{gone} of 8" in rating.problem


def test_an_engine_that_serves_nothing_stops_the_work(tmp_path):
    with pytest.raises(RunError, match="failed all drafts of 1 prompts, 3 times"):
        judge(tmp_path, flaky(lambda _: 9)).rate([ITEM])


# Loading -------------------------------------------------------------------------------------------------------


def test_a_judge_is_loaded_from_its_run_or_from_its_model_alone(tmp_path, table):
    run = directory(tmp_path)
    assert Judge.load(run, engine=table).directory == run / "model"
    assert Judge.load(str(run / "model"), engine=table).directory == run / "model"


def test_what_is_no_judge_says_what_it_is(tmp_path, table):
    (tmp_path / "ledger.sqlite").touch()
    for path, what in ((tmp_path, "not finished"), (tmp_path / "no", "no such directory")):
        with pytest.raises(RunError, match=what):
            Judge.load(path, engine=table)
    (tmp_path / "ledger.sqlite").unlink()
    with pytest.raises(RunError, match=r"no run and no judge \(there is no rationem.json\)"):
        Judge.load(tmp_path, engine=table)


def test_a_card_that_contradicts_itself_is_refused(tmp_path, table):
    with pytest.raises(RunError, match="2 marginals for 3 levels"):
        judge(tmp_path, table, marginal=(0.5, 0.5))
    with pytest.raises(RunError, match="0 marginals for 3 levels of 'facts'"):
        judge(tmp_path / "more", table, CRITERIA, marginals={"tone": (0.5, 0.3, 0.2)})


@pytest.mark.parametrize(("wrong", "what"), [({"draws": 0}, "0 draws"), ({"fast": True, "draws": 2}, "greedy")])
def test_settings_that_cannot_be_are_refused(tmp_path, table, wrong, what):
    with pytest.raises(ConfigError, match=what):
        judge(tmp_path, table).rate([ITEM], **wrong)


def test_a_batch_or_a_thread_too_few_is_refused(tmp_path):
    for wrong in ({"batch_size": 0}, {"threads": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            Judge.load(directory(tmp_path / str(wrong)), **wrong)


TEXTS = st.text(st.characters(), max_size=60) | st.sampled_from(
    ["{{ scale }}", "{% for x in y %}", "<|im_end|>", "z\nFinal rating: 3", "</s>", "\x00", "=1+1", "\ud800", "'; --"]
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(prompt=TEXTS, response=TEXTS, words=TEXTS, level=st.sampled_from([*TASK.levels, "4", "", "1 or 2"]))
def test_hostile_texts_and_words_give_a_rating_or_a_reason(tmp_path_factory, prompt, response, words, level):
    engine = ScriptedEngine(lambda _: f"{words}\nFinal rating: {level}")
    (rating,) = judge(tmp_path_factory.mktemp("run"), engine).rate([{"prompt": prompt, "response": response}])
    if rating.status is Status.RATED:
        assert rating.rating in TASK.levels
        assert math.isclose(sum(rating.probabilities.values()), 1)
    else:
        assert rating.rating is None
        assert rating.unparsed or rating.problem


# Sets of levels ------------------------------------------------------------------------------------------------


def test_a_set_holds_the_levels_that_are_probable_enough_and_reaches_the_file(tmp_path, table):
    run = directory(tmp_path, temperature=1.0, groups=19, thresholds=[0.5] * 180 + [1.0] * 10)
    judge = Judge.load(run, engine=table)
    plain, wide, narrow = (judge.rate([ITEM], coverage=c)[0] for c in (None, 0.95, 0.9))
    assert plain.levels is None
    assert wide.levels == tuple(plain.probabilities)
    probable = {level for level, p in plain.probabilities.items() if p >= 0.5} | {plain.rating}
    assert set(narrow.levels) == probable
    items, output = tmp_path / "items.jsonl", tmp_path / "rated.jsonl"
    items.write_text(json.dumps(ITEM) + "\n")
    rate_file(judge, items, output, coverage=0.9)
    assert json.loads(output.read_text())["set"] == list(narrow.levels)


@pytest.mark.parametrize(
    ("coverage", "groups", "more", "told"),
    [
        (0.95, 12, {}, r"at least 19 groups .* had 12\. Ask for at most 0\.92"),
        (0.5, 9, {}, r"at least 10 groups .* had 9\. To get sets"),
        (1.0, 50, {}, "between 0 and 1"),
        (0.9, 50, {"fast": True}, "calibrated probabilities"),
        (0.9, 50, {"draws": 3}, "calibrated probabilities"),
    ],
)
def test_sets_that_cannot_be_are_refused_with_what_it_takes(tmp_path, table, coverage, groups, more, told):
    run = directory(tmp_path, temperature=1.0, groups=groups, thresholds=[0.5] * (200 * groups // (groups + 1)))
    with pytest.raises(ConfigError, match=told):
        Judge.load(run, engine=table).rate([ITEM], coverage=coverage, **more)
    with pytest.raises(ConfigError, match="card has no thresholds"):
        Judge.load(directory(tmp_path / "old", temperature=1.0), engine=table).rate([ITEM], coverage=0.9)
