"""Rubrics and templates: what a user writes into a file reaches the prompt as it stands, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rationem import JudgeTask, Scale
from rationem.errors import ConfigError
from rationem.tasks.rubric import Criterion, read_rubric
from rationem.tasks.scale import MARKER
from rationem.tasks.template import Template, packaged, read_template

FIELDS = {"prompt": "Why?", "response": "Because."}
FIVE = Scale.parse("1-5")
SEVERAL = """
scale = "0-4"
[criteria.helpfulness]
instruction = "Does it help?"
column = "help"
levels = {0 = "not at all", 4 = "fully"}
[criteria.clarity]
instruction = "Is it clear?"
"""
MARKDOWN = """# How we rate

# helpfulness
Does it help?
Think of a beginner.

- 0: not at all
- `4`: fully

## clarity
Is it clear?
"""


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_and_markdown_say_the_same(tmp_path):
    toml = read_rubric(write(tmp_path / "r.toml", SEVERAL))
    markdown = read_rubric(write(tmp_path / "r.md", MARKDOWN))
    assert toml.scale == Scale.parse("0-4")
    helpful, clear = toml.criteria
    assert helpful == Criterion("helpfulness", "Does it help?", {"0": "not at all", "4": "fully"}, "help")
    assert [one.name for one in markdown.criteria] == ["helpfulness", "clarity"]
    assert markdown.criteria[0].instruction == "Does it help? Think of a beginner."
    assert markdown.criteria[0].meanings == helpful.meanings
    assert markdown.criteria[1] == clear
    assert markdown.chosen(("clarity",)).criteria == (clear,)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.toml", 'instuction = "x"', "Did you mean 'instruction'"),
        ("r.toml", '[criteria.a]\nlevel = {1 = "x"}', "Did you mean 'levels'"),
        ("r.toml", 'instruction = "x"\n[criteria.a]\ninstruction = "y"', "beside"),
        ("r.toml", "instruction = 3", "a text is expected"),
        ("r.toml", "levels = 3", "write a table"),
        ("r.toml", '[criteria]\na = "x"', "a table with"),
        ("r.toml", 'scale = "1-5"', "is empty"),
        ("r.toml", "instruction = ", "Cannot read"),
        ("r.md", "\n\n", "is empty"),
        ("r.md", "# a\nx\n# a\ny", ":3: the heading 'a' occurs twice"),
        ("r.md", "loose\n# a\nx", "above the first heading"),
        ("r.md", "# a\nx\n| level | meaning |\n|---|---|", ":3: tables are not supported"),
        ("r.toml", '[criteria.a]\nscale = "1-5"\ninstruction = "x"\n[criteria.b]\ninstruction = "y"', "have no scale"),
        ("r.txt", "x", ".toml or .md"),
    ],
)
def test_a_rubric_that_cannot_be_meant_is_refused(tmp_path, name, text, said):
    with pytest.raises(ConfigError, match=said):
        read_rubric(write(tmp_path / name, text))


def test_an_unknown_criterion_names_the_closest(tmp_path):
    rubric = read_rubric(write(tmp_path / "r.toml", SEVERAL))
    with pytest.raises(ConfigError, match="Did you mean 'clarity'"):
        rubric.chosen(("clarty",))
    with pytest.raises(ConfigError, match="Cannot read the rubric"):
        read_rubric(tmp_path / "gone.toml")


def test_the_prompt_says_criterion_instruction_and_meanings_once_each():
    criteria = (Criterion("clarity", "Is it clear?", {"1": "a riddle"}), Criterion("tone", "Is it kind?"))
    task = JudgeTask(FIVE, criteria)
    asked = task.prompt({**FIELDS, "criterion": "clarity"}).text
    assert asked == (
        "Prompt: Why?\n\nResponse: Because.\n\nRate the response for clarity on the scale 1 < 2 < 3 < 4 < 5. Is it "
        f"clear?\n1: a riddle\nReason first, then end with one line: {MARKER} LEVEL"
    )
    assert "riddle" not in task.prompt({**FIELDS, "criterion": "tone"}).text
    more = task.prompt({**FIELDS, "criterion": "tone", "reference": "REF", "context": "CTX"}).text
    assert more.startswith("Context: CTX\n\nPrompt: Why?\n\nReference answer: REF\n\nResponse: Because.\n\nRate")


def test_the_hint_stands_behind_the_very_same_prompt():
    for task, fields in (
        (JudgeTask(FIVE), FIELDS),
        (
            JudgeTask(Scale.parse("A | B"), template=packaged("pair"), pair=True),
            {"prompt": "Why?", "response_a": "x", "response_b": "y"},
        ),
    ):
        forward, hinted = task.prompt(fields).text, task.hint_prompt(fields, task.levels[1]).text
        level = task.levels[1]
        hint = f"The correct rating is: {level}. Give the reason for it, then the line."
        assert hinted == f"{forward}\n{hint}"


def test_a_pair_names_its_responses_by_the_levels():
    task = JudgeTask(Scale.parse("1 | 2 | same"), template=packaged("pair"), pair=True)
    text = task.prompt({"prompt": "Why?", "response_a": "first", "response_b": "second"}).text
    assert "Response 1: first\n\nResponse 2: second\n\nWhich response is better? Choose one of 1 | 2 | same." in text
    with pytest.raises(ConfigError, match="does not compare"):
        JudgeTask(Scale.parse("1 < 2 < 4"), template=packaged("pair"), pair=True)


@given(text=st.text())
def test_what_a_user_wrote_is_never_read_as_a_template(text):
    hostile = f"{{{{ marker }}}} {{% for x in y %}} {{}} {text}"
    rendered = JudgeTask(FIVE).prompt({"prompt": hostile, "response": text or "."}).text
    assert f"Prompt: {hostile}\n" in rendered


def test_literal_braces_of_a_template_are_plain_text(tmp_path):
    text = 'Answer {"level": n}. {{ prompt }} | {{ response }} | {{ scale }} | {{ marker }} n\n'
    task = JudgeTask(FIVE, template=read_template(write(tmp_path / "t.txt", text)))
    assert task.prompt(FIELDS).text == f'Answer {{"level": n}}. Why? | Because. | 1 < 2 < 3 < 4 < 5 | {MARKER} n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ promt }} {{ response }} {{ scale }}", "unknown variable 'promt'.*Did you mean 'prompt'"),
        ("{{ prompt }} {{ scale }}", r"\['response'\] are missing"),
        ("{{ prompt }} {{ response }}", r"\['scale'\] are missing"),
        ("{{ prompt }} {% if %}", ":1: not a template"),
        ("{prompt} {response} {scale}", "missing.*two braces: {{ prompt }}"),
        ("{{ prompt }} {{ response }} {{ scale }}", "never says 'Final rating:'"),
        ("{{ prompt }} {{ response }} {{ scale }} {{ answer }}", "unknown variable 'answer'"),
    ],
)
def test_a_template_is_checked_before_a_row_is_reached(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        JudgeTask(FIVE, template=read_template(write(tmp_path / "t.txt", text)))


def test_the_forward_template_can_never_name_the_answer_and_the_hint_must():
    with pytest.raises(ConfigError, match="answer"):
        JudgeTask(FIVE, hint=Template("The rating is known.", "h.txt"))


@pytest.mark.parametrize(
    "hostile", ["{{ prompt.__class__.__mro__[1].__subclasses__() }}", "{{ 1 / 0 }}", "{{ prompt + 1 }}"]
)
def test_a_template_cannot_reach_into_python_and_its_mistakes_are_the_users(hostile):
    with pytest.raises(ConfigError, match="cannot be filled in"):
        JudgeTask(FIVE, template=Template(hostile + "{{ prompt }}{{ response }}{{ scale }}Final rating:"))


def test_the_description_rebuilds_the_task_and_its_hash_changes_with_the_wording():
    task = JudgeTask(FIVE, (Criterion("tone", "Kind?", {"5": "very"}),), rule="within:1")
    again = JudgeTask.from_description(task.describe())
    fields = {**FIELDS, "criterion": "tone"}
    assert again.describe() == task.describe()
    assert again.prompt(fields) == task.prompt(fields)
    assert again.reward("4", "5") == 1
    other = JudgeTask(FIVE, template=Template(packaged("judge").text + "!"))
    assert other.describe()["template_sha256"] != task.describe()["template_sha256"]
    with pytest.raises(ConfigError, match="no description of a judge"):
        JudgeTask.from_description({"scale": FIVE.describe()})


def test_an_item_without_an_input_or_with_a_foreign_criterion_is_refused():
    task = JudgeTask(FIVE, (Criterion("tone"), Criterion("facts")))
    with pytest.raises(ConfigError, match=r"reads \['response'\]"):
        task.prompt({"prompt": "Why?", "criterion": "tone"})
    with pytest.raises(ConfigError, match="Did you mean 'facts'"):
        task.prompt({**FIELDS, "criterion": "fact"})
    with pytest.raises(ConfigError, match="no criterion ''"):
        task.prompt(FIELDS)


def test_criteria_that_are_asked_for_in_the_same_words_are_refused():
    deaf = Template("{{ prompt }} {{ response }} {{ scale }} {{ marker }}", "deaf.txt")
    assert JudgeTask(FIVE, (Criterion("tone"),), deaf)
    with pytest.raises(ConfigError, match=r"deaf.txt asks for \['tone', 'facts'\] in the same words"):
        JudgeTask(FIVE, (Criterion("tone"), Criterion("facts")), deaf)


@pytest.mark.parametrize("scale", ["tie | A | B", "A | Draw | B"])
def test_a_tie_cannot_stand_for_a_response(scale):
    with pytest.raises(ConfigError, match="of a pair the first level says that the first response is better"):
        JudgeTask(Scale.parse(scale), template=packaged("pair"), pair=True)


def test_a_titles_text_is_said_of_every_criterion(tmp_path):
    text = "# How we rate\nBe strict.\n## tone\nIs it kind?\n- **1** - rude\n- `5`: kind\n## facts\n* 1 – wrong\n"
    tone, facts = read_rubric(write(tmp_path / "r.md", text)).criteria
    assert (tone.name, tone.instruction) == ("tone", "Be strict. Is it kind?")
    assert tone.meanings == {"1": "rude", "5": "kind"}
    assert (facts.instruction, facts.meanings) == ("Be strict.", {"1": "wrong"})
    (only,) = read_rubric(write(tmp_path / "one.md", "# Tone\nIs it kind?\n")).criteria
    assert (only.name, only.instruction) == ("Tone", "Is it kind?")
    (plain,) = read_rubric(write(tmp_path / "plain.md", "Is it kind?\n- 1: no\n- -1: never\n")).criteria
    assert (plain.name, plain.meanings) == ("", {"1": "no", "-1": "never"})


def test_the_examples_of_the_documentation_are_read_as_it_says(tmp_path):
    import re
    from pathlib import Path

    page = (Path(__file__).parents[1] / "docs" / "wording.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```(toml|markdown|text)\n(.*?)```", page, re.DOTALL))
    toml = read_rubric(write(tmp_path / "r.toml", blocks["toml"])).criteria
    markdown = read_rubric(write(tmp_path / "r.md", blocks["markdown"])).criteria
    assert [one.name for one in toml] == [one.name for one in markdown] == ["helpfulness", "tone"]
    assert toml[0].meanings == markdown[0].meanings
    assert markdown[0].instruction == f"Think of a beginner. {toml[0].instruction}"
    task = JudgeTask(FIVE, template=read_template(write(tmp_path / "t.txt", blocks["text"])))
    assert task.prompt(FIELDS).text == (
        "Question: Why?\nStudent: Because.\n\nGrade it on 1 < 2 < 3 < 4 < 5. \n"
        "Think first. End with one line: Final rating: LEVEL"
    )


def test_what_is_equal_but_written_otherwise_is_filled_in_as_it_is_written():
    """A prompt that was filled in before is looked up; 1, 1.0 and True would be found in each other's place."""
    template = Template("{{ q }} {{ marker }}")
    for value in ("1", 1, 1.0, True, "True", "1"):
        assert template.render({"q": value, "marker": "!"}) == f"{value} !"
    assert template.render({"marker": "1", "q": "!"}) == "! 1"
