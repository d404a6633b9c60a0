"""Rating cells that look like something else: dates, signs, separators, other digits, words against the numbers."""

import json

import pytest

from doctored import check, codes, finding, rows, write
from rationem.cli.main import main
from rationem.data import Columns, NoScale, Values, load
from rationem.data.shapes import Condition, Shapes
from rationem.data.suggest import propose
from rationem.errors import DataError
from rationem.tasks.scale import Scale


def table(cells, count=20):
    return [{**row, "rating": cells[n % len(cells)]} for n, row in enumerate(rows(count))]


def loaded(tmp_path, cells, scale, count=None, **values):
    file = write(tmp_path / "r.csv", table(cells, count or len(cells)))
    return load([file], scale=Scale.parse(scale), values=Values(**values))


def answers(tmp_path, cells, scale, **values):
    return [x.answer for x in loaded(tmp_path, cells, scale, **values).examples]


def asked(tmp_path, cells):
    with pytest.raises(NoScale) as error:
        load([write(tmp_path / "r.csv", table(cells))])
    return error.value


DATES = ["3-Feb", "02-Mar", "Feb-03", "1. März", "03-févr", "3 February 2024", "2024-05-01", "2024-05-01 00:00:00"]


@pytest.mark.parametrize("cell", DATES)
def test_a_date_is_no_rating_and_the_message_names_the_spreadsheet(tmp_path, cell):
    with pytest.raises(DataError, match="a spreadsheet seems to have made dates of cells such as 2-3 or 3/4"):
        loaded(tmp_path, [*"12345", cell], "1-5")
    error = asked(tmp_path, [cell, "3", cell])
    assert error.suggestion is None
    assert "Format the column as text" in str(error)


def test_words_that_begin_like_months_are_no_dates(tmp_path):
    assert answers(tmp_path, ["4 - maybe", "2 - marginal"], "1-5") == ["4", "2"]


@pytest.mark.parametrize(
    "order", [["--", "-", "0", "+", "++"], ["-", "+"], ["-", "0", "+"], ["+", "++", "+++"], ["-", "~", "+"]]
)
def test_minuses_beside_pluses_are_levels(tmp_path, capsys, order):
    file = write(tmp_path / "r.csv", table(order[::-1], 60))
    _, found = check(capsys, file)
    assert found["scale"]["levels"] == order
    assert sum(found["labels"]["data"]["ratings"].values()) == 60
    assert "--missing" not in found["command"]["text"]
    assert propose([*order, "N/A"]).settings == {"missing": "N/A"}


def test_a_minus_without_a_plus_is_no_rating():
    assert propose(["1", "2", "3", "-"]).settings == {"missing": "-"}


@pytest.mark.parametrize(
    ("cells", "proposed"),
    [
        (["900", "1,250", "4,000", "750", "12,000"], "750 < 900 < 1250 < 4000 < 12000"),
        (["900", "1.250", "4.000", "750", "12.000"], "750 < 900 < 1250 < 4000 < 12000"),
        (["900", "1 250", "4\u00a0000"], "900 < 1250 < 4000"),
        (["1.250", "2.500", "12,5"], "12.5 < 1250 < 2500"),
        (["1,250.5", "900", "700"], "700 < 900 < 1250.5"),
        (["900 USD", "1,250 USD"], "900 < 1250"),
        (["3,5", "1,250", "2"], "1.25 < 2 < 3.5"),
        (["3,333", "3,667", "4", "3"], "3-4"),
        (["1.250", "2.500", "5.000"], "1.25-5 by 1.25"),
        (["33.333", "66.667", "100", "0"], "0 < 33.333 < 66.667 < 100"),
    ],
)
def test_separators_between_thousands_are_no_decimal_marks(tmp_path, cells, proposed):
    wanted = Scale.parse(proposed).levels
    found = Scale.parse(asked(tmp_path, cells).suggestion or "none < at all").levels
    assert set(wanted) <= set(found) or found == wanted


