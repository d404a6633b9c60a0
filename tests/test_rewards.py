"""Rewards of ordinal answers: by hand, bounded, and never for a text that names no level."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rationem import JudgeTask, Outcome, Scale
from rationem.errors import ConfigError
from rationem.sampling.trials import grade
from rationem.tasks.rewards import parse_reward
from rationem.tasks.scale import MARKER
from rationem.types import Draft, Example, Finish

FIVE, HALVES = Scale.parse("1-5"), Scale.parse("1-5 by 0.5")


@pytest.mark.parametrize(
    ("rule", "scale", "predicted", "answer", "reward"),
    [
        ("exact", FIVE, "4", "4", 1),
        ("exact", FIVE, "4", "5", 0),
        ("within:1", FIVE, "4", "5", 1),
        ("within:1", FIVE, "3", "5", 0),
        ("within:1", HALVES, "4", "5", 1),  # in the scale's own units, not in steps
        ("within:0.5", HALVES, "4", "4.5", 1),
        ("within:0.5", HALVES, "4", "5", 0),
        ("within:0.1", Scale.parse("0-1 by 0.1"), "0.2", "0.3", 1),  # 0.3 - 0.2 is not 0.1 in floats
        ("ordinal", FIVE, "1", "5", 0),
        ("ordinal", FIVE, "2", "5", 0.25),
        ("ordinal", Scale.parse("-3..3"), "-3", "0", 0.5),
        ("ordinal", Scale.parse("Bad < Fair < Good"), "Bad", "Fair", 0.5),
    ],
)
def test_rewards_by_hand(rule, scale, predicted, answer, reward):
    assert parse_reward(rule, scale)(predicted, answer, scale) == reward
    assert JudgeTask(scale, rule=rule).reward(predicted, answer) == reward


@pytest.mark.parametrize("rule", ["exact", "within:1", "ordinal"])
@given(data=st.data())
def test_a_reward_is_bounded_symmetric_and_one_for_the_answer_itself(rule, data):
    one, other = data.draw(st.sampled_from(FIVE.levels)), data.draw(st.sampled_from(FIVE.levels))
    reward = parse_reward(rule, FIVE)
    assert 0 <= reward(one, other, FIVE) == reward(other, one, FIVE) <= 1
    assert reward(one, one, FIVE) == 1


@pytest.mark.parametrize(("text", "said"), [("exakt", "Did you mean 'exact'"), ("within", "within:1"), ("", "Unknown")])
def test_an_unknown_rule_is_refused(text, said):
    with pytest.raises(ConfigError, match=said):
        parse_reward(text, FIVE)


@pytest.mark.parametrize("rule", ["ordinal", "within:1"])
def test_levels_without_an_order_have_no_distance(rule):
    with pytest.raises(ConfigError, match="has no order"):
        JudgeTask(Scale.parse("A | B"), rule=rule)


@pytest.mark.parametrize("rule", ["exact", "within:4", "ordinal"])
@given(text=st.text(), marked=st.booleans())
def test_no_text_without_a_level_earns_a_reward(rule, text, marked):
    task = JudgeTask(FIVE, rule=rule)
    draft = Draft(f"{MARKER}{text}" if marked else text, (), Finish.STOP, 0)
    parsed, outcome, reward = grade(draft, Example("x", {}, "3", "g"), task, 0.1)
    assert (parsed.answer is None) == (outcome is Outcome.UNPARSEABLE)
    if parsed.answer is None:
        assert reward == 0


def test_a_threshold_accepts_what_reaches_it():
    task = JudgeTask(FIVE, rule="ordinal")
    drafts = [Draft(task.format("", level), (), Finish.STOP, 0) for level in FIVE.levels]
    outcomes = [grade(draft, Example("x", {}, "5", "g"), task, 0.75)[1:] for draft in drafts]
    assert [outcome for outcome, _ in outcomes] == [Outcome.WRONG] * 3 + [Outcome.ACCEPTED] * 2
    assert [reward for _, reward in outcomes] == [0, 0.25, 0.5, 0.75, 1]
