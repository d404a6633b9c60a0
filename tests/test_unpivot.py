"""Columns become rows: one column per item, or one group of columns per response."""

import csv

import pytest

from rationem.data import Columns, Shapes, load
from rationem.data.families import families
from rationem.data.likely import likely_ratings
from rationem.data.records import Row
from rationem.errors import ConfigError, DataError
from rationem.tasks.scale import Scale

FIVE = Scale.parse("1-5")


def table(path, head, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def read(path, columns, *names, skipped=None, **shapes):
    return load([path], scale=FIVE, columns=columns, shapes=Shapes(unpivot=names, **shapes), skipped=skipped)


GRID = ["rater", "Rate [a long essay]", "Rate [a short essay]"]


def test_a_column_for_each_item_becomes_a_row_for_each_rating(tmp_path):
    path = table(tmp_path / "a.csv", GRID, [("ann", 4, 2), ("ben", 5, ""), ("eve", 3, 1)])
    loaded = read(path, Columns("", "column", "Rate", rater="rater"), "Rate [*]")
    assert {x.fields["response"]: x.ratings for x in loaded.examples} == {
        "a long essay": ("4", "5", "3"),
        "a short essay": ("2", "1"),
    }
    assert loaded.notes["rows"] == 5
    assert any("left out by --unpivot: 1" in line for line in loaded.notes["shape"])


def test_case_and_blanks_of_names_do_not_matter(tmp_path):
    path = table(tmp_path / "a.csv", ["rater", "Rate [y ]", " rate [w]"], [("ann", 4, 2)])
    loaded = read(path, Columns("", "column", "Rate", rater="rater"), "Rate [*]")
    assert {x.fields["response"]: x.answer for x in loaded.examples} == {"y": "4", "w": "2"}


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (
            ["rater", "Rate [x]", "Rate [x]"],
            r"stands for 'x' in two columns, 'Rate \[x\] \(1\)' and 'Rate \[x\] \(2\)'",
        ),
        (["rater", "Rate [x]", "rate [X ]"], "stands for 'X' in two columns"),
        (["rater", "Rate [x]", "Rate []"], r"stands for nothing in the column 'Rate \[\]'"),
    ],
)
def test_columns_that_fit_in_one_place_or_none_are_refused(tmp_path, head, told):
    path = table(tmp_path / "a.csv", head, [("ann", 4, 2), ("ben", 5, 1)])
    with pytest.raises(DataError, match=told):
        read(path, Columns("", "column", "Rate", rater="rater"), "Rate [*]")


def test_numbered_columns_of_one_name_can_become_rows(tmp_path):
    path = table(tmp_path / "a.csv", ["rater", "Score", "Score"], [("ann", 4, 2)])
    loaded = read(path, Columns("", "column", "Score", rater="rater"), "Score *")
    assert [x.answer for x in loaded.examples] == ["4", "2"]


def test_the_texts_of_the_items_can_stand_in_a_second_file(tmp_path):
    path = table(tmp_path / "a.csv", ["rater", "i1", "i2"], [("ann", 4, 2), ("ben", 5, 3)])
    items = table(tmp_path / "items.csv", ["id", "text"], [("i1", "a long essay"), ("i2", "a short essay")])
    columns = Columns("", "text", "value", rater="rater")
    loaded = read(path, columns, "i1", "i2", join=(str(items),), on="column=id")
    assert {x.fields["response"]: x.ratings for x in loaded.examples} == {
        "a long essay": ("4", "5"),
        "a short essay": ("2", "3"),
    }


def test_each_response_of_a_row_is_rated_by_itself(tmp_path):
    head = ["question", "gpt_response", "gpt_rating", "llama_response", "llama_rating"]
    path = table(tmp_path / "a.csv", head, [("What?", "a stone", 4, "a bone", 2), ("Who?", "Ann", 1, "Ben", 5)])
    loaded = read(path, Columns("question", "response", "rating"), "*_response", "*_rating")
    assert [(x.fields["prompt"], x.fields["response"], x.answer, x.group) for x in loaded.examples] == [
        ("What?", "a stone", "4", "What?"),
        ("What?", "a bone", "2", "What?"),
        ("Who?", "Ann", "1", "Who?"),
        ("Who?", "Ben", "5", "Who?"),
    ]
    assert len({x.id for x in loaded.examples}) == 4


