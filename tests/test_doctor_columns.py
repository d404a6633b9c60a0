"""Columns that hold the answer: found by texts and names, held against chance; wrong as an input, noted beside it."""

import random
import shlex

import pytest

from doctored import check, codes, finding, rows, write
from rationem import Example, Scale
from rationem.check.columns import look, name_suggests
from rationem.data.suggest import suggest, typed

SCALE = ("--scale", "1-5")
NAMED = Scale.parse("Bad < Fair < Good")


def with_column(tmp_path, name, cell):
    """A sound file with one more column, ``cell(row, n)``."""
    table = rows()
    return write(tmp_path / "more.csv", [{**row, name: str(cell(row, n))} for n, row in enumerate(table)])


def leaky(row, _):
    return f"This one deserves a {row['rating']}, I think."


def test_an_input_that_names_the_label_is_an_error_and_beside_the_inputs_a_note(tmp_path, capsys):
    file = with_column(tmp_path, "extra", leaky)
    code, found = check(capsys, file, *SCALE, "--context-col", "extra")
    assert code == 1
    assert "in 100% of its cells" in finding(found, "label_leak")["message"]
    code, found = check(capsys, file, *SCALE)
    assert code == 0
    assert finding(found, "unused_answer")["severity"] == "note"
    assert found["data"]["unused_columns"] == ["extra"]


def test_an_input_that_is_the_label_is_an_error(tmp_path, capsys):
    file = with_column(tmp_path, "extra", lambda row, _: float(row["rating"]))
    code, found = check(capsys, file, *SCALE, "--reference-col", "extra")
    assert code == 1
    assert "the answer itself in 100% of its cells" in finding(found, "label_leak")["message"]


def test_an_input_whose_values_determine_the_label_in_other_words_is_an_error(tmp_path, capsys):
    words = dict(zip("12345", ("awful", "weak", "so so", "nice", "superb"), strict=True))
    file = with_column(tmp_path, "extra", lambda row, _: words[row["rating"]])
    code, found = check(capsys, file, *SCALE, "--context-col", "extra")
    assert code == 1
    assert "equal cells have equal answers in 100%" in finding(found, "label_leak")["message"]
    harmless = with_column(tmp_path, "extra", lambda _, n: list(words.values())[n % 5])
    code, found = check(capsys, harmless, *SCALE, "--context-col", "extra")
    assert (code, codes(found) & {"label_leak", "label_named", "suspicious_input"}) == (0, set())


def test_the_label_named_in_the_response_itself_is_an_error(tmp_path, capsys):
    table = [{**row, "response": f"{row['response']} Rating: {row['rating']}"} for row in rows()]
    code, found = check(capsys, write(tmp_path / "said.csv", table), *SCALE)
    assert code == 1
    assert "input response (column 'response')" in finding(found, "label_leak")["message"]


def test_a_text_that_names_every_level_gives_nothing_away(tmp_path, capsys):
    file = with_column(tmp_path, "extra", lambda *_: "Choose one of 1, 2, 3, 4, 5.")
    code, found = check(capsys, file, *SCALE, "--context-col", "extra")
    assert (code, codes(found, "warning") - {"tiny_set"}) == (0, {"constant_input"})


def test_naming_the_label_more_often_than_chance_is_a_warning_in_an_input(tmp_path, capsys):
    draw = random.Random(0)
    some = with_column(tmp_path, "extra", lambda row, _: leaky(row, 0) if draw.random() < 0.4 else "It is what it is.")
    code, found = check(capsys, some, *SCALE, "--context-col", "extra")
    assert code == 0
    assert finding(found, "label_named")["severity"] == "warning"
    random_level = with_column(tmp_path, "extra", lambda *_: f"Level {draw.choice('12345')} it is.")
    _, found = check(capsys, random_level, *SCALE, "--context-col", "extra")
    assert not codes(found) & {"label_named", "label_leak"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["explanation", "rater_Comment", "human_score", "ReasonForRating"])
def test_a_telling_name_is_an_error_beside_what_is_rated_a_warning_on_it_and_a_note_unread(name, tmp_path, capsys):
    file = with_column(tmp_path, name, lambda _, n: f"Text without a level, {n + 100} of them.")
    code, found = check(capsys, file, *SCALE, "--context-col", name)
    assert (code, finding(found, "label_leak")["severity"]) == (1, "error")
    code, found = check(capsys, file, *SCALE, "--response-col", name)
    assert (code, finding(found, "suspicious_input")["severity"]) == (0, "warning")
    code, found = check(capsys, file, *SCALE)
    assert (code, finding(found, "unused_answer")["severity"]) == (0, "note")


def test_names_are_read_word_by_word():
    assert (
        name_suggests("feedback_text") == name_suggests("Why (reason)") == name_suggests("myComments") == "explanation"
    )
    assert name_suggests("trueLabel") == name_suggests("SCORE") == "answer"
    for name in (
        "response",
        "commentary",
        "answer",
        "scoreboard",
        "labelled",
        "gold_answer",
        "notes",
        "unreasonable",
        "document",
    ):
        assert name_suggests(name) is None, name


def test_constant_and_id_like_columns_are_noted_and_as_an_input_warned_of(tmp_path, capsys):
    table = [{**row, "source": "web", "uid": f"a-{n}"} for n, row in enumerate(rows())]
    file = write(tmp_path / "more.csv", table)
    _, found = check(capsys, file, *SCALE)
    assert {"constant_column", "id_column"} <= codes(found, "note")
    _, found = check(capsys, file, *SCALE, "--context-col", "source", "--reference-col", "uid")
    assert {"constant_input", "id_input"} <= codes(found, "warning")
    assert not codes(found) & {"constant_column", "id_column"}


