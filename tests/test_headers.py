"""Headers of several rows, headers that stand again further down, and titles above them."""

import csv
import io

import pytest

from rationem import FitConfig
from rationem.check.checkup import examine
from rationem.data import Columns, FileFormat, load, read_rows
from rationem.data.headers import Header, header_of
from rationem.data.readers import notes_of
from rationem.data.sources import iter_rows
from rationem.errors import ConfigError, DataError
from rationem.tasks.scale import Scale

HEAD = ["prompt", "response", "rating"]
ROWS = [[f"q{n}", f"a{n}", str(1 + n % 5)] for n in range(30)]
#: As SurveyMonkey exports all responses: metadata, then each question with its columns below.
QUESTIONS = ["Respondent ID", "Start Date", "Email Address", "What did you read?", "Please rate the answer", "", "Why?"]
COLUMNS = ["", "", "", "Open-Ended Response", "Clarity", "Kindness", "Response"]
ANSWERS = [
    [str(118000000 + n), f"05/31/2024 12:{n:02}:00 PM", "", f"q{n}, as read", str(1 + n % 5), "3", "so"]
    for n in range(30)
]


def made(path, *rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def as_given(path, **given):
    return list(iter_rows(path, FileFormat(**given)))


# --- several rows


def test_the_two_header_rows_of_surveymonkey_are_joined(tmp_path):
    path = made(tmp_path / "a.csv", QUESTIONS, COLUMNS, *ANSWERS)
    names = [
        *("Respondent ID", "Start Date", "Email Address", "What did you read? - Open-Ended Response"),
        *("Please rate the answer - Clarity", "Please rate the answer - Kindness", "Why? - Response"),
    ]
    rows = read_rows(path)
    assert (len(rows), rows[0].number, list(rows[0].cells)) == (30, 3, names)
    assert notes_of(path) == {"joined_header": 2}
    columns = Columns(prompt="none", response=names[3], criteria=((("clarity"), names[4]), ("kindness", names[5])))
    found = load([path], scale=Scale.parse("1-5"), columns=columns)
    assert [one.answer for one in found.examples[:4]] == ["1", "3", "2", "3"]


def test_one_row_or_several_can_be_asked_for(tmp_path):
    path = made(tmp_path / "a.csv", QUESTIONS, COLUMNS, *ANSWERS)
    one = as_given(path, header_rows=1)
    assert (len(one), list(one[0].cells)[5]) == (31, "")
    head = ["Item", "", "Rating", ""], ["", "", "first", ""], ["q", "a", "x", "y"]
    three = made(tmp_path / "b.csv", *head, *[list("pr34")] * 3)
    names = ["Item - q", "Item - a", "Rating - first - x", "Rating - first - y"]
    assert list(as_given(three, header_rows=3)[0].cells) == names
    assert [row.number for row in as_given(three, header_rows=3)] == [4, 5, 6]
    narrow = made(tmp_path / "c.csv", ["prompt", "response"], ["", "", "rating"], *ROWS)
    assert len(as_given(narrow, header_rows=2)) == 30
    with pytest.raises(ConfigError, match="exclude each other"):
        FileFormat(header=False, header_rows=2)


@pytest.mark.parametrize(
    "records",
    [
        [HEAD, ["q", "a", "unsure"], *ROWS],  # a rating in words
        [HEAD, ["q", "a", "response"], ["q", "a", "request"]],  # the word as a label
        [["", *HEAD], *([str(at), *row] for at, row in enumerate(ROWS))],  # pandas' index
        [["", "prompt", "response", "rating"], *(["item a", "q", "a", "good"] for _ in ROWS)],  # names of rows
        [["", "note", "prompt", "rating"], ["x", "", "q", "good"], *(["x", "n", "q", "bad"] for _ in ROWS)],
        [["prompt", "response", "", "rating"], ["q", "a", "see p. 3", ""], *(["q", "a", "", ""] for _ in ROWS)],
        [HEAD, ["", "", ""], *ROWS],
        [["A title", "", ""], HEAD, *ROWS],
        [HEAD, HEAD],
        [HEAD],
    ],
)
def test_ordinary_tables_have_one_header_row(records):
    assert len(header_of(records).rows) == 1


def test_a_second_row_is_found_where_only_words_stand_above_numbers():
    words = [["", "", "Ratings", ""], ["prompt", "response", "clear", "kind"], *([*row[:2], 3, 4] for row in ROWS)]
    assert len(header_of(words).rows) == 1  # one filled cell can be a title
    words[0] = ["Item", "", "Ratings", ""]
    assert header_of(words).columns == ["Item - prompt", "Item - response", "Ratings - clear", "Ratings - kind"]
    assert Header((("a", "", "b"), ("x", "", "b"))).columns == ["a - x", "", "b"]


# --- the same header further down


def test_a_header_that_stands_again_is_no_row(tmp_path):
    path = made(tmp_path / "a.csv", HEAD, *ROWS, [f"\ufeff{HEAD[0]}", *HEAD[1:]], *ROWS, HEAD, *ROWS)
    assert (len(read_rows(path)), notes_of(path)) == (90, {"repeated_header": 2})
    found = examine(FitConfig(data=(str(path),), scale="1-5"))
    (told,) = [one.message for one in found.findings if one.code == "repeated_header"]
    assert "is repeated further down, 2 times" in told
    quoted = tmp_path / "b.csv"
    quoted.write_text('"prompt","response","rating"\nq,a,1\n\ufeff"prompt","response","rating"\nq,a,2\n', "utf-8")
    assert len(read_rows(quoted)) == 2


def test_every_row_of_a_joined_header_is_left_out_again(tmp_path):
    path = made(tmp_path / "a.csv", QUESTIONS, COLUMNS, *ANSWERS, QUESTIONS, COLUMNS, *ANSWERS)
    assert len(read_rows(path)) == 60
    assert notes_of(path) == {"joined_header": 2, "repeated_header": 1}


def test_a_single_column_may_hold_its_own_name(tmp_path):
    path = made(tmp_path / "a.csv", ["text"], ["a text"], ["text"])
    assert len(read_rows(path)) == 2
    assert len(as_given(made(tmp_path / "b.csv", HEAD, *ROWS, HEAD), header=False)) == 32


# --- titles


def test_a_title_in_a_file_of_equal_rows_is_told(tmp_path):
    path = made(tmp_path / "a.csv", ["Survey of 2024", "", ""], ["", "", ""], HEAD, *ROWS)
    with pytest.raises(DataError, match="add `--skip-lines 2`"):
        read_rows(path)
    assert len(as_given(path, skip_lines=2)) == 30
    index = made(tmp_path / "b.csv", ["", "text"], *([str(n), f"a text {n}"] for n in range(4)))
    assert [row.cells["text"] for row in read_rows(index)] == [f"a text {n}" for n in range(4)]
