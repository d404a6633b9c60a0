"""The scale that values suggest: of pairs only where they say which response they mean, and never with "N/A" in it."""

import re

import pytest

from doctored import check, codes, finding, rows, write
from rationem.cli.main import main
from rationem.data import Columns, NoScale, load
from rationem.data.suggest import suggest
from rationem.data.suggest_pair import suggest_pair
from rationem.data.unusable import notations
from rationem.tasks.scale import Scale


def pairs(values, columns=("one", "two")):
    return [
        {"prompt": r["prompt"], columns[0]: r["response"], columns[1]: f"Not {r['response']}", "better": value}
        for r, value in zip(rows(len(values)), values, strict=True)
    ]


def flags(columns=("one", "two")):
    return ("--response-col", ",".join(columns), "--rating-col", "better")


@pytest.mark.parametrize(
    ("values", "columns", "scale"),
    [
        (["B", "A"], ("x", "y"), "A | B"),
        (["b", "a", "tie"], ("x", "y"), "a | b | tie"),
        (["b", "tie"], ("x", "y"), "a | b | tie"),
        (["2", "1"], ("x", "y"), "1 | 2"),
        (["right", "left", "Draw"], ("x", "y"), "left | right | Draw"),
        (["Second", "first", "neither", "both"], ("x", "y"), "first | Second | both | neither"),
        (["response_b", "response_a"], ("x", "y"), "response_a | response_b"),
        (["model_a", "model_b", "tie", "tie (bothbad)"], ("x", "y"), "model_a | model_b | tie | tie (bothbad)"),
        (["left", "right", "same"], ("left", "right"), "left | right | same"),
        (["left", "right"], ("right", "left"), "right | left"),
        (["1", "2"], ("response_2", "response_1"), "2 | 1"),
        (["A", "B"], ("response_b", "response_a"), "B | A"),
        (["Claude", "GPT-4", "tie"], ("GPT-4", "Claude"), "GPT-4 | Claude | tie"),
        (["A", "B", "N/A", "-", ""], ("x", "y"), "A | B"),
        # nobody says which response these mean
        (["GPT-4", "Claude", "tie"], ("response_a", "response_b"), None),
        (["0", "1"], ("x", "y"), None),
        ([2.0, 1.0, 0.0], ("x", "y"), None),  # 0 is a tie, or the first and 2 the tie
        (["0", "1", "2"], ("response_1", "response_2"), None),
        (["0", "2"], ("x", "y"), None),
        (["1", "2", "3"], ("x", "y"), None),
        (["-1", "0", "1"], ("x", "y"), None),
        (["0", "1", "2", "3"], ("x", "y"), None),
        (["A", "B"], ("response_2", "response_1"), None),  # A stands first, or is response 1
        (["first", "second"], ("response_2", "response_1"), None),
        (["A", "B", "0"], ("x", "y"), None),
        (["A", "model_b"], ("x", "y"), None),
        (["tie"], ("x", "y"), None),
        (["yes", "no"], ("x", "y"), None),
        ([True, False], ("x", "y"), None),
        ([], ("x", "y"), None),
    ],
)
def test_a_pair_scale_is_suggested_only_where_the_values_say_which_response_they_mean(values, columns, scale):
    assert suggest_pair(values, columns) == scale
    if scale is not None:
        assert Scale.parse(scale).ordered is False


