"""Rating cells in the forms that people use: several in one cell, other notations, codes for missing, means, bins."""

import json
from collections import Counter

import pytest

from doctored import check, rows, write
from rationem.data import Columns, NoScale, Values, load
from rationem.data.ladders import _LADDERS, ladder, normal
from rationem.data.ladders_elsewhere import LADDERS
from rationem.data.notations import numbers
from rationem.data.onto_scale import nearest
from rationem.data.suggest import propose, raters_of
from rationem.errors import ConfigError, DataError
from rationem.tasks.scale import Scale

FIVE = Scale.parse("1-5")


def table(cells):
    return [{**row, "rating": cell} for row, cell in zip(rows(len(cells)), cells, strict=True)]


def loaded(tmp_path, cells, scale, **values):
    return load([write(tmp_path / "r.csv", table(cells))], scale=Scale.parse(scale), values=Values(**values))


@pytest.mark.parametrize(
    ("cells", "scale", "first"),
    [
        (["['no', 'no', 'yes']", "['yes']"], "yes/no", ("no", "no", "yes")),
        (["[1, 0, 0]", "[0, 0]"], "0-1", ("1", "0", "0")),
        (['["no","yes","no"]', '["yes"]'], "yes/no", ("no", "yes", "no")),
        (["(3, 4)", "(2,)"], "1-5", ("3", "4")),
        (["[3 4 4]", "[1 2]"], "1-5", ("3", "4", "4")),
        (["3,3,4", "2,5,1"], "1-5", ("3", "3", "4")),
        (["4;5", "4"], "1-5", ("4", "5")),
        (["4 | 5", "1 | 2"], "1-5", ("4", "5")),
        (["3 4 5", "1 1 1"], "1-5", ("3", "4", "5")),
        (["3,4", "2,2"], "1-5", ("3", "4")),
        (["good; bad; good", "bad; bad"], "bad < good", ("good", "bad", "good")),
    ],
)
def test_a_cell_with_several_ratings_is_several_raters(tmp_path, cells, scale, first):
    found = loaded(tmp_path, cells, scale)
    assert found.examples[0].ratings == first
    assert found.notes["values"]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (json.dumps([{"rating": 4}]), "a list of objects with the keys ['rating']"),
        (json.dumps([{"who": "a", "score": 4}]), "`--rating-col 'rating[].KEY'`"),
        (json.dumps({"a": 1, "b": 2}), "an object with the keys ['a', 'b']"),
        ("[[1, 2], [3]]", "a list of lists"),
    ],
)
def test_another_shape_in_a_cell_is_an_error_that_names_it(tmp_path, cell, told):
    with pytest.raises(DataError) as error:
        load([write(tmp_path / "r.csv", table([cell] * 3))])
    assert told in str(error.value)
    assert "r.csv:2" in str(error.value)


@pytest.mark.parametrize(
    ("cells", "scale"),
    [
        (["[1, 0, 0]", "[0, 1]"], "0-1"),
        (["['no','no','yes']", "['yes']"], "no < yes"),
        (["3,3,4", "2,5,1"], "1-5"),
        (["yes;yes;no", "no;no"], "no < yes"),
    ],
)
def test_no_list_is_ever_proposed_as_a_level(tmp_path, cells, scale):
    with pytest.raises(NoScale) as error:
        load([write(tmp_path / "r.csv", table(cells))])
    assert error.value.suggestion == scale


def test_two_numbers_with_a_comma_are_asked_about_unless_the_scale_says(tmp_path):
    cells = ["3,4", "2,3", "4,1"]
    with pytest.raises(NoScale, match=r"can be two ratings, 3 and 4, or the number 3\.4") as error:
        load([write(tmp_path / "r.csv", table(cells))])
    assert error.value.suggestion is None
    assert loaded(tmp_path, cells, "1-4").examples[0].ratings == ("3", "4")
    assert loaded(tmp_path, ["3,5", "2,5", "4"], "1-5 by 0.5").examples[0].answer == "3.5"


@pytest.mark.parametrize(
    ("cells", "proposed"),
    [
        (["80%", "20%", "100%", "60%", "40%"], "20 < 40 < 60 < 80 < 100"),
        (["4/5", "3/5", "1/5"], "1-5"),
        (["−2", "−1", "0", "+1", "+2"], "-2 to 2"),
        (["3,5", "4", "2,5"], "2.5-4 by 0.5"),
        (["★", "★★★★"], "1-4"),
        (["★★☆☆☆", "★☆☆☆☆"], "1-5"),
        (["1 star", "4 stars"], "1-4"),
        (["4 out of 5", "1 out of 5"], "1-5"),
        (["4 - good", "1 - bad"], "1-4"),
        (["1 (Very poor)", "4 (Good)"], "1-4"),
        (["Agree (4)", "Disagree (2)"], "2-4"),
        (["5: Excellent", "1: Bad", "3: Fair"], "1-5"),
        (["Score: 4", "Score: 1"], "1-4"),
    ],
)
def test_a_notation_is_read_as_numbers_and_told(tmp_path, cells, proposed):
    with pytest.raises(NoScale) as error:
        load([write(tmp_path / "r.csv", table(cells))])
    assert error.value.suggestion == proposed
    found = loaded(tmp_path, cells, proposed)
    assert len(found.examples) == len(cells)
    assert found.notes["values"][0].startswith("Ratings are read as: ")


