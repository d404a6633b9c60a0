"""The user's columns: criteria, pairs, references, raters in rows of their own, and the guess where none is named."""

import json
from pathlib import Path

import pytest

from rationem.data import Columns, Row, expand_raters, guess, load, to_fields
from rationem.data.columns import check_columns
from rationem.errors import ConfigError, DataError
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale

FIVE = Scale.parse("1-5")
BASE = {"prompt": "2+2?", "response": "4"}


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def of(tmp_path, rows, **kwargs):
    return load([write(tmp_path / "r.jsonl", rows)], **{"scale": FIVE, **kwargs})


def test_each_criterion_of_a_row_is_an_example_of_its_own(tmp_path):
    rows = [BASE | {"help": 1, "style": 5}, BASE | {"help": 2, "style": None}]
    found = of(tmp_path, rows, criteria=("help", "style"))
    assert [(x.id, x.fields["criterion"], x.answer) for x in found.examples] == [
        ("r-1/help", "help", "1"),
        ("r-1/style", "style", "5"),
        ("r-2/help", "help", "2"),
    ]
    assert found.notes["unrated"] == 1
    assert found.criteria == (Criterion("help", column="help"), Criterion("style", column="style"))
    assert len({x.group for x in found.examples}) == 1


def test_a_criterion_may_have_several_rating_columns_and_another_name(tmp_path):
    rows = [BASE | {"h1": 1, "h2": 4, "s": 2}]
    found = of(tmp_path, rows, criteria=(("help", "h1,h2"), ("style", "s")))
    assert [(x.answer, x.ratings) for x in found.examples] == [("3", ("1", "4")), ("2", ())]


def test_an_empty_cell_of_the_only_criterion_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r":1: the rating \('help'\) is empty"):
        of(tmp_path, [BASE | {"help": None}], criteria=("help",))


def test_criteria_of_named_columns_are_chosen_by_name(tmp_path):
    columns = Columns(criteria=(("help", "h"), ("style", "s")))
    rows = [BASE | {"h": 1, "s": 2}]
    assert [x.answer for x in of(tmp_path, rows, columns=columns, criteria=("style",)).examples] == ["2"]
    assert len(of(tmp_path, rows, columns=columns, criteria=("all",)).examples) == 2
    with pytest.raises(ConfigError, match="Did you mean 'style'"):
        of(tmp_path, rows, columns=columns, criteria=("styl",))
    with pytest.raises(ConfigError, match="Name yours"):
        of(tmp_path, rows, criteria=("all",))


def test_a_missing_column_names_its_flag(tmp_path):
    for flag, kwargs in (
        ("--criterion NAME", {"criteria": ("hepl",)}),
        ("--reference-col NAME", {"columns": Columns(rating="help", reference="ref")}),
        ("--context-col NAME", {"columns": Columns(rating="help", context="ctx")}),
        ("--rater-col NAME", {"columns": Columns(rating="help", rater="who")}),
        ("--group-col NAME", {"columns": Columns(rating="help", group="g")}),
    ):
        with pytest.raises(DataError, match=flag):
            of(tmp_path, [BASE | {"help": 1}], **kwargs)


@pytest.mark.parametrize(
    "named",
    [
        {"prompt": "rating"},
        {"response": "a,rating"},
        {"reference": "rating"},
        {"context": "r1", "rating": "r1, r2"},
        {"prompt": "help", "criteria": (("helpfulness", "help"),)},
        {"reference": "s2", "criteria": (("style", "s1,s2"),)},
        {"context": "who", "rater": "who"},
    ],
)
def test_no_rating_criterion_or_rater_column_can_be_an_input(named):
    with pytest.raises(ConfigError, match="input"):
        Columns(**named)


def test_a_criterion_cannot_be_named_twice():
    with pytest.raises(ConfigError, match="twice"):
        Columns(criteria=(("a", "x"), ("a", "y")))


