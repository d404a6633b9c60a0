"""A scale owns its levels: what is offered can be said, read back, compared and pooled, and nothing else can."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rationem import Scale
from rationem.errors import ConfigError
from rationem.tasks.scale import MARKER

SAF = " < ".join("0 0.1 0.125 0.25 0.5 0.75 1".split())


@pytest.mark.parametrize(
    ("text", "levels", "values"),
    [
        ("1-5", "1 2 3 4 5", (1, 2, 3, 4, 5)),
        ("0 to 4", "0 1 2 3 4", (0, 1, 2, 3, 4)),
        ("-3..3", "-3 -2 -1 0 1 2 3", (-3, -2, -1, 0, 1, 2, 3)),
        ("-3--1", "-3 -2 -1", (-3, -2, -1)),
        ("1-3 by 0.5", "1 1.5 2 2.5 3", (1, 1.5, 2, 2.5, 3)),
        ("0-1 step 0.25", "0 0.25 0.5 0.75 1", (0, 0.25, 0.5, 0.75, 1)),
        ("0-0.3 by 0.1", "0 0.1 0.2 0.3", (0, 0.1, 0.2, 0.3)),
        ("8-11", "8 9 10 11", (8, 9, 10, 11)),
        ("1–5", "1 2 3 4 5", (1, 2, 3, 4, 5)),
        ("1-2 by .5", "1 1.5 2", (1, 1.5, 2)),
        ("Bad < Fair < Good", "Bad Fair Good", (1, 2, 3)),
        ("yes/no", "no yes", (1, 2)),
        (SAF, SAF.replace(" <", ""), (0, 0.1, 0.125, 0.25, 0.5, 0.75, 1)),
        ("3 < 1 < 2", "3 1 2", (1, 2, 3)),  # numbers out of order are names
    ],
)
def test_scales_as_people_write_them(text, levels, values):
    scale = Scale.parse(text)
    assert scale.levels == tuple(levels.split())
    assert scale.values == values
    assert scale.ordered
    assert Scale.from_description(scale.describe()) == scale


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5-1", "rise"),
        ("1-500", "100 steps"),
        ("1-5 by 0", "rise"),
        ("1-5 by 3", "do not lead to 5"),
        ("Good", "Bad < Fair < Good"),
        ("Good <", "Cannot read"),
        ("a < A", "differ"),
        ("A |  | B", "Cannot read"),
    ],
)
def test_what_is_no_scale_is_refused_with_an_example(text, said):
    with pytest.raises(ConfigError, match=said):
        Scale.parse(text)


def test_levels_without_an_order():
    scale = Scale.parse("A | B | tie")
    assert (scale.levels, scale.ordered) == (("A", "B", "tie"), False)
    assert scale.sentence() == "A | B | tie"
    assert scale.pool(["A", "B", "A"], "mean") == "A"
    assert scale.pool(["A", "B"], "majority") is None


def test_a_level_that_begins_with_another_is_read_whole():
    scale = Scale.parse("1-10")
    assert scale.read(f"{MARKER} 10").answer == "10"
    assert scale.read(f"{MARKER} 1").answer == "1"
    assert scale.read(f"{MARKER} 100").problem == "unoffered_level"
    halves = Scale.parse("1-5 by 0.5")
    assert halves.read(f"{MARKER} 4.5").answer == "4.5"
    assert halves.read(f"{MARKER} 4.").answer == "4"
    assert halves.read(f"{MARKER} 4.25").problem == "unoffered_level"
    assert Scale.parse("-3..3").read(f"{MARKER} -3").answer == "-3"


@pytest.mark.parametrize(
    ("scale", "cell", "level"),
    [
        ("1-5", 4, "4"),
        ("1-5", 4.0, "4"),
        ("1-5", " 4.00 ", "4"),
        ("1-5", "4e0", "4"),
        ("1-5", 3.5, None),
        ("1-5", "1_0", None),
        ("1-5", "3e4567890", None),
        ("1-5", "12e345678901", None),
        ("1-5", "9" * 5000, None),
        ("1-5", "nan", None),
        ("1-5", "inf", None),
        ("1-5", True, None),
        ("1-5 by 0.5", "3.50", "3.5"),
        ("0-1 by 0.25", ".5", "0.5"),
        ("-3..3", "+2", "2"),
        ("yes/no", True, "yes"),
        ("yes/no", False, "no"),
        ("yes/no", "YES", "yes"),
        ("Bad < Good", "good", "Good"),
        ("Bad < Good", "goo", None),
    ],
)
def test_cells_mean_levels_or_nothing(scale, cell, level):
    assert Scale.parse(scale).level(cell) == level


@pytest.mark.parametrize(
    ("scale", "ratings", "mean", "median", "majority"),
    [
        ("1-5", "2 3", "3", "3", "2"),  # half up; of two that are as frequent and as near the lower
        ("1-5", "1 1 5", "2", "1", "1"),
        ("1-5", "1 5 5", "4", "5", "5"),
        ("1-5", "1 1 4 4 5", "3", "4", "4"),  # 1 and 4 are as frequent; the mean is 3
        ("-3..3", "-1 0", "0", "0", "-1"),  # -0.5 is rounded up
        ("1-5 by 0.5", "3 3.5 3.5", "3.5", "3.5", "3.5"),
        (SAF, "0.1 0.125", "0.125", "0.125", "0.1"),  # 0.1125 is as near to both; exact, not by floats
        ("Bad < Fair < Good", "Bad Good", "Fair", "Fair", "Bad"),
    ],
)
def test_several_ratings_become_one_label(scale, ratings, mean, median, majority):
    scale, given = Scale.parse(scale), ratings.split()
    assert [scale.pool(given, how) for how in ("mean", "median", "majority")] == [mean, median, majority]
    assert scale.pool(given[::-1], "mean") == mean


def test_closeness_is_one_minus_the_difference_over_the_range():
    assert [Scale.parse("-3..3").closeness("-3", level) for level in ("-3", "0", "3")] == [1, 0.5, 0]
    assert Scale.parse(SAF).closeness("0.125", "0.25") == 0.875


def test_meanings_are_written_level_by_level_and_must_be_on_the_scale():
    scale = Scale.parse("1-3").with_meanings({"3": "complete\n and right", "1.0": "useless"})
    assert scale.described() == "1: useless\n3: complete and right"
    assert scale.sentence() == "1 < 2 < 3"
    assert Scale.parse("1-3").described() == ""
    with pytest.raises(ConfigError, match="'4' is not a level"):
        Scale.parse("1-3").with_meanings({"4": "more"})


@pytest.mark.slow
@given(low=st.integers(-50, 50), steps=st.integers(1, 40), size=st.sampled_from(["0.1", "0.25", "0.5", "1", "3"]))
def test_steps_are_exact(low, steps, size):
    high = low + steps * Fraction(size)
    scale = Scale.parse(f"{low} to {float(high):g} by {size}")
    assert [Fraction(level) for level in scale.levels] == [low + n * Fraction(size) for n in range(steps + 1)]
    assert all(scale.read(f"because\n{MARKER} {level}").answer == level for level in scale.levels)


@pytest.mark.slow
@given(ranks=st.lists(st.integers(0, 8), min_size=1, max_size=7))
def test_the_mean_of_half_steps_is_the_nearest_level_half_up(ranks):
    scale = Scale.parse("1-5 by 0.5")
    mean = Fraction(sum(ranks), len(ranks))
    assert scale.rank(scale.mean([scale.levels[rank] for rank in ranks])) == int(mean + Fraction(1, 2))


@pytest.mark.parametrize(
    ("scale", "probabilities", "mean"),
    [
        # German grades, 1 is the best: .5 of 1, .25 of 2, .25 of 3 are 1.75. It was 4.25, as if 1 were 5.
        ("5 < 4 < 3 < 2 < 1", (0, 0, 0.25, 0.25, 0.5), 1.75),
        ("1 < 0 < -1", (0.5, 0.25, 0.25), 0.25),  # .5 * 1 - .25 * 1; it was 1.75, off the scale
        ("10 < 5 < 1", (0.5, 0.5, 0), 7.5),
        ("2 < 3 < 1", (0.5, 0, 0.5), 1.5),  # whatever order they are in, they are numbers
        ("-3..3", (0.5, 0, 0, 0, 0, 0, 0.5), 0),
        ("1-5 by 0.5", (0, 0.5, 0.5, 0, 0, 0, 0, 0, 0), 1.75),
        ("Bad < Fair < Good", (0.5, 0.5, 0), 1.5),
        ("A | B", (0.5, 0.5), None),
    ],
)
def test_the_expected_rating_is_in_the_units_of_the_levels(scale, probabilities, mean):
    assert Scale.parse(scale).expected(probabilities) == (mean if mean is None else pytest.approx(mean))


def test_distances_on_falling_levels_are_those_of_their_numbers():
    falling = Scale.parse("10 < 5 < 1")
    assert falling.closeness("10", "5") == pytest.approx(1 - 5 / 9)
    assert falling.values == (-10, -5, -1)


@pytest.mark.parametrize("how", ["mean", "median", "majority"])
def test_a_scale_with_other_names_gives_the_same_labels_by_other_names(how):
    """1 < ... < 5 and 5 < ... < 1 mirror each other, and so do their labels: half-way is the better level."""
    rising, falling = Scale.parse("1-5"), Scale.parse("5 < 4 < 3 < 2 < 1")
    for ratings in itertools.product("12345", repeat=3):
        mirrored = [str(6 - int(one)) for one in ratings]
        for said, turned in ((ratings, mirrored), (ratings[:2], mirrored[:2])):
            assert int(falling.pool(turned, how)) == 6 - int(rising.pool(said, how))
    assert (rising.pool("23", "mean"), falling.pool("23", "mean")) == ("3", "2")  # the better of 2 and 3
