"""Shapes of files: names in any case, one text without a prompt, criteria in a column, filters, later ratings."""

import json

import pytest

from doctored import check, finding, rows, write
from rationem.cli.main import main
from rationem.data import Columns, Condition, Shapes, guess, load
from rationem.errors import ConfigError, DataError
from rationem.tasks.judge import JudgeTask, asking
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale

FIVE = Scale.parse("1-5")


def renamed(table, names):
    return [{names.get(name, name): cell for name, cell in row.items()} for row in table]


@pytest.mark.parametrize(
    "flags", [(), ("--rating-col", "rating"), ("--rating-col", " RATING", "--prompt-col", "PROMPT")]
)
def test_case_and_blanks_of_column_names_do_not_matter(tmp_path, capsys, flags):
    table = renamed(rows(60), {"prompt": "Prompt ", "response": "RESPONSE", "rating": "Rating"})
    _, found = check(capsys, write(tmp_path / "r.csv", table), "--scale", "1-5", *flags)
    assert found["data"]["items"] == 60
    assert found["data"]["columns"] == {"prompt": "Prompt", "response": "RESPONSE", "rating": "Rating"}


def test_naming_one_column_keeps_the_other_guesses(tmp_path, capsys):
    table = [
        {**row, "score": "7"}
        for row in renamed(rows(60), {"prompt": "question", "response": "answer", "rating": "label"})
    ]
    _, found = check(capsys, write(tmp_path / "r.csv", table), "--scale", "1-5", "--rating-col", "label")
    assert found["data"]["columns"] == {"prompt": "question", "response": "answer", "rating": "label"}
    assert found["data"]["notes"]["guessed"] == {"prompt": "question", "response": "answer"}


def test_two_columns_that_differ_in_case_are_never_confused():
    named = Columns("", "", "Score")
    assert guess(["prompt", "response", "score", "Score"], named=named)[0].rating == "Score"


def test_one_text_is_rated_without_a_prompt(tmp_path, capsys):
    table = [{"text": row["response"], "label": row["rating"]} for row in rows(60)]
    file = write(tmp_path / "r.csv", table)
    found = load([file], scale=FIVE)
    assert (found.columns.prompt, found.columns.response) == ("", "text")
    assert set(found.examples[0].fields) == {"response"}
    assert len({x.group for x in found.examples}) == 60
    for flags in (
        (),
        ("--response-col", "text"),
        ("--prompt-col", "none"),
    ):
        _, told = check(capsys, file, "--scale", "1-5", *flags)
        assert finding(told, "no_prompt")["severity"] == "note"
    assert main(["prompt", file, "--scale", "1-5", "--show", "1"]) == 0
    shown = capsys.readouterr().out
    assert "Text: The " in shown
    assert "Prompt:" not in shown


def test_a_task_without_a_prompt_is_read_back_from_its_description():
    task = asking("responses", FIVE, (Criterion(),), candidates=1, prompted=False)
    again = JudgeTask.from_description(task.describe())
    assert again.describe() == task.describe()
    assert again.inputs == ("response",)


def test_a_misspelt_prompt_is_an_error_and_no_text_alone(tmp_path):
    table = renamed(rows(20), {"prompt": "promt"})
    with pytest.raises(DataError, match="Did you mean 'promt'"):
        load([write(tmp_path / "r.csv", table)], scale=FIVE)


def test_one_column_as_both_inputs_is_warned_about(tmp_path, capsys):
    file = write(tmp_path / "r.csv", [{"text": row["response"], "label": row["rating"]} for row in rows(60)])
    flags = ("--prompt-col", "text", "--response-col", "text", "--rating-col", "label", "--scale", "1-5")
    _, found = check(capsys, file, *flags)
    assert "--prompt-col none" in finding(found, "same_column")["message"]


def long(count=40):
    """One row for each item, rater and criterion, the second rater's in two versions."""
    return [
        {"item": n, "prompt": row["prompt"], "response": row["response"], "what": what, "who": who, "score": score,
         "at": f"2024-05-{10 + version}T12:00", "status": "final" if version else "draft"}
        for n, row in enumerate(rows(count)) for what in ("help", "tone")
        for who, version, score in (("ann", 1, 1 + n % 5), ("bob", 0, 5), ("bob", 1, 1 + n % 4))
    ]  # fmt: skip


LONG = Columns(rating="score", id="item", rater="who", criterion="what")


