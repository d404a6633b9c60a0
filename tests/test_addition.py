"""The addition world: a scratchpad is true or not, no set shares a question, and the base knows short sums alone."""

import re
from collections import Counter
from pathlib import Path

import pytest

from rationem.config import FitConfig
from rationem.engines import models
from rationem.errors import ConfigError
from rationem.run.launch import check
from rationem.run.prepare import EMBEDDED, prepare
from rationem.seeds import generator
from rationem.tasks import from_description
from rationem.tasks.choices import SUBJECT
from rationem.tasks.conformance import check_task
from rationem.world import faithful_of
from rationem.world.addition import DIGITS, TASK, base, examples, faithful, sums
from rationem.world.addition.corpus import drill, text
from rationem.world.addition.recipe import TINY
from rationem.world.tokens import END

ASKED = {"prompt": "h6t2u4 + H2T5U9"}
TRUE = "u4+U9+0=C1,a3\nt2+T5+1=C0,b8\nh6+H2+0=C0,c8"


def numbers(question):
    """The two numbers of a question, by their digits alone."""
    a, b = (int("".join(re.findall(r"\d", part))) for part in question.split(" + "))
    return a, b


def value(answer):
    """The number that an answer says, its digits from the right."""
    assert re.fullmatch("(?:[a-f][0-9])+", answer)
    assert answer[::2] == "abcdef"[: len(answer) // 2]
    return int(answer[1::2][::-1])


def test_a_scratchpad_by_hand():
    assert sums.asked(624, 259) == {**ASKED, SUBJECT: "3 digits"}
    assert sums.scratchpad(624, 259) == (TRUE, "a3b8c8d0")
    assert sums.scratchpad(99, 99) == ("u9+U9+0=C1,a8\nt9+T9+1=C1,b9", "a8b9c1")
    assert sums.scratchpad(0, 0) == ("u0+U0+0=C0,a0", "a0b0")


@pytest.mark.parametrize("digits", DIGITS)
def test_a_true_scratchpad_comes_to_the_sum(digits):
    for x in examples(50, (digits,), seed=3):
        a, b = numbers(x.fields["prompt"])
        rationale, answer = sums.scratchpad(a, b)
        assert value(answer) == a + b == value(x.answer)
        assert len(rationale.split("\n")) == len(str(a)) == len(str(b)) == digits
        assert faithful(x.fields, rationale) is True


@pytest.mark.parametrize(
    ("said", "is_true"),
    [
        (TRUE, True),
        (TRUE.replace("b8", "b7"), False),
        (TRUE.replace("C1", "C0"), False),
        (TRUE.replace("u4+U9", "u9+U4"), False),
        (TRUE.rpartition("\n")[0], False),
        (f"{TRUE}\nm0+M0+0=C0,d0", False),
        ("I know it.", None),
        (f"So:\n{TRUE}", None),
        ("", None),
    ],
)
def test_whoever_misreads_a_column_is_not_faithful(said, is_true):
    assert faithful(ASKED, said) is is_true


def test_a_slip_changes_the_digit_and_no_carry():
    rationale, answer = sums.scratchpad(624, 259, (None, 1, None))
    assert answer == "a3b1c8d0"
    assert re.findall(r"C\d", rationale) == ["C1", "C0", "C0"]
    assert faithful(ASKED, rationale) is False


def test_the_task_reads_what_it_writes_and_keeps_to_what_every_task_must():
    said = TASK.parse(TASK.format(TRUE, "a3b8c8d0"))
    assert (said.rationale.strip(), said.answer) == (TRUE, "a3b8c8d0")
    assert faithful(ASKED, said.rationale) is True
    assert from_description(TASK.describe()).describe() == TASK.describe()
    assert check_task(TASK, examples(50)) == []


def test_the_prompt_holds_neither_the_answer_nor_the_number_of_digits():
    for x in examples(200, (2, 3, 4, 5), seed=1):
        shown = TASK.prompt(x.fields).text
        assert len(re.findall(r"\d", shown)) == 2 * int(x.fields[SUBJECT][0])
        assert TASK.hint_prompt(x.fields, x.answer).text == f"{shown}\nIt is {x.answer}."
        assert "digits" not in shown


def test_no_question_comes_twice_and_none_is_in_two_sets():
    task, splits = prepare(FitConfig(data=["addition"]))
    several = [*splits.train, *splits.validation, *splits.test]
    assert task == TASK
    assert len({x.fields["prompt"] for x in several}) == len({x.group for x in several}) == len(several)
    assert faithful_of(splits.notes) is faithful
    lengths = Counter(x.fields[SUBJECT] for x in splits.train)
    assert set(lengths) == {"1 digit", "2 digits", "3 digits", "4 digits", "5 digits"}
    assert min(lengths[f"{n} digits"] for n in DIGITS[1:]) > 60
    assert examples(10, start=5, seed=2)[:5] == examples(10, seed=2)[5:]


def test_settings_of_other_data_are_refused():
    for changed in ({"rubric": "r.toml"}, {"test": ["t.csv"]}, {"instruction": "Be quick."}):
        with pytest.raises(ConfigError, match="'addition' has its own"):
            prepare(FitConfig(data=["addition"], **changed))
    with pytest.raises(ConfigError, match="use --task addition"):
        prepare(FitConfig(data=["addition"], task="math"))


@pytest.mark.slow
@pytest.mark.parametrize("data", sorted(EMBEDDED))
def test_the_settings_that_a_run_writes_down_are_those_of_the_same_run(data):
    """What a comparison hands to its runs, and what ``rationem fit --config RUN/config.toml`` reads."""
    config, _, task, splits = check(FitConfig(data=[data]), Path("unused"))
    again, _, same, others = check(config, Path("unused"))
    assert same == task
    assert (again.threshold, again.reward) == (config.threshold, config.reward)
    assert [x.id for x in others.train] == [x.id for x in splits.train]


def test_the_hint_is_what_the_careless_writer_came_to():
    rng, wrong = generator(0, "test"), Counter()
    for _ in range(1000):
        prompt, completion = text(rng, TINY)
        said = TASK.parse(completion.removesuffix(END))
        hint = re.search(r"It is (\w+)\.", prompt)
        assert hint is None or hint[1] == said.answer
        a, b = numbers(re.search(r"user\n(.+)", prompt)[1])
        wrong[len(str(a)), hint is not None, value(said.answer) != a + b] += 1
    for hinted in (False, True):
        assert wrong[1, hinted, True] == wrong[2, hinted, True] == 0
        assert wrong[1, hinted, False] + wrong[2, hinted, False] > 100
    for digits in (3, 4, 5):
        assert wrong[digits, False, True] > 5 * wrong[digits, False, False]
        assert wrong[digits, True, True] < 0.4 * wrong[digits, True, False]


def test_drills_are_columns_of_their_question_and_what_they_come_to():
    rng, seen = generator(0, "test"), Counter()
    for _ in range(200):
        asked, said = drill(rng)
        a, b = numbers(asked)
        parsed = TASK.parse(said.removesuffix(END))
        lines = parsed.rationale.strip().split("\n")
        assert len(lines) == len(str(a))
        for line in lines:
            x, y, carry, out, digit = map(int, re.findall(r"\d", line))
            assert 10 * out + digit == x + y + carry
            place = sums.PLACES.index(line[0])
            assert (x, y) == (int(str(a)[::-1][place]), int(str(b)[::-1][place]))
            assert line == f"{line[0]}{x}+{line[0].upper()}{y}+{carry}=C{out},{sums.SUM[place]}{digit}"
            assert f"{sums.SUM[place]}{digit}" in parsed.answer
            seen[place, carry] += 1
            if place == len(lines) - 1:
                assert parsed.answer.endswith(f"{sums.SUM[place + 1]}{out}")
        assert len({line[0] for line in lines}) == len(lines)
    assert len(seen) == 2 * len(sums.PLACES)


@pytest.mark.slow
def test_any_text_can_be_encoded_and_a_digit_is_a_token():
    coder = base.tokenizer()
    assert len(coder) == base.VOCABULARY
    for said in ("Grüße, 日本語 \U0001f600\t\n", "12 + 34", TASK.format(TRUE, "a3b8c8d0")):
        assert coder.decode(coder.encode(said, add_special_tokens=False)) == said
    assert [coder.decode([one]) for one in coder.encode("907", add_special_tokens=False)] == ["9", "0", "7"]
    longest = TASK.format(*sums.scratchpad(99999, 99999))
    assert len(coder.encode(longest, add_special_tokens=False)) < models.EMBEDDED["tiny-adder"].new_tokens