@pytest.mark.parametrize("cells", [["1,250", "2,500", "6,250"], ["33,333", "66,667", "100"], ["5", "12", "1,250"]])
def test_numbers_of_two_sizes_are_asked_about(tmp_path, cells):
    error = asked(tmp_path, cells)
    assert error.suggestion is None
    assert "Which is it?" in str(error)
    assert "--bins" in str(error)
    with pytest.raises(DataError, match="Which is it"):
        loaded(tmp_path, cells, "1-5", bins=("5",))


def test_bins_and_scales_say_which_size_is_meant(tmp_path):
    cells = ["900", "1,250", "4,000", "750", "12,000"]
    assert answers(tmp_path, cells, "1-5", bins=("800", "1000", "3000", "10000")) == ["2", "3", "4", "1", "5"]
    assert answers(tmp_path, ["1,250", "2,500"], "1-2", bins=("2000.0",)) == ["1", "2"]
    assert answers(tmp_path, ["1,250", "2,500"], "1250 < 2500") == ["1250", "2500"]
    assert answers(tmp_path, ["1,250", "2,500"], "1-4", round=True) == ["1", "3"]


def test_three_scores_in_a_cell_stay_three_ratings(tmp_path):
    cells = ["100,100,100", "20,100,30", "5,10,100"]
    assert loaded(tmp_path, cells, "0-100").examples[0].ratings == ("100", "100", "100")


def test_a_condition_reads_numbers_like_a_rating_and_counts_cells_that_are_none(tmp_path):
    table_of = [{**row, "p": p} for row, p in zip(rows(5), ["400", "1,000", "n/a", "2,500", "600"], strict=True)]
    file, where = write(tmp_path / "r.csv", table_of), (Condition.parse("p>=500"),)
    found = load([file], scale=Scale.parse("1-5"), shapes=Shapes(where=where))
    assert len(found.examples) == 3
    assert any("no number" in line and line.endswith(": 1.") for line in found.notes["shape"])


@pytest.mark.parametrize("cell", ["N/A", "n.a.", "-", "–", "—", "don't know"])
def test_a_scale_changes_nothing_about_cells_that_say_that_there_is_no_rating(tmp_path, cell):
    found = loaded(tmp_path, ["1", "5", cell], "1-5")
    assert (len(found.examples), found.notes["unrated"]) == (2, 1)
    assert found.notes["values"] == [f"Read as no rating: {cell!r} (1)."]
    assert cell in asked(tmp_path, ["1", "5", "3", cell]).settings["missing"]


def test_a_level_is_a_rating_whatever_it_is_called(tmp_path):
    assert answers(tmp_path, ["none", "NONE", "some"], "none < some") == ["none", "none", "some"]
    assert answers(tmp_path, ["-", "0"], "0-1", given=(("-", "1"),)) == ["1", "0"]


@pytest.mark.parametrize(
    ("cells", "told"),
    [(["1", "2.5"], '--round, or --scale "1-5 by 0.5"'), (["1", "3.33"], "--round."), (["1", "x"], "--missing=x")],
)
def test_the_message_on_other_values_names_the_flag(tmp_path, cells, told):
    with pytest.raises(DataError) as error:
        loaded(tmp_path, cells, "1-5")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("cells", "scale"),
    [
        (["1\ufe0f\u20e3", "2\ufe0f\u20e3", "3"], "1-3"),
        (["'1", '="2"', "3"], "1-3"),
        (["1E+00", "3E+00", "2"], "1-3"),
        (["１０", "２", "3"], "2-10"),
        (["👍🏽", "👎", "👍"], "👎 < 👍"),
        (["😀", "😡", "😐", "☹️"], "😡 < ☹ < 😐 < 😀"),
    ],
)
def test_a_number_or_a_face_in_other_characters_is_what_it_shows(tmp_path, cells, scale):
    assert asked(tmp_path, cells).suggestion == scale
    assert len(loaded(tmp_path, cells, scale).examples) == len(cells)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["1-2", "2", "3-4", "4"], "--map 1-2=LEVEL 3-4=LEVEL"),
        (["100%", "20%", "40", "60%"], "--map 100%=100 20%=20 60%=60"),
        (["1, 2", "3, 4", "2", "5"], "can be two ratings, 1 and 2"),
        (["1?", "2?", "3", "4"], "--map '1?=1' '2?=2'"),
    ],
)
def test_cells_that_are_no_single_number_are_asked_about(tmp_path, cells, told):
    error = asked(tmp_path, cells)
    assert error.suggestion is None
    assert told in str(error)