def test_a_column_names_the_criterion_of_each_rating(tmp_path):
    table = [row for row in long() if row["status"] == "final"]
    found = load([write(tmp_path / "r.csv", table)], scale=FIVE, columns=LONG)
    assert [one.name for one in found.criteria] == ["help", "tone"]
    assert len(found.examples) == 80
    assert {len(x.ratings) for x in found.examples} == {2}
    only = load([tmp_path / "r.csv"], scale=FIVE, columns=LONG, criteria=("tone",))
    assert {x.criterion for x in only.examples} == {"tone"}
    assert only.notes["shape"] == ["Rows of criteria that are not asked for: 80."]
    with pytest.raises(ConfigError, match="Did you mean 'tone'"):
        load([tmp_path / "r.csv"], scale=FIVE, columns=LONG, criteria=("tune",))


def test_the_latest_rating_of_a_rater_counts(tmp_path):
    file = write(tmp_path / "r.csv", long())
    with pytest.raises(DataError, match="already rated"):
        load([file], scale=FIVE, columns=LONG)
    for order in (1, -1):
        file = write(tmp_path / "r.csv", long()[::order])
        found = load([file], scale=FIVE, columns=LONG, shapes=Shapes(latest_by="at"))
        assert found.notes["shape"] == ["Ratings replaced by a later one of the same rater (--latest-by): 80."]
        told = {x.item: sorted(x.ratings) for x in found.examples}
        assert told["3"] == ["4", "4"]
        assert told["4"] == ["1", "5"]


def test_numbers_are_later_by_their_value_and_other_texts_are_refused(tmp_path):
    table = [{**row, "who": "ann", "at": at, "rating": at % 5 + 1} for row in rows(5) for at in (9, 10)]
    columns = Columns(rater="who")
    found = load([write(tmp_path / "r.csv", table)], scale=FIVE, columns=columns, shapes=Shapes(latest_by="at"))
    assert {x.answer for x in found.examples} == {"1"}
    file = write(tmp_path / "r.csv", [{**row, "at": "last Monday"} for row in table])
    with pytest.raises(DataError, match="neither a number nor a date"):
        load([file], scale=FIVE, columns=columns, shapes=Shapes(latest_by="at"))


@pytest.mark.parametrize(
    ("text", "cell", "holds"),
    [
        ("status=final", "Final ", True),
        ("status!=draft", "draft", False),
        ("status!=draft", None, True),
        ("n>=3", "10", True),
        ("n<3", "10", False),
        ("n>3", "many", False),
        ("n=3", "3.0", True),
        ("n=3", 3.0, True),
        ("share=0.5", 0.5, True),
        ("share=.50", 0.5, True),
        ("section=1.1", "1.10", False),
        ("section!=1.1", "1.10", True),
        ("section=1.10", "1.10", True),
        ("id=7", "007", False),
        ("id=007", "007", True),
        ("gold=", "", True),
    ],
)
def test_a_condition_compares_numbers_as_numbers_and_texts_without_case(text, cell, holds):
    assert Condition.parse(text).holds(cell) is holds