def test_columns_survive_json():
    columns = Columns("q", "a,b", reference="ref", rater="who", criteria=(("help", "h"), ("style", "s")))
    assert Columns.from_dict(json.loads(json.dumps(columns.to_dict()))) == columns
    with pytest.raises(ConfigError, match="Did you mean 'prompt'"):
        Columns.from_dict({"promt": "q"})


def test_reference_and_context_are_inputs_where_a_row_has_them(tmp_path):
    rows = [BASE | {"rating": 1, "ref": "four", "ctx": "sums"}, BASE | {"rating": 2, "ref": "", "ctx": None}]
    found = of(tmp_path, rows, columns=Columns(reference="ref", context="ctx"))
    assert [dict(x.fields) for x in found.examples] == [BASE | {"reference": "four", "context": "sums"}, BASE]


def test_two_response_columns_are_a_pair_unless_one_column_has_the_whole_name(tmp_path):
    levels = Scale.parse("A | B | tie")
    columns = Columns(response="a, b", rating="better")
    rows = [{"prompt": "p", "a": "one", "b": "two", "better": "tie"}]
    found = of(tmp_path, rows, columns=columns, scale=levels)
    assert found.candidates == 2
    assert found.examples[0].fields == {"prompt": "p", "response_a": "one", "response_b": "two"}
    whole = of(tmp_path, [rows[0] | {"a, b": "both"}], columns=columns, scale=levels)
    assert whole.candidates == 1
    assert whole.examples[0].fields["response"] == "both"
    with pytest.raises(DataError, match=r"r\.jsonl:1: the text in column 'a, b' is empty"):
        of(tmp_path, [rows[0], rows[0] | {"a, b": "both"}], columns=columns, scale=levels)


def test_rows_of_several_raters_become_one_item_in_the_order_of_the_file(tmp_path):
    rows = [
        BASE | {"rating": 5, "who": "ann"},
        {"prompt": "x", "response": "y", "rating": 1, "who": "ann"},
        BASE | {"rating": 2, "who": "bob"},
        BASE | {"rating": 1, "who": "cy"},
    ]
    found = of(tmp_path, rows, columns=Columns(rater="who"))
    assert [(x.id, x.answer, x.ratings) for x in found.examples] == [("r-1", "3", ("5", "2", "1")), ("r-2", "1", ())]
    assert of(tmp_path, rows, columns=Columns(rater="who"), raters="median").examples[0].answer == "2"
    assert [x.answer for x in expand_raters(found.examples, "each")] == ["5", "2", "1", "1"]


def test_rows_of_one_id_are_one_item_and_must_say_the_same(tmp_path):
    rows = [BASE | {"id": "k", "rating": 5, "who": "ann"}, BASE | {"id": "k", "rating": 2, "who": "bob"}]
    columns = Columns(id="id", rater="who")
    assert of(tmp_path, rows, columns=columns).examples[0].ratings == ("5", "2")
    with pytest.raises(DataError, match=r":2: the id 'k' occurs here and in .*:1 with two contents"):
        of(tmp_path, [rows[0], rows[1] | {"response": "5"}], columns=columns)


def test_a_rater_rates_an_item_once(tmp_path):
    rows = [BASE | {"rating": 5, "who": "ann"}, BASE | {"rating": 5, "who": "ann"}]
    with pytest.raises(DataError, match=r":2: the rater 'ann' already rated the item 'r-2' in .*:1"):
        of(tmp_path, rows, columns=Columns(rater="who"))
    timed = [row | {"page": str(n), "sent at": f"2024-05-0{n + 1}T09:30:00"} for n, row in enumerate(rows)]
    with pytest.raises(DataError, match='If the later rating counts: `--latest-by "sent at"`; else keep one'):
        of(tmp_path, timed, columns=Columns(rater="who"))
    with pytest.raises(DataError, match=":1: the text in column 'who' is empty"):
        of(tmp_path, [BASE | {"rating": 5, "who": ""}], columns=Columns(rater="who"))


