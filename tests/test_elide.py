"""Shortening is marked, counted, as little as possible, and only where it is enough."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rationem import Example, JudgeTask, Scale
from rationem.data.truncate import truncate

TASK = JudgeTask(Scale.parse("1-5"))
MARK = re.compile(r"\n\[\.\.\. (\d+) characters left out \.\.\.\]\n")


def example(response, prompt="a question"):
    return Example("a", {"prompt": prompt, "response": response}, "4", "g", ("4", "5"), "f.csv:2")


def characters(x):
    return len(TASK.prompt(x.fields).text)


def words(x):
    return len(TASK.prompt(x.fields).text.split())


def parts(x):
    head, count, tail = MARK.split(x.fields["response"])
    return head, int(count), tail


@pytest.mark.parametrize("spare", [0, 1, 1000])
def test_what_fits_is_the_same_object(spare):
    x = example("word " * 50)
    assert truncate(x, "response", characters, characters(x) + spare) is x


def test_by_hand():
    x = example("abcdefghij" * 10)
    mark = "\n[... 85 characters left out ...]\n"
    short = truncate(x, "response", characters, characters(example(mark)) + 15)
    assert short.fields["response"] == "abcdefgh" + mark + "defghij"  # 15 of 100 stay: 8 before, 7 behind
    assert short.elided == 85


@given(
    response=st.text(min_size=40, max_size=400), spare=st.integers(34, 200), length=st.sampled_from([characters, words])
)
@settings(max_examples=150, deadline=None)
def test_head_and_tail_stay_and_the_count_is_true(response, spare, length):
    x = example(response.replace("[", "("))
    limit = length(example("")) + (spare if length is characters else spare // 8)
    short = truncate(x, "response", length, limit)
    if short is x:
        return
    head, count, tail = parts(short)
    original = x.fields["response"]
    assert original.startswith(head)
    assert original.endswith(tail)
    assert 0 <= len(head) - len(tail) <= 1
    assert len(head) + count + len(tail) == len(original)
    assert short.elided == count > 0
    assert length(short) <= limit < length(x)


@given(size=st.integers(60, 3000), spare=st.integers(40, 1200))
@settings(max_examples=150, deadline=None)
def test_not_one_character_more_than_needed_is_left_out(size, spare):
    x = example("x" * size)
    limit = characters(example("")) + spare
    short = truncate(x, "response", characters, limit)
    if short is x:
        assert characters(x) <= limit
        return
    head, count, tail = parts(short)
    one_less = f"{head}x\n[... {count - 1} characters left out ...]\n{tail}"
    assert characters(short) <= limit
    assert count == 1 or characters(example(one_less)) > limit


def test_nothing_but_the_named_field_and_the_count_changes():
    x = example("word " * 200, prompt="a long question " * 20)
    short = truncate(x, "response", characters, characters(x) - 300)
    assert short.fields["prompt"] == x.fields["prompt"]
    assert list(short.fields) == list(x.fields)
    assert (short.id, short.answer, short.group, short.ratings, short.source) == (
        x.id,
        x.answer,
        x.group,
        x.ratings,
        x.source,
    )
    assert x.elided == 0
    assert x.fields["response"] == "word " * 200


@pytest.mark.parametrize("response", ["", "y", "short", "word " * 100])
def test_what_no_shortening_makes_fit_stays_whole(response):
    x = example(response, prompt="a very long question " * 50)
    assert truncate(x, "response", characters, characters(example("", x.fields["prompt"]))) is x
    assert truncate(x, "response", characters, 10) is x


def test_a_response_can_go_altogether_where_only_the_mark_fits():
    x = example("z" * 500)
    mark = "\n[... 500 characters left out ...]\n"
    short = truncate(x, "response", characters, characters(example(mark)))
    assert short.fields["response"] == mark
    assert short.elided == 500


def test_the_prompt_still_ends_with_the_instruction():
    x = example("word " * 500)
    short = truncate(x, "response", characters, 400)
    assert TASK.prompt(short.fields).text.endswith("LEVEL")
    assert TASK.prompt(short.fields).text.startswith("Prompt: a question")