@pytest.mark.parametrize("cells", [["4/5", "3/4"], ["80%", "0.8"], ["a 4", "b 4"], ["red", "blue"], []])
def test_what_is_not_one_notation_is_left_alone(cells):
    assert numbers(cells) in (({}, ""), ({}, ""))


@pytest.mark.parametrize(
    ("cell", "scale", "level"),
    [
        ("TRUE", "yes/no", "yes"),
        ("f", "yes/no", "no"),
        ("strongly_agree", "Disagree < Agree < Strongly agree", "Strongly agree"),
        ("AGREE", "Disagree < Agree", "Agree"),
        ("4 - good", "bad < good", "good"),
        ("4 / 5", "1-5", "4"),
        ("★★★", "1-5", "3"),
    ],
)
def test_a_known_scale_says_what_a_cell_means(tmp_path, cell, scale, level):
    assert loaded(tmp_path, [cell, cell], scale).examples[0].answer == level


def test_four_of_ten_is_not_four_of_five(tmp_path):
    with pytest.raises(DataError, match="is not a level"):
        loaded(tmp_path, ["4/10", "4"], "1-5")


def test_a_missing_code_costs_its_cell_and_nothing_else(tmp_path):
    table = [{**row, "a": 1 + n % 4, "b": 0 if n % 3 == 0 else 2, "c": "X" if n % 5 == 0 else 3}
             for n, row in enumerate(rows(30))]  # fmt: skip
    columns = Columns(rating="a,b,c")
    found = load(
        [write(tmp_path / "r.csv", table)], scale=Scale.parse("1-4"), columns=columns, values=Values(("0", "x"))
    )
    assert len(found.examples) == 30
    assert Counter(max(len(x.ratings), 1) for x in found.examples) == {3: 16, 2: 12, 1: 2}
    assert found.notes["missing_ratings"] == 16
    assert found.notes["values"] == ["Read as no rating: '0' (10), 'X' (6)."]


def test_a_missing_code_for_one_criterion_keeps_the_rows_others(tmp_path):
    table = [{**row, "help": 1 + n % 5, "tone": "N/A" if n == 3 else 1 + n % 3} for n, row in enumerate(rows(20))]
    found = load([write(tmp_path / "r.csv", table)], scale=FIVE, criteria=("help", "tone"), values=Values(("n/a",)))
    assert Counter(x.criterion for x in found.examples) == {"help": 20, "tone": 19}


def test_an_item_whose_only_rating_is_missing_is_counted_and_left_out(tmp_path):
    found = loaded(tmp_path, ["1", "0", "5"], "1-5", missing=("0",))
    assert (len(found.examples), found.notes["unrated"]) == (2, 1)


@pytest.mark.parametrize(("cell", "level"), [("3.4/5", "3"), ("3.5", "4"), ("4/5", "4")])
def test_a_number_out_of_the_highest_level_is_rounded(tmp_path, cell, level):
    assert loaded(tmp_path, [cell, *"12345"], "1-5", round=True).examples[0].answer == level


@pytest.mark.parametrize("cell", ["4/10", "3.4/10", "80%"])
def test_rounding_never_takes_a_number_out_of_another_highest(tmp_path, cell):
    """4 of 10 is no 4 on a scale of 5."""
    with pytest.raises(DataError, match="is not a level of the scale"):
        loaded(tmp_path, [cell, *"12345"], "1-5", round=True)


def test_means_are_recognised_and_rounded_on_request(tmp_path):
    cells = ["3.33", "3.67", "2.67", "5", "1.33"]
    assert raters_of(cells) == 3
    proposed = propose(cells)
    assert (proposed.scale, proposed.settings) == ("1-5", {"round": True})
    assert "means of 3 ratings" in proposed.why
    with pytest.raises(DataError, match="is not a level"):
        loaded(tmp_path, cells, "1-5")
    found = loaded(tmp_path, cells, "1-5", round=True)
    assert [x.answer for x in found.examples] == ["3", "4", "3", "5", "1"]


@pytest.mark.parametrize(("text", "level"), [("2.5", "3"), ("2.49", "2"), ("5", "5"), ("5.2", "5.2"), ("0.9", "0.9")])
def test_a_number_goes_to_the_nearest_level_of_its_scale(text, level):
    assert nearest(text, FIVE) == level


def test_on_a_falling_scale_half_way_is_the_better_grade():
    assert nearest("2.5", Scale.parse("5 < 4 < 3 < 2 < 1")) == "2"