def test_a_column_whose_group_is_incomplete_stays_a_column(tmp_path):
    head = ["question", "answer_a", "score_a", "answer_b", "score_b", "score_overall"]
    path = table(tmp_path / "a.csv", head, [("What?", "a stone", 4, "a bone", 2, 9)])
    loaded = read(path, Columns("question", "answer", "score"), "answer_*", "score_*")
    assert [x.answer for x in loaded.examples] == ["4", "2"]
    assert loaded.notes["unused_columns"] == ["score_overall", "column"]


@pytest.mark.parametrize("names", [("a*b*",), ("a_*", "b"), ("a_*", "a.*")])
def test_patterns_need_one_star_each_and_different_names(names):
    with pytest.raises(ConfigError, match="--unpivot"):
        Shapes(unpivot=names)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("Score [*]",), r"no columns fit 'Score \[\*\]'"),
        (("Rate [a long esay]",), r"there is no column 'Rate \[a long esay\]'.*Did you mean 'Rate \[a long essay\]'"),
        (("rater *", "Rate [*]"), "no columns fit"),
    ],
)
def test_columns_that_are_not_there_are_refused_with_those_that_are(tmp_path, names, why):
    path = table(tmp_path / "a.csv", GRID, [("ann", 4, 2)])
    if names[0] == "rater *":
        names = ("Rate* long", "Rate [*]")
    with pytest.raises((DataError, ConfigError), match=why):
        read(path, Columns("", "column", "Rate"), *names)


def test_a_new_column_never_replaces_one_of_the_file(tmp_path):
    path = table(tmp_path / "a.csv", ["column", "Rate [a]", "Rate [b]"], [("x", 4, 2)])
    with pytest.raises(DataError, match="makes a column 'column'"):
        read(path, Columns("", "column", "Rate"), "Rate [*]")


def test_names_of_columns_show_what_belongs_together():
    found = families(["id", "gpt4_text", "llama_2_text", "Rate [x, y]", "Rate [z]"])
    assert found["*_text"] == {"gpt4": "gpt4_text", "llama_2": "llama_2_text"}
    assert found["Rate [*]"] == {"x, y": "Rate [x, y]", "z": "Rate [z]"}
    assert families(["question", "answer"]) == {}


def rows_of(*rows):
    return [Row(row, f"r.csv:{n}", n) for n, row in enumerate(rows, 2)]


def test_a_rating_beside_each_response_is_offered_both_ways():
    rows = rows_of(
        *(
            {
                "q": f"Which of them, {n}?",
                "text_a": f"a long stone {n}",
                "text_b": f"a long bone {n}",
                "x_a": 1,
                "x_b": n % 3,
            }
            | {"x_a": n % 4}
            for n in range(20)
        )
    )
    said = likely_ratings(rows, {"q"})
    assert '`--response-col "text_a,text_b" --rating-col "x_a,x_b"`' in said
    assert '`--unpivot "text_*" "x_*" --response-col text --rating-col x`' in said


def test_a_table_with_a_column_for_each_item_is_told_how_to_be_made_long():
    few = rows_of(*({"rater": f"r{n}", **{f"essay {k}": 1 + (n + k) % 5 for k in range(6)}} for n in range(4)))
    assert '`--unpivot "essay *" --join ITEMS --on column=ID' in likely_ratings(few, {"prompt", "response"})
    named = rows_of(*({"rater": f"r{n}", **{f"[essay number {k}]": (n + k) % 5 for k in range(6)}} for n in range(4)))
    assert '`--unpivot "[*]" --response-col column --rating-col value --rater-col rater`' in likely_ratings(named, ())
    texts = [Row({**row.cells, "prompt": "What is a river made of?"}, "r.csv:2", 2) for row in few]
    assert "--unpivot" not in likely_ratings(texts, {"prompt", "response"})


def test_columns_whose_new_names_would_be_equal_are_offered_for_comparison_only():
    rows = rows_of(
        *({"a_x": f"a long stone {n}", "b_x": f"a long bone {n}", "x_a": n % 4, "x_b": n % 3} for n in range(20))
    )
    said = likely_ratings(rows, ())
    assert '`--response-col "a_x,b_x" --rating-col "x_a,x_b"`' in said
    assert "--unpivot" not in said