def test_levels_without_an_order_are_called_so(tmp_path, capsys):
    _, found = check(capsys, write(tmp_path / "r.csv", table(["red", "blue"], 60)))
    assert "without an order" in found["command"]["because"]["--scale"]


FALLING = ["1 = very good", "2 = good", "3 = ok", "4 = bad", "5 = very bad"]


@pytest.mark.parametrize(
    "cells", [FALLING, ["Very good (1)", "Good (2)", "Very bad (3)"], ["1 - great", "2 - ok", "3 - terrible"]]
)
def test_words_say_which_number_is_the_best(tmp_path, cells):
    error = asked(tmp_path, cells)
    assert error.suggestion == " < ".join(str(n) for n in range(len(cells), 0, -1))
    assert "The words say that 1 (" in str(error)


@pytest.mark.parametrize(
    ("scale", "warned"),
    [("1-5", True), ("5 < 4 < 3 < 2 < 1", False), ("very bad < bad < ok < good < very good", False)],
)
def test_a_scale_against_the_words_is_a_warning(tmp_path, capsys, scale, warned):
    _, found = check(capsys, write(tmp_path / "r.csv", table(FALLING, 60)), "--scale", scale)
    assert ("direction" in codes(found, "warning")) is warned


def test_columns_that_differ_by_a_level_stand_for_it(tmp_path):
    levels = [str(1 + n % 5) for n in range(30)]
    marked = [
        {**row, **{f"Answer.rating.{at}": str(level == at).lower() for at in "12345"}}
        for row, level in zip(rows(30), levels, strict=True)
    ]
    for row in marked:
        del row["rating"]
    file, names = write(tmp_path / "r.csv", marked), Columns(rating=",".join(f"Answer.rating.{at}" for at in "12345"))
    assert [x.answer for x in load([file], scale=Scale.parse("1-5"), columns=names).examples] == levels
    with pytest.raises(NoScale) as error:
        load([file], columns=names)
    assert error.value.suggestion == "1-5"


def test_an_unusable_row_adds_no_level_to_the_proposed_scale(tmp_path):
    whole = [*table(list("12345")), {"prompt": "", "response": "Total", "rating": "62"}]
    with pytest.raises(NoScale) as error:
        load([write(tmp_path / "r.csv", whole)], skipped=[])
    assert error.value.suggestion == "1-5"


@pytest.mark.parametrize("text", ["Total", "Grand Total", "Average", "Gesamtergebnis", "N = 20"])
def test_a_sum_below_the_table_is_suspected(tmp_path, capsys, text):
    whole = [*table(list("12345"), 60), {"prompt": text, "response": "60", "rating": "3"}]
    _, found = check(capsys, write(tmp_path / "r.csv", whole), "--scale", "1-5")
    assert f"prompt!={text}" in finding(found, "total_row")["message"]
    assert finding(found, "total_row")["places"] == [f"{tmp_path / 'r.csv'}:62"]
    _, found = check(capsys, tmp_path / "r.csv", "--scale", "1-5", "--where", f"prompt!={text}")
    assert "total_row" not in codes(found)


def rated_by(tmp_path, cells, name="rating"):
    path = tmp_path / "r.jsonl"
    table = [{"prompt": f"q{n}", "response": f"a{n}", name: cell} for n, cell in enumerate(cells)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in table))
    return str(path)


def test_no_rating_of_a_dense_scale_is_a_code(tmp_path, capsys):
    """98 between 97 and 99 is a rating; 999 far above all, and -1 below them, are codes."""
    _, found = check(capsys, rated_by(tmp_path, [n % 101 for n in range(303)]))
    assert found["data"]["items"] == 303
    assert "--missing" not in found["command"]["text"]
    cells = [85, 90, 95, 78, 88, 92, 97, 80, 99, -1] * 8
    _, found = check(capsys, rated_by(tmp_path, cells))
    assert "--missing=-1" in found["command"]["text"]
    assert found["data"]["items"] == 72