@pytest.mark.parametrize("text", ["status", "=x", "n>many"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(ConfigError, match="--where"):
        Condition.parse(text)


def test_only_rows_that_meet_all_conditions_are_read_and_the_others_counted(tmp_path):
    file = write(tmp_path / "r.csv", long())
    where = (Condition.parse("status=final"), Condition.parse("who!=ann"))
    found = load([file], scale=FIVE, columns=LONG, shapes=Shapes(where))
    assert {x.ratings for x in found.examples} == {()}
    assert found.notes["shape"] == ["Rows left out by --where: 160."]
    with pytest.raises(DataError, match=r"No row meets --where status=final!.*holds 'final' \(160\), 'draft' \(80\)"):
        load([file], scale=FIVE, columns=LONG, shapes=Shapes((Condition.parse("status=final!"),)))
    with pytest.raises(DataError, match="Did you mean 'status'"):
        load([file], scale=FIVE, columns=LONG, shapes=Shapes((Condition.parse("statu=final"),)))


def test_equal_inputs_are_one_item_on_request(tmp_path, capsys):
    table = [{**row, "rating": 1 + (n + k) % 5} for n, row in enumerate(rows(40)) for k in range(3)]
    file = write(tmp_path / "r.csv", table)
    found = load([file], scale=FIVE, shapes=Shapes(merge_equal=True))
    assert len(found.examples) == 40
    assert {len(x.ratings) for x in found.examples} == {3}
    _, told = check(capsys, file, "--scale", "1-5")
    assert "--merge-equal" in finding(told, "contradictions")["message"]


def test_a_second_file_is_joined_by_a_key(tmp_path):
    texts = [{"key": n, "prompt": row["prompt"], "response": row["response"]} for n, row in enumerate(rows(20))]
    scores = [{"id": f"{n}.0", "who": who, "rating": 1 + n % 5} for n in range(1, 22) for who in ("ann", "bob")]
    files = write(tmp_path / "a.csv", texts), write(tmp_path / "b.csv", scores)
    shapes = Shapes(join=(files[1],), on="key=id")
    found = load([files[0]], scale=FIVE, columns=Columns(rater="who"), shapes=shapes)
    assert len(found.examples) == 19
    assert {len(x.ratings) for x in found.examples} == {2}
    assert found.notes["shape"] == [
        "Rows of DATA without a partner in the joined file, left out: 1.",
        "Keys of the joined file that DATA does not have: 2.",
    ]
    with pytest.raises(DataError, match="Did you mean 'key'"):
        load([files[0]], scale=FIVE, shapes=Shapes(join=(files[1],), on="kez=id"))
    with pytest.raises(DataError, match="no 'prompt' of DATA occurs as 'id' there"):
        load([files[0]], scale=FIVE, shapes=Shapes(join=(files[1],), on="prompt=id"))
    with pytest.raises(ConfigError, match="belong together"):
        Shapes(join=(files[1],))


def test_keys_are_texts_so_that_sections_and_padded_ids_differ(tmp_path):
    """1.10 is no 1.1, and 007 is no 7; 7.0 is 7, as tables write ids that were numbers."""
    table = [
        {"sec": sec, "who": who, "rating": k}
        for sec in ("1.1", "1.10", "007", "7.0", "8")
        for k, who in ((1, "a"), (2, "b"))
    ]
    files = write(tmp_path / "r.csv", table), tmp_path / "t.csv"
    columns = Columns(rater="who")
    texts = [("1.1", "x"), ("007", "y"), ("7", "z"), ("8.0", "w")]
    files[1].write_text("sec,prompt,response\n" + "".join(f"{key},about {text},{text}\n" for key, text in texts))
    found = load([files[0]], scale=FIVE, columns=columns, shapes=Shapes(join=(str(files[1]),), on="sec"))
    assert [(x.fields["response"], len(x.ratings)) for x in found.examples] == [("x", 2), ("y", 2), ("z", 2), ("w", 2)]
    assert found.notes["shape"] == ["Rows of DATA without a partner in the joined file, left out: 2."]
    files[1].write_text(files[1].read_text() + "8,about v,v\n")  # now 8 and 8.0 are two keys
    found = load([files[0]], scale=FIVE, columns=columns, shapes=Shapes(join=(str(files[1]),), on="sec"))
    assert [x.fields["response"] for x in found.examples] == ["x", "y", "v"]


def test_a_key_that_both_files_have_several_times_is_refused_unless_the_rows_are_equal(tmp_path):
    scores = write(tmp_path / "r.csv", [{"item": n, "who": who, "rating": 1 + n} for n in range(3) for who in "ab"])
    texts = tmp_path / "t.csv"
    texts.write_text("Item ,prompt,response\n0,q,a0\n1,q,a1\n2,q,a2\n1,q,a1\n")
    shapes, columns = Shapes(join=(str(texts),), on="item"), Columns(rater="who")
    found = load([scores], scale=FIVE, columns=columns, shapes=shapes)
    assert [len(x.ratings) for x in found.examples] == [2, 2, 2]
    texts.write_text("item,prompt,response\n0,q,a0\n1,q,a1\n2,q,a2\n1,q,other\n")
    with pytest.raises(
        DataError, match=r"the key '1' is in 2 rows of DATA .* in 2 of the file \(.*t.csv:3, .*t.csv:5\)"
    ):
        load([scores], scale=FIVE, columns=columns, shapes=shapes)


def test_rows_without_a_key_are_joined_to_nothing(tmp_path):
    texts = [{"key": n if n else None, "prompt": f"q{n}", "response": f"a{n}"} for n in range(4)]
    scores = [{"key": n if n else None, "rating": 1 + n} for n in range(4)]
    files = write(tmp_path / "a.csv", texts), write(tmp_path / "b.csv", scores)
    found = load([files[0]], scale=FIVE, shapes=Shapes(join=(files[1],), on="key"))
    assert [x.answer for x in found.examples] == ["2", "3", "4"]
    assert found.notes["shape"] == ["Rows of DATA without a partner in the joined file, left out: 1."]


def test_a_key_that_some_objects_lack_is_null_to_conditions_and_joins(tmp_path):
    texts = [{"prompt": f"q{n}", "response": f"a{n}", "rating": 1 + n} | ({"n": n} if n else {}) for n in range(4)]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in texts), encoding="utf-8")
    found = load([file], scale=FIVE, shapes=Shapes((Condition.parse("n!=2"),)))
    assert [x.answer for x in found.examples] == ["1", "2", "4"]
    more = write(tmp_path / "b.csv", [{"n": n, "extra": "x"} for n in range(4)])
    joined = load([file], scale=FIVE, shapes=Shapes(join=(more,), on="n"))
    assert [x.answer for x in joined.examples] == ["2", "3", "4"]