def test_raters_and_criteria_go_together(tmp_path):
    rows = [
        BASE | {"help": 1, "style": 2, "who": "ann"},
        BASE | {"help": 3, "style": None, "who": "bob"},
    ]
    columns = Columns(rater="who", criteria=(("help", "help"), ("style", "style")))
    assert [(x.id, x.ratings or x.answer) for x in of(tmp_path, rows, columns=columns).examples] == [
        ("r-1/help", ("1", "3")),
        ("r-1/style", "2"),
    ]


def test_a_repeated_id_with_two_labels_suggests_the_rater(tmp_path):
    rows = [BASE | {"id": "k", "rating": 5}, BASE | {"id": "k", "rating": 2}]
    with pytest.raises(DataError, match="--rater-col NAME"):
        of(tmp_path, rows, columns=Columns(id="id"))


def test_the_rule_makes_the_label_and_leaves_the_ratings(tmp_path):
    rows = [BASE | {"rating": [1, 1, 3, 5]}]
    labels = {how: of(tmp_path, rows, raters=how).examples[0] for how in ("mean", "median", "majority", "each")}
    assert {how: x.answer for how, x in labels.items()} == {"mean": "3", "median": "2", "majority": "1", "each": "3"}
    assert {x.ratings for x in labels.values()} == {("1", "1", "3", "5")}
    with pytest.raises(ConfigError, match="not 'best'"):
        of(tmp_path, rows, raters="best")


def test_raters_without_a_majority_leave_no_label_but_their_ratings(tmp_path):
    levels = Scale.parse("A | B | tie")
    rows = [BASE | {"rating": ["A", "B"]}, BASE | {"rating": ["A", "A", "B"]}]
    found = of(tmp_path, rows, scale=levels)
    assert ([x.answer for x in found.examples], found.notes["no_majority"]) == (["A"], 1)
    each = of(tmp_path, rows, scale=levels, raters="each")
    assert [(x.answer, x.ratings) for x in each.examples] == [("A", ("A", "B")), ("A", ("A", "A", "B"))]
    with pytest.raises(DataError, match="no row has a label"):
        of(tmp_path, rows[:1], scale=levels)


@pytest.mark.parametrize(
    ("names", "expected", "guessed"),
    [
        (["prompt", "response", "rating"], ("prompt", "response", "rating"), {}),
        (["Prompt", "RESPONSE", "Rating "], ("Prompt", "RESPONSE", "Rating "), None),
        (["question", "answer", "score"], ("question", "answer", "score"), None),
        (["Instruction", "Output", "label", "input_tokens"], ("Instruction", "Output", "label"), None),
        # of two that fit as well, none is taken; the role's own name comes first
        (["question", "instruction", "response", "rating"], ("prompt", "response", "rating"), {}),
        (["prompt", "question", "response", "rating"], ("prompt", "response", "rating"), {}),
        (
            ["input", "output", "score", "label"],
            ("input", "output", "rating"),
            {"prompt": "input", "response": "output"},
        ),
    ],
)
def test_columns_are_guessed_only_where_one_alone_fits(names, expected, guessed):
    columns, notes = guess(names)
    assert (columns.prompt, columns.response, columns.rating) == expected
    wanted = dict(zip(("prompt", "response", "rating"), expected, strict=True)) if guessed is None else guessed
    assert notes == wanted


def test_a_guess_is_noted_and_never_takes_a_criterion_as_an_input(tmp_path):
    rows = [{"question": "q", "output": "o", "answer": 3}]
    found = of(tmp_path, rows, criteria=("answer",))
    assert found.examples[0].fields == {"prompt": "q", "response": "o", "criterion": "answer"}
    assert found.notes["guessed"] == {"prompt": "question", "response": "output"}
    assert "guessed" not in of(tmp_path, [BASE | {"rating": 1}]).notes