def test_bins_are_levels_of_equal_width_or_have_the_given_edges(tmp_path):
    cells = [str(n) for n in range(0, 101, 5)]
    found = loaded(tmp_path, cells, "1-5", bins=("5",))
    assert found.values.bins == ("20", "40", "60", "80")
    assert Counter(x.answer for x in found.examples) == {"1": 4, "2": 4, "3": 4, "4": 4, "5": 5}
    named = loaded(tmp_path, cells, "low < high", bins=("50.0",))
    assert Counter(x.answer for x in named.examples) == {"low": 10, "high": 11}


@pytest.mark.parametrize("bins", ["1", "a", "40,20", "20,20,30", "51"])
def test_bins_that_are_none_are_refused(bins):
    with pytest.raises(ConfigError, match="--bins"):
        Values.parse(None, (), round=False, bins=bins)


def test_the_users_map_comes_first(tmp_path):
    found = loaded(tmp_path, ["good", "bad", "3"], "1-3", given=(("good", "3"), ("bad", "1")))
    assert [x.answer for x in found.examples] == ["3", "1", "3"]
    with pytest.raises(ConfigError, match="CELL=LEVEL"):
        Values.parse(None, ("good",), round=False, bins=None)


@pytest.mark.parametrize(
    "order",
    [
        ["Strongly disagree", "Disagree", "Neutral", "Agree", "Strongly agree"],
        ["STRONGLY DISAGREE", "SOMEWHAT DISAGREE", "NEITHER AGREE NOR DISAGREE", "SOMEWHAT AGREE", "STRONGLY AGREE"],
        ["never", "rarely", "sometimes", "often", "always"],
        ["Very dissatisfied", "Dissatisfied", "Neutral", "Satisfied", "Very satisfied"],
        ["very unlikely", "unlikely", "likely", "very likely"],
        ["Not at all helpful", "Slightly helpful", "Moderately helpful", "Very helpful", "Extremely helpful"],
        ["Not Met", "Partially Met", "Met"],
        ["Very poor", "Poor", "Fair", "Good", "Excellent"],
        ["irrelevant", "somewhat relevant", "relevant", "highly relevant"],
        ["F", "D", "C", "B", "A"],
        ["Much worse", "Worse", "About the same", "Better", "Much better"],
        ["unsafe", "safe"],
        ["FALSE", "TRUE"],
        ["ungenügend", "mangelhaft", "ausreichend", "befriedigend", "gut", "sehr gut"],
        ["Stimme nicht zu", "Stimme eher nicht zu", "Teils/teils", "Stimme eher zu", "Stimme zu"],
        ["Pas du tout d\u2019accord", "Plutôt pas d\u2019accord", "Plutôt d\u2019accord", "Tout à fait d\u2019accord"],
        ["No", "Parcialmente", "Sí"],
        ["PÉSSIMO", "RUIM", "REGULAR", "BOM", "ÓTIMO"],
        ["Scarso", "Sufficiente", "Buono", "Ottimo"],
        ["helemaal mee oneens", "mee oneens", "neutraal", "mee eens", "helemaal mee eens"],
    ],
)
def test_known_wordings_come_in_their_order(order):
    assert ladder(sorted(order)) == order
    assert ladder(order[::-1]) == order


def test_no_two_words_stand_in_different_orders_in_two_ladders():
    ladders = [*_LADDERS, *(one for several in LADDERS.values() for one in several)]
    assert all(normal(word) == word for one in ladders for word in one)
    before = {(one, other) for order in ladders for at, one in enumerate(order) for other in order[at + 1 :]}
    assert {pair for pair in before if pair[::-1] in before} == set()
    assert all(len(set(one)) == len(one) for one in ladders)


@pytest.mark.parametrize("words", [["red", "blue"], ["A", "B"], ["agree", "happy"], ["good"], ["met", "Met"]])
def test_words_without_a_known_order_have_none(words):
    assert ladder(words) is None


def test_criteria_with_different_ranges_are_never_pooled(tmp_path, capsys):
    table = [{**row, "helpful": 1 + n % 5, "tone": 2 + n % 9} for n, row in enumerate(rows(90))]
    file = write(tmp_path / "r.csv", table)
    _, found = check(capsys, file, "--criterion", "helpful,tone")
    assert found["scale"]["text"] == "helpful: 1-5; tone: 2-10"
    assert found["criteria"]["data"]["helpful"]["pooled"] == {str(level): 18 for level in range(1, 6)}


def test_criteria_that_do_not_use_an_end_share_the_scale(tmp_path, capsys):
    table = [{**row, "helpful": 1 + n % 5, "tone": 2 + n % 4} for n, row in enumerate(rows(90))]
    _, found = check(capsys, write(tmp_path / "r.csv", table), "--criterion", "helpful,tone")
    assert found["scale"]["levels"] == list("12345")