CALLS = [
    {"role": "user", "content": [{"type": "text", "text": "How warm is it?"}, {"type": "image_url", "image_url": "x"}]},
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "warm", "arguments": "{}"}}]},
    {"role": "tool", "content": "21", "tool_call_id": "1"},
]
SAID = "User: How warm is it?\n[image_url]\n\nAssistant: [calls warm({})]\n\nTool: 21"


def test_a_conversation_is_rendered_the_same_from_every_kind_of_file(tmp_path):
    plain = [{"response": "ok", "rating": 3, "prompt": CALLS}]
    lines = tmp_path / "r.jsonl"
    lines.write_text("\n".join(map(json.dumps, plain)))
    table = write(tmp_path / "r.csv", [{**plain[0], "prompt": json.dumps(CALLS)}])
    for file in (lines, table):
        (found,) = load([file], scale=FIVE).examples
        assert found.fields["prompt"] == SAID
    share = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]
    (found,) = load([write(tmp_path / "s.csv", [{**plain[0], "prompt": repr(share)}])], scale=FIVE).examples
    assert found.fields["prompt"] == "User: Hi\n\nAssistant: Hello."


def marked(names, count=30):
    base = [{"prompt": r["prompt"], "left": r["response"], "right": f"Not {r['response']}"} for r in rows(count)]
    return [{**row, **{name: int(n % len(names) == at) for at, name in enumerate(names)}} for n, row in enumerate(base)]


def test_winners_in_a_column_each_are_verdicts_by_name_or_place(tmp_path):
    for names in (["left_wins", "right_wins", "tie"], ["w1", "w2", "w3"]):
        file = write(tmp_path / "r.csv", marked(names))
        columns = Columns(response="left,right", rating=",".join(names))
        found = load([file], scale=Scale.parse("A | B | tie"), columns=columns)
        assert [x.answer for x in found.examples[:4]] == ["A", "B", "tie", "A"]
        assert found.notes["values"] == [f"The columns {', '.join(names)} mark one level each: A, B, tie."]
    turned = Columns(response="left,right", rating="right_wins,left_wins,tie")
    file = write(tmp_path / "r.csv", marked(["right_wins", "left_wins", "tie"]))
    assert load([file], scale=Scale.parse("A | B | tie"), columns=turned).examples[0].answer == "B"


def test_no_mark_of_two_columns_is_a_tie_and_levels_can_have_columns_too(tmp_path):
    table = [{**row, "w1": row["a"], "w2": row["b"]} for row in marked(["a", "b", "c"])]
    columns = Columns(response="left,right", rating="w1,w2")
    found = load([write(tmp_path / "r.csv", table)], scale=Scale.parse("A | B | tie"), columns=columns)
    assert [x.answer for x in found.examples[:3]] == ["A", "B", "tie"]
    columns = Columns(response="left", rating="bad,fair,good")
    table = marked(["bad", "fair", "good"])
    found = load([write(tmp_path / "s.csv", table)], scale=Scale.parse("bad < fair < good"), columns=columns)
    assert [x.answer for x in found.examples[:3]] == ["bad", "fair", "good"]


def test_several_raters_of_zeros_and_ones_are_no_marks(tmp_path):
    table = [{**row, "r1": n % 2, "r2": n % 2, "r3": n % 3 % 2} for n, row in enumerate(marked(["x"]))]
    columns = Columns(response="left", rating="r1,r2,r3")
    found = load([write(tmp_path / "r.csv", table)], scale=Scale.parse("0-1"), columns=columns)
    assert {len(x.ratings) for x in found.examples} == {3}