def test_names_that_only_the_user_can_place_are_an_error_of_a_check_and_of_a_load(tmp_path, capsys):
    """By the alphabet Claude would mean the first response, which is GPT-4's: every label would be turned around."""
    columns = ("response_a", "response_b")
    file = write(tmp_path / "r.csv", pairs(["GPT-4", "Claude", "tie", "GPT-4"] * 20, columns))
    code, found = check(capsys, file, *flags(columns))
    assert (code, codes(found), found["scale"]) == (1, {"no_scale"}, None)
    told = finding(found, "no_scale")["message"]
    assert "'Claude', 'GPT-4', 'tie'" in told
    assert 'The first level means the first response: --scale "FIRST | SECOND | TIE"' in told
    assert main(["check", file, *flags(columns)]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert 'first response: --scale "FIRST | SECOND | TIE"' in printed
    with pytest.raises(NoScale, match=r"'Claude', 'GPT-4', 'tie'.*FIRST \| SECOND") as error:
        load([file], columns=Columns(response="response_a,response_b", rating="better"))
    assert error.value.suggestion is None


@pytest.mark.parametrize(
    ("values", "scales"),
    [
        ("01", ("0 | 1", "1 | 0")),
        ("012", ("0 | 1 | 2", "1 | 2 | 0", "0 to 2", "2 < 1 < 0")),
        ("123", ("1 | 2 | 3", "1 to 3", "3 < 2 < 1")),
        (("-1", "0", "1"), ("-1 to 1", "1 < 0 < -1")),
        (("-2", "1"), ("-2 to 2", "2 < 1 < 0 < -1 < -2")),
        ("0123", ("0 to 3", "3 < 2 < 1 < 0")),
    ],
)
def test_numbers_that_could_mean_either_response_are_refused_with_every_reading(tmp_path, capsys, values, scales):
    """For 0, 1, 2 the check took 0 for the tie and went on: where 0 is the first response, every label was wrong."""
    code, found = check(capsys, write(tmp_path / "r.csv", pairs(list(values) * 20)), *flags())
    assert (code, codes(found)) == (1, {"no_scale"})
    told = finding(found, "no_scale")["message"]
    assert "Numbers do not say which of them means that the first response, 'one', is better" in told
    assert re.findall('--scale "([^"]*)"', told) == list(scales)
    for scale in scales:
        assert check(capsys, tmp_path / "r.csv", *flags(), "--scale", scale)[1]["scale"]["from"] == "given"


def test_a_suggested_pair_scale_counts_the_labels_as_the_given_one_does(tmp_path, capsys):
    file = write(tmp_path / "r.csv", pairs(["b", "A", "tie", "b"] * 30))
    _, found = check(capsys, file, *flags())
    assert found["scale"]["levels"] == ["A", "b", "tie"]
    assert found["labels"]["data"]["pooled"] == {"A": 30, "b": 60, "tie": 30}
    assert "'A' means 'one', 'b' means 'two'" in finding(found, "suggested_scale")["message"]
    with pytest.raises(NoScale, match=r"the second that 'two' is: `--scale .A \| b \| tie.`"):
        load([file], columns=Columns(response="one,two", rating="better"))


def test_no_place_is_a_baseline_for_it_is_asked_in_every_order(tmp_path, capsys):
    """The better response stands first in most rows: in both orders saying A is right in half, and so is saying B."""
    file = write(tmp_path / "r.csv", pairs(["A"] * 90 + ["B"] * 10))
    _, found = check(capsys, file, *flags(), "--scale", "A | B")
    assert found["baselines"]["data"]["constant"]["accuracy"] == 0.5
    _, found = check(capsys, write(tmp_path / "all.csv", pairs(["A"] * 100)), *flags(), "--scale", "A | B")
    assert not codes(found) & {"one_label", "near_constant_label"}
    _, found = check(capsys, write(tmp_path / "t.csv", pairs(["tie"] * 100)), *flags(), "--scale", "A | B | tie")
    assert "one_label" in codes(found)


@pytest.mark.parametrize("scale", ["tie | A | B", "A | tie | B", "A < B < tie"])
def test_a_given_scale_on_which_no_pair_can_be_compared_is_an_error_of_the_check(tmp_path, capsys, scale):
    file = write(tmp_path / "r.csv", pairs(["A", "B", "tie"] * 20))
    code, found = check(capsys, file, *flags(), "--scale", scale)
    assert (code, codes(found)) == (1, {"pair_scale"})
    assert main(["check", file, *flags(), "--scale", scale]) == 1


@pytest.mark.parametrize("nobody", ["N/A", "n/a", "NA", "none", "null", "-", "?"])
def test_what_says_that_nobody_rated_is_never_a_level(nobody):
    assert suggest([*"123", *[nobody] * 9]) == "1-3"
    assert suggest(["good", "bad", nobody]) == "bad < good"
    assert suggest(["red", "blue", nobody]) == "blue | red"
    assert suggest([nobody] * 5) is None


@pytest.mark.parametrize("other", ["4/5", "2,0", "4 out of 5"])
def test_a_number_in_another_notation_is_never_a_level(other):
    assert suggest([*"12345", other]) == "1-5"
    assert suggest(["good", "bad", other]) is None
    assert suggest([other] * 5) is None


def test_six_of_ten_numbers_make_a_scale_of_numbers_and_fewer_names():
    assert suggest([*"121212", "x", "y", "z", "z"]) == "1-2"
    assert suggest([*"12121", "x", "y", "z", "z"]) == "1 | 2 | x | y | z"


def test_how_to_write_another_notation_is_said():
    assert notations(["4/5", "3 / 5"]).startswith("Write '4/5' as '4'")
    assert "different maxima (10, 5)" in notations(["4/5", "3/10"])
    assert "Write '2,5' as '2.5'" in notations(["2,5"])
    assert notations(["yes/no", "1", "N/A", "a, b"]) == ""


def test_ratings_that_are_no_numbers_are_counted_as_unusable_with_advice(tmp_path, capsys):
    table = rows(100)
    for row, value in zip(table, ["N/A", "N/A", "-", "4/5", "2,0"], strict=False):
        row["rating"] = value
    table[9]["rating"] = "six"
    code, found = check(capsys, write(tmp_path / "r.csv", table), "--scale", "1-5")
    assert code == 1
    assert found["rows"]["values"] == {"six": 1}
    assert found["data"]["notes"]["values"] == [
        "Ratings are read as: '2,0' = 2 (1), '4/5' = 4 (1).",
        "Read as no rating: 'N/A' (2), '-' (1).",
    ]
    assert found["data"]["notes"]["unrated"] == 3
    code, found = check(capsys, tmp_path / "r.csv", "--skip-unusable", "--scale", "1-5")
    assert (code, finding(found, "unusable_rows")["severity"]) == (0, "warning")
    assert "a fit leaves it out" in finding(found, "unusable_rows")["message"]
    with pytest.raises(NoScale, match=r"Write '4/5' as '4', because 5 is the maximum anyway.*`--scale 1-5 --missing"):
        load([tmp_path / "r.csv"])


def test_ratings_all_of_which_are_n_of_m_are_numbers_up_to_m(tmp_path, capsys):
    table = [{**row, "rating": f"{int(row['rating']) % 4 + 1}/5"} for row in rows(100)]
    code, found = check(capsys, write(tmp_path / "r.csv", table))
    assert (code, found["scale"]["levels"]) == (0, list("12345"))
    assert found["labels"]["data"]["pooled"]["5"] == 0


def test_a_rating_column_of_texts_is_an_error_that_shows_the_form(tmp_path, capsys):
    file = write(tmp_path / "r.csv", rows())
    code, found = check(capsys, file, "--rating-col", "response", "--response-col", "rating")
    assert (code, codes(found)) == (1, {"no_scale"})
    assert '--scale "Bad < Fair < Good"' in finding(found, "no_scale")["message"]