@pytest.mark.parametrize(
    "cells",
    [
        [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [1, 0, 0], [0.25, 0.5, 0.25], [0, 0.4, 0.6]] * 4,
        [[20, 50, 30], [10, 10, 80], [100, 0, 0], [1, 2, 97], [33, 33, 34]] * 4,
        [[0, 1, 4], [5, 0, 0], [2, 2, 1], [0, 0, 5], [1, 1, 3]] * 4,
    ],
)
def test_shares_and_counts_of_levels_are_no_ratings_of_several_people(tmp_path, capsys, cells):
    code, out = main(["check", rated_by(tmp_path, cells)]), capsys.readouterr()
    assert code == 2
    assert "shares or counts of 3 levels" in " ".join((out.out + out.err).split())
    _, found = check(capsys, rated_by(tmp_path, [[1, 2, 2], [3, 3, 1], [2, 2, 2], [1, 3, 3], [2, 1, 1], [3, 3, 3]] * 4))
    assert found["raters"]["data"]["per_item"] == {"3": 24}


@pytest.mark.parametrize("cell", ["[nan, 4.0, 2.0]", "array([4, 2])", "[np.float64(4.0), np.float64(2.0)]", "[4. 2.]"])
def test_a_list_as_numpy_prints_it_is_the_ratings_that_it_holds(tmp_path, capsys, cell):
    _, found = check(capsys, rated_by(tmp_path, [cell] * 20 + [[1, 3], [5, 5]] * 10), "--scale", "1-5")
    assert found["raters"]["data"]["per_item"] == {"2": 40}
    assert found["labels"]["data"]["ratings"] == {"1": 10, "2": 20, "3": 10, "4": 20, "5": 20}


def test_a_column_of_ranks_or_of_the_worse_response_is_suspected(tmp_path, capsys):
    _, found = check(capsys, rated_by(tmp_path, [1 + n % 4 for n in range(40)], "rank"), "--rating-col", "rank")
    assert '--scale "4 < 3 < 2 < 1"' in finding(found, "direction")["message"]
    table = [{"prompt": f"q{n}", "a": f"x{n}", "b": f"y{n}", "worse": "AB"[n % 2]} for n in range(40)]
    path = write(tmp_path / "p.csv", table)
    flags = ("--response-col", "a,b", "--rating-col", "worse", "--scale", "A | B")
    _, found = check(capsys, path, *flags)
    assert "--map A=B B=A" in finding(found, "direction")["message"]
    _, turned = check(capsys, path, *flags, "--map", "A=B", "B=A")
    assert turned["labels"]["data"]["ratings"] == {"A": 20, "B": 20}


@pytest.mark.parametrize("name", ["scores", "ranks"])
def test_a_list_called_scores_or_ranks_beside_two_responses_is_asked_about(tmp_path, capsys, name):
    table = [
        {"prompt": f"q{n}", "response_a": f"x{n}", "response_b": f"y{n}", name: cell}
        for n, cell in enumerate([[1, 2], [2, 1], [2, 2], [1, 1]] * 10)
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in table))
    flags = [str(path), "--response-col", "response_a,response_b", "--rating-col", name]
    assert main(["check", *flags]) == 2
    assert "--verdict-from" in " ".join(capsys.readouterr().err.split())
    _, found = check(capsys, *flags, "--verdict-from", name)
    assert found["labels"]["data"]["ratings"] == {"A": 10, "B": 10, "tie": 20}


def test_of_two_columns_of_errors_the_highest_is_not_taken_for_the_best(tmp_path, capsys):
    table = [{"prompt": f"q{n}", "a": f"x{n}", "b": f"y{n}", "errors_a": n % 7, "errors_b": 3} for n in range(40)]
    flags = [write(tmp_path / "p.csv", table), "--response-col", "a,b", "--rating-col", "errors_a,errors_b"]
    assert main(["check", *flags]) == 2
    assert "--verdict-from" in " ".join(capsys.readouterr().err.split())