def items(texts, labels):
    return [
        Example(str(n), {"prompt": f"q{n}", "response": text}, label, str(n), source=f"f:{n}")
        for n, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]


def test_shares_by_hand():
    seen = items(["good", "a bad one", "good, not bad", "fair"], ["Good", "Bad", "Bad", "Bad"])
    response = next(one for one in look(seen, {}, {}, NAMED) if one.role == "response")
    assert response.names_label == 3 / 4  # all but the last
    # Two cells name Good, two Bad, one Fair; labels are Good once, Bad three times: (2 * 1 + 2 * 3) / 16.
    assert response.names_by_chance == 0.5
    assert response.is_label == 1 / 4
    assert response.distinct == 4


def test_levels_are_found_as_words_of_their_own_the_longest_first():
    scale = Scale.parse("Incorrect < Partially correct < Correct")
    [_, response] = look(items(["partially correct"] * 2, ["Correct", "Incorrect"]), {}, {}, scale)
    assert response.names_label == 0
    numbers = Scale.parse("1-5")
    texts = ["24 apples", "4.5 of them", "-4", "v4", "a 4-year old"]
    [_, response] = look(items(texts, ["4"] * 5), {}, {}, numbers)
    assert response.names_label == 0
    [_, response] = look(items(["It is 4.", "(4)", "4", "rating:4", "4, he said"], ["4"] * 5), {}, {}, numbers)
    assert response.names_label == 1


def test_repeated_rows_of_one_item_prove_nothing():
    """The same inputs twice with the same label: that is a duplicate, not a column that determines the label."""
    seen = [x for n in range(40) for x in [Example(str(n), {"prompt": f"p{n}", "response": "r"}, "Good", "g")] * 2]
    [prompt, _] = look(seen, {}, {}, NAMED)
    assert (prompt.repeated, prompt.purity) == (0, None)


def test_unread_cells_of_any_kind_become_text():
    seen = items(["a", "b"], ["Good", "Bad"])
    cells = {"f:0": ["Good", None, {"why": "it is"}], "f:1": float("nan")}
    *_, extra = look(seen, {}, {"extra": cells}, NAMED)
    assert (extra.filled, extra.names_label) == (1, 1)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (["1", "5", 3, "2.0"], "1-5"),
        ([0, 0.5, 1], "0-1 by 0.5"),
        (["0.25", "1"], "0.25-1 by 0.75"),
        ([-3, 3], "-3 to 3"),
        ([4], "4-5"),
        (["yes", "no"], "no < yes"),
        (["Good", "Bad", "Fair"], "Bad < Fair < Good"),
        (["A", "B", "tie"], "A | B | tie"),
        (["Correct", "Incorrect", "Partially correct"], "Incorrect < Partially correct < Correct"),
        (["fine"], None),
        ([], None),
        (["*x*", "y"], None),
        ([*"1234512345", "n/a"], "1-5"),
        ([*"12", "n/a"], "1-2"),
        ([f"text {n}" for n in range(30)], None),
        ([n / 7 for n in range(40)], None),
        (["a | b", "c"], None),  # would read as three levels
        (["1e999999999"] * 3, None),
        (["9" * 5000, "1"], None),
        (["0.123456789", "0.2"], None),  # not even as they are shown, with six digits
    ],
)
def test_values_suggest_a_scale_that_has_them(values, scale):
    assert suggest(values) == scale
    if scale is not None:
        assert all(Scale.parse(scale).level(value) is not None for value in values if value != "n/a")


@pytest.mark.parametrize(
    "scale", ["1-5", "-3 to 3", "0-1 by 0.5", "Bad < Good", "it's | $HOME", 'say "a" | b', "a\\ | `b`!"]
)
def test_a_scale_is_typed_so_that_a_shell_gives_it_back(scale):
    assert shlex.split(typed(scale)) == [scale]
    assert typed("1-5") == "1-5"


def rated_by_three(count=20):
    return [
        {
            "prompt": f"what is {n} ?",
            "response": f"{n} kind",
            "rating": 1 + (n + rater) % 5,
            "task": f"T{3 * n + rater}",
            "unit": f"U{n}",
            "who": f"r{rater}",
            "page": f"p{rater}",
        }
        for n in range(count)
        for rater in range(3)
    ]


def test_of_an_item_of_several_rows_all_rows_are_looked_at(tmp_path, capsys):
    file = write(tmp_path / "long.csv", rated_by_three())
    _, found = check(capsys, file, *SCALE, "--rater-col", "who")
    said = [one["message"] for one in found["findings"] if one["code"] in ("id_column", "constant_column")]
    assert said == ["The column 'unit' is not read; it looks like an id (--id-col)."]


def test_an_id_that_keeps_raters_apart_is_warned_of(tmp_path, capsys):
    file = write(tmp_path / "long.csv", rated_by_three())
    for merge in (("--rater-col", "who"), ("--merge-equal",)):
        _, found = check(capsys, file, *SCALE, *merge, "--id-col", "task")
        assert "60 of 60 items" in finding(found, "ids_apart")["message"]
        assert "--rater-col NAME" not in finding(found, "contradictions")["message"]
        _, found = check(capsys, file, *SCALE, *merge, "--id-col", "unit")
        assert not codes(found) & {"ids_apart", "contradictions"}