def test_unusable_rows_are_all_listed_on_request(tmp_path):
    path = tmp_path / "r.jsonl"
    good = json.dumps(BASE | {"rating": 4})
    bad = [json.dumps(BASE | {"rating": 9}), "{", json.dumps(BASE | {"response": "", "rating": 1}), "[]", "{}"]
    path.write_text("\n".join([good, *bad, good]), encoding="utf-8")
    skipped: list[DataError] = []
    found = load([path], scale=FIVE, skipped=skipped)
    assert [x.id for x in found.examples] == ["r-1", "r-7"]
    assert sorted(str(error).split(": ")[0] for error in skipped) == [f"{path}:{line}" for line in range(2, 7)]
    with pytest.raises(DataError, match=r"r\.jsonl:3: the line is not well-formed"):
        load([path], scale=FIVE)


def test_a_column_that_no_row_has_is_one_error_even_then(tmp_path):
    skipped: list[DataError] = []
    with pytest.raises(DataError, match="no column 'prompt'"):
        of(tmp_path, [{"text": "a", "response": "b", "rating": 1}] * 3, skipped=skipped)
    assert skipped == []


def test_what_breaks_a_file_off_is_listed_behind_the_rows_before_it(tmp_path):
    path = tmp_path / "r.csv"
    path.write_bytes(b"prompt,response,rating\na,b,1\nc,\xff,2\n")
    skipped: list[DataError] = []
    assert len(load([path], scale=FIVE, skipped=skipped).examples) == 1
    assert "r.csv:3: byte 31 (0xff) is not UTF-8" in str(skipped[0])


def test_a_row_is_judged_without_a_rating():
    row = Row({"prompt": "p", "a": "x", "b": 2, "ref": None}, "r.csv:2", 2)
    assert to_fields(row, Columns(response="a,b", reference="ref"), "style") == {
        "prompt": "p",
        "response_a": "x",
        "response_b": "2",
        "criterion": "style",
    }
    with pytest.raises(DataError, match=r"r\.csv:2: the text in column 'ref2' is empty"):
        to_fields(Row({"prompt": "p", "ref2": " "}, "r.csv:2", 2), Columns(response="ref2"))
    with pytest.raises(DataError, match="--response-col NAME"):
        to_fields(row, Columns(response="a,c"))


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"rating": "r1, r1"}, "--rating-col names the column 'r1' twice"),
        ({"response": "a,b,a"}, "--response-col names the column 'a' twice"),
        ({"choices": "a,a,a"}, "--choices-col names the column 'a' 3 times"),
        ({"criteria": (("help", "x"), ("style", "y,x"))}, "--criterion names the column 'x' twice"),
        ({"inputs": (("a", "x"), ("b", "x"))}, "--inputs-col names the column 'x' twice"),
        ({"rating": "r1,r2", "rater": "r2"}, "'r2' is named as the rating and as --rater-col"),
        ({"id": "rating"}, "'rating' is named as the rating and as --id-col"),
        ({"criterion": "rating"}, "'rating' is named as the rating and as --criterion-col"),
        ({"response": "rating"}, "'rating' is also named as an input"),
        ({"subject": "answer", "choices": "a", "rating": "answer"}, "'answer' is also named as an input"),
    ],
)
def test_a_column_is_named_once(named, told):
    with pytest.raises(ConfigError, match=told):
        Columns(**named)


def test_a_rating_column_in_two_spellings_is_one(tmp_path):
    with pytest.raises(ConfigError, match="'rating' twice"):
        of(tmp_path, [BASE | {"rating": 1}], columns=Columns(rating="rating, Rating"))


def test_responses_that_may_be_compared_are_named_together_and_a_prompt_can_be_left_out():
    row = Row({"question": "q", "response_A": "x", "response_B": "y", "label": "A>B"}, "f:1", 1)
    with pytest.raises(DataError, match=r"compared: `--response-col response_A,response_B`\. The columns"):
        check_columns(row, [("response", "response")])
    with pytest.raises(DataError, match=r"If there is none: `--prompt-col none`\."):
        check_columns(row, [("prompt", "prompt")])
    with pytest.raises(DataError, match="Did you mean 'question'") as error:
        check_columns(row, [("prompt", "questoin")])
    assert "none" not in str(error.value)
