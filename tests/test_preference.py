"""Preference in general: degrees on two sides of a middle, and the best of several; every place has its turn."""

import json
from collections import Counter
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest

from preferred import BEST, BEST_OF, EVEN_ONE, GRADED, SCALES, SEVEN, compared, degrees, pair, task_of, three, write
from rated import guess
from rationem import JudgeTask, Scale, metrics
from rationem.cli.main import main
from rationem.config import FitConfig
from rationem.data import Columns, NoScale, load
from rationem.data.suggest_pair import suggest_pair
from rationem.errors import ConfigError, DataError
from rationem.report.sections.scores import pairs
from rationem.report.text import section
from rationem.run.prepare import alike, prepare
from rationem.tasks.pairs import every_order, given_id, side, swap_level, turned, turned_level
from rationem.tasks.scale import POOLS

# What changes places ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_the_mirror_is_an_involution_that_keeps_the_middle_and_turns_the_winner(scale):
    for level in scale.levels:
        other = swap_level(level, scale)
        assert swap_level(other, scale) == level
        assert scale.rank(other) == len(scale.levels) - 1 - scale.rank(level)
        assert scale.closeness(level, scale.levels[0]) == scale.closeness(other, scale.levels[-1])
        one, two = side(level, scale), side(other, scale)
        assert (one is None and two is None) or one == 1 - two
        assert (one is None) == (other == level)


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("how", POOLS)
def test_the_label_of_several_raters_commutes_with_the_mirror(scale, how):
    """All sets of up to four raters."""
    for said in (said for n in range(1, 5) for said in combinations_with_replacement(scale.levels, n)):
        label = scale.pool(said, how)
        turned_round = scale.pool([swap_level(level, scale) for level in said], how)
        assert turned_round == (None if label is None else swap_level(label, scale)), said
        assert len(scale.levels) % 2 == 0 or label is not None


def test_halves_go_toward_the_middle_and_up_where_nothing_changes_places():
    assert [SEVEN.mean(["-1", "0"]), SEVEN.mean(["1", "0"]), SEVEN.mean(["-3", "-2"])] == ["0", "0", "-2"]
    plain = Scale.parse("-3..3")
    assert [plain.mean(["-1", "0"]), plain.mean(["1", "0"])] == ["0", "1"]
    assert SEVEN.median(["-1", "0", "0", "-1"]) == "0"
    assert [SEVEN.majority(["-1", "1"]), SEVEN.majority(["-3", "-1"]), plain.majority(["-1", "1"])] == ["0", "-1", "-1"]
    # between the two middle levels of an even number there is no label, unless most raters say one
    assert EVEN_ONE.mean(["2", "3"]) is EVEN_ONE.pool(["1", "4"], "mean") is None
    assert EVEN_ONE.pool(["2", "2", "2", "4"], "mean") == "2"


def test_a_two_sided_scale_is_described_so_and_all_others_as_before():
    assert Scale.from_description(json.loads(json.dumps(SEVEN.describe()))) == SEVEN
    assert set(Scale.parse("1-5").describe()) == {"levels", "meanings", "ordered"}
    again = JudgeTask.from_description(json.loads(json.dumps(BEST_OF.describe())))
    assert (again.describe(), again.orders) == (BEST_OF.describe(), 3)
    assert "candidates" not in GRADED.describe()
    assert JudgeTask.from_description(GRADED.describe()).scale == SEVEN


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_of_three_a_level_follows_its_response_and_a_tie_stays(turn):
    x = turned(three("p", "B", ("B", "tie", "C")), BEST, turn)
    texts = [x.fields[f"response_{letter}"] for letter in "abc"]
    assert texts["ABC".index(x.answer)] == "y"
    assert texts["ABC".index(x.ratings[2])] == "z"
    assert x.ratings[1] == "tie"
    assert (x.turn, x.item, given_id(x)) == (turn, "p", "p")
    for level in BEST.levels:
        assert turned_level(turned_level(level, BEST, turn, 3), BEST, 3 - turn, 3) == level


def test_the_copy_of_a_pair_keeps_its_name():
    assert [x.id for x in every_order([pair("p", "-2")], SEVEN)] == ["p", "p~swapped"]
    assert [x.answer for x in every_order([pair("p", "-2")], SEVEN)] == ["-2", "2"]


# From the file to the sets ------------------------------------------------------------------------------------------


def test_both_orders_of_a_graded_pair_have_mirrored_labels_in_every_set(tmp_path):
    data = write(tmp_path / "g.csv", degrees())
    for raters in ("mean", "median", "majority", "each"):
        config = FitConfig(data=(data,), scale="-3..3", response_col="left,right", rating_col="r1,r2", raters=raters)
        task, splits = prepare(config)
        assert (task.orders, task.scale) == (2, SEVEN)
        for part in (splits.train, splits.validation, splits.test):
            given = [x for x in part if not x.turn]
            copies = {given_id(x): x for x in part if x.turn}
            assert part
            assert len(copies) == len(given)
            for x in given:
                other = copies[x.id]
                assert (other.fields["response_a"], other.fields["response_b"]) == (
                    x.fields["response_b"], x.fields["response_a"],
                )  # fmt: skip
                assert int(other.answer) == -int(x.answer)
                assert [int(rating) for rating in other.ratings] == [-int(rating) for rating in x.ratings]
                if len(x.ratings) > 1:
                    label = SEVEN.pool(x.ratings, "mean" if raters == "each" else raters)
                    assert label == x.answer
                    assert swap_level(label, SEVEN) == other.answer


def test_every_candidate_stands_at_every_place_once_and_the_label_follows(tmp_path):
    data = write(tmp_path / "k.csv", compared())
    config = FitConfig(data=(data,), scale="A | B | C | tie", response_col="x,y,z", rating_col="better")
    task, splits = prepare(config)
    assert (task.orders, task.inputs) == (3, ("prompt", "response_a", "response_b", "response_c"))
    words = {"x": "one", "y": "two", "z": "three"}
    for part in (splits.train, splits.validation, splits.test):
        items = {}
        for x in part:
            items.setdefault(x.item, []).append(x)
        assert items
        for orders in items.values():
            assert len({x.group for x in orders}) == 1
            assert len(orders) == 3
            for place in "abc":
                assert {x.fields[f"response_{place}"].split()[0] for x in orders} == {"one", "two", "three"}
            n = int(orders[0].fields["prompt"][1:])
            better = ("x", "z", "tie", "y")[n % 4]  # the file names columns
            for x in orders:
                if better == "tie":
                    assert x.answer == "tie"
                else:
                    assert x.fields[f"response_{x.answer.lower()}"] == f"{words[better]} {n}"
        assert Counter(len(orders) for orders in items.values()) == {3: len(items)}


def test_a_template_of_ones_own_lists_many_responses_by_one_variable(tmp_path):
    (tmp_path / "t.txt").write_text("{{ prompt }}\n{{ responses }}\n{{ scale }} {{ marker }}\n")
    data = write(tmp_path / "k.csv", compared())
    config = {"data": (data,), "scale": "A | B | C | tie", "response_col": "x,y,z", "rating_col": "better"}
    task, splits = prepare(FitConfig(**config, template=str(tmp_path / "t.txt")))
    x = next(x for x in splits.train if not x.turn)
    texts = [x.fields[f"response_{letter}"] for letter in "abc"]
    listed = "\n\n".join(f"Response {name}: {text}" for name, text in zip("ABC", texts, strict=True))
    assert task.prompt(x.fields).text == f"{x.fields['prompt']}\n{listed}\nA | B | C | tie Final rating:"
    (tmp_path / "t.txt").write_text("{{ prompt }} {{ response_a }} {{ scale }} {{ marker }}\n")
    with pytest.raises(ConfigError, match="unknown variable 'response_a'"):
        prepare(FitConfig(**config, template=str(tmp_path / "t.txt")))


def test_data_and_test_set_compare_as_many(tmp_path):
    several, two = write(tmp_path / "k.csv", compared()), write(tmp_path / "p.csv", compared(better=("x", "y")))
    loaded = [
        load([several], scale=BEST, columns=Columns("prompt", "x,y,z", "better")),
        load([two], scale=Scale.parse("A | B"), columns=Columns("prompt", "x,y", "better")),
    ]
    assert [one.candidates for one in loaded] == [3, 2]
    with pytest.raises(DataError, match="DATA holds 3 responses to compare, --test pairs"):
        alike(*loaded)


# What is asked ------------------------------------------------------------------------------------------------------


def test_a_graded_prompt_says_what_the_ends_mean():
    text = GRADED.prompt(pair("Why?", "0").fields).text
    assert text.startswith(
        "Prompt: Why?\n\nResponse A: x\n\nResponse B: y\n\nWhich response is better, and by how much?"
    )
    assert (
        "Choose one of -3 < -2 < -1 < 0 < 1 < 2 < 3, where -3 means that response A is much better, 0 that neither is, "
        "3 that response B is much better. Reason first, then end with one line: Final rating: LEVEL"
    ) in text
    assert "where 1 means that response A is much better, 4 that response B is much better." in (
        task_of(EVEN_ONE, 2).prompt(pair("p", "1").fields).text
    )
    named = task_of(Scale.parse("left is better < same < right is better"), 2).prompt(pair("p", "same").fields).text
    assert "Response left: x\n\nResponse right: y" in named


def test_three_responses_are_listed_by_the_names_of_their_levels():
    text = BEST_OF.prompt(three("Why?", "A").fields).text
    assert text == (
        "Prompt: Why?\n\nResponse A: x\n\nResponse B: y\n\nResponse C: z\n\nWhich response is the best? "
        "Choose one of A | B | C | tie. Reason first, then end with one line: Final rating: LEVEL"
    )


def test_no_prompt_tells_the_answer_nor_what_else_stands_in_the_row(tmp_path):
    for rows, config in (
        (degrees(), {"scale": "-3..3", "response_col": "left,right", "rating_col": "r1,r2"}),
        (compared(), {"scale": "A | B | C | tie", "response_col": "x,y,z", "rating_col": "better"}),
    ):
        task, splits = prepare(FitConfig(data=(write(tmp_path / "d.csv", rows),), **config))
        for x in (*splits.train, *splits.validation, *splits.test):
            text = task.prompt(x.fields).text
            assert "SECRET" not in text
            assert set(x.fields) == set(task.inputs)
            blank = {**x.fields, "prompt": "p", **dict.fromkeys(task.inputs[1:], "r")}
            # but for the inputs it is the same text, whatever the answer is
            assert (
                task.prompt(blank).text == task.prompt({**blank, **dict.fromkeys(task.inputs, "r"), "prompt": "p"}).text
            )
            assert (
                task.hint_prompt(x.fields, x.answer).text
                == f"{text}\nThe correct rating is: {x.answer}. Give the reason for it, then the line."
            )


@pytest.mark.parametrize(
    ("scale", "count", "said"),
    [
        ("1 < 2 < 4", 2, "does not compare"),
        ("A < B < tie", 2, "'tie' is not in the middle"),
        ("A better < same < B better < B much better", 2, "'same' is not in the middle"),
        ("tie | A | B", 2, "of a pair the first level says that the first response is better"),
        ("yes/no", 2, "does not say which response is better"),
        ("1-3", 3, "has an order: of 3 responses"),
        ("A | B", 3, "has 2 levels for 3 responses"),
        ("A | B | tie", 3, "'tie' stands in their place"),
        ("A | B", 27, "Two to 26 responses"),
    ],
)
def test_a_scale_that_cannot_compare_is_refused_in_a_sentence(scale, count, said):
    with pytest.raises(ConfigError, match=said):
        task_of(Scale.parse(scale), count)


def test_a_scale_can_run_from_the_second_to_the_first():
    """Whose data says 3 for "the first is much better" writes the levels the other way around."""
    task = task_of(Scale.parse("3 < 2 < 1 < 0 < -1 < -2 < -3"), 2)
    assert "where 3 means that response A is much better" in task.prompt(pair("p", "0").fields).text
    assert swap_level("3", task.scale) == "-3"


# What values suggest ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "columns", "scale"),
    [
        ([-3, 0, 2], ("x", "y"), None),  # -3 for the first, or 3: the user is asked
        (["-1.0", "0.0", "1"], ("x", "y"), None),
        ([0, 1, 2, 3], ("x", "y"), None),
        ([-0.5, 1], ("x", "y"), None),
        ([-50, 50], ("x", "y"), None),
        (["C", "A", "tie"], ("x", "y", "z"), "A | B | C | tie"),
        (["z", "x"], ("x", "y", "z"), "A | B | C"),
        ([3, 1, 2], ("x", "y", "z"), "1 | 2 | 3"),
        ([3, 1, 0, 2], ("x", "y", "z"), None),
        (["response_c"], ("x", "y", "z"), "response_a | response_b | response_c"),
        (["A", "C"], ("response_c", "response_a", "response_b"), "C | A | B"),
        ([-1, 0, 1], ("x", "y", "z"), None),
        (["GPT-4", "Claude"], ("x", "y", "z"), None),
    ],
)
def test_places_suggest_a_scale_and_degrees_none(values, columns, scale):
    assert suggest_pair(values, columns) == scale


def test_what_is_suggested_is_said_with_what_it_means(tmp_path, capsys):
    graded = write(tmp_path / "g.csv", degrees())
    with pytest.raises(NoScale, match="if 3 most favours the first response and -3 the second: --scale") as e:
        load([graded], columns=Columns("prompt", "left,right", "r1"))
    assert e.value.suggestion is None
    with pytest.raises(NoScale, match=r"The first 3 levels mean .* in the order 'x', 'y', 'z'"):
        load([write(tmp_path / "k.csv", compared())], columns=Columns("prompt", "x,y,z", "better"))
    one_to_seven = [{**row, "r1": row["r1"] + 4} for row in degrees()]
    with pytest.raises(NoScale, match=r'If 1 most favours the first response.*--scale "1 to 7"'):
        load([write(tmp_path / "s.csv", one_to_seven)], columns=Columns("prompt", "left,right", "r1"))
    columns = ("--response-col", "left,right", "--rating-col", "r1")
    assert main(["check", graded, *columns, "--json"]) == 1
    assert "means that the first response, 'left', is better" in capsys.readouterr().out
    assert main(["check", graded, *columns, "--scale", "3 < 2 < 1 < 0 < -1 < -2 < -3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["data"]["candidates"], found["scale"]["ordered"]) == (2, True)
    assert found["baselines"]["data"]["constant"]["mae"] > 0


def test_a_check_counts_comparisons_and_not_their_orders(tmp_path, capsys):
    file = write(tmp_path / "k.csv", compared(100))
    assert main(["check", file, "--response-col", "x,y,z", "--rating-col", "better", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: part["pairs"] for name, part in found["sets"].items()} == {"train": 80, "validation": 10, "test": 10}
    assert found["sets"]["test"]["rows"] == 30
    main(["check", file, "--response-col", "x,y,z", "--rating-col", "better"])
    printed = capsys.readouterr().out
    assert "3 responses are compared" in printed
    assert "comparisons, each in 3 orders" in printed


# Numbers ------------------------------------------------------------------------------------------------------------


def test_graded_numbers_by_hand():
    examples = every_order([pair("p", "-2"), pair("q", "0"), pair("r", "1")], SEVEN)
    #       p: right, right  q: the first, tie      r: the same side by another degree, none
    said = ["-2", "2", "-1", "0", "3", None]
    guesses = [guess(x.id, level, (1 / 7,) * 7) for x, level in zip(examples, said, strict=True)]
    got = metrics.score_pairs(guesses, examples, SEVEN)
    assert (got.pairs, got.candidates) == (3, 2)
    assert (got.strict, got.lenient) == (1 / 3, 3 / 6)
    assert (got.consistency, got.side_consistency) == (1 / 3, 1 / 3)
    assert got.side == 4 / 6  # p twice, q swapped, r as given
    assert (got.winner, got.preferred) == (3 / 4, 4)
    assert (got.first_position_rate, got.decisive) == (2 / 4, 4)  # -2 and -1; 2 and 3
    assert got.unparsed == 1 / 6
    other = [
        guess(x.id, level, (1 / 7,) * 7) for x, level in zip(examples, ["-2", "1", "0", "0", "1", "-2"], strict=True)
    ]
    degrees = metrics.score_pairs(other, examples, SEVEN)
    assert (degrees.consistency, degrees.side_consistency, degrees.side, degrees.winner) == (1 / 3, 1, 1, 1)
    scored = metrics.score(other, examples, SEVEN)
    assert scored.mae == pytest.approx((0 + 1 + 0 + 0 + 0 + 1) / 6)
    assert scored.within_one == 1
    assert scored.quadratic_kappa is not None


def test_numbers_of_three_by_hand():
    examples = every_order([three("p", "A"), three("q", "tie")], BEST)
    assert [x.answer for x in examples] == ["A", "B", "C", "tie", "tie", "tie"]
    always = [guess(x.id, "A") for x in examples]
    got = metrics.score_pairs(always, examples, BEST)
    assert (got.pairs, got.candidates, got.strict, got.consistency, got.first_position_rate) == (2, 3, 0, 0, 1)
    assert (got.lenient, got.side, got.winner, got.preferred) == (1 / 6, 1 / 6, 1 / 3, 3)
    right = [guess(x.id, x.answer) for x in examples]
    got = metrics.score_pairs(right, examples, BEST)
    assert (got.strict, got.consistency, got.winner, got.first_position_rate) == (1, 1, 1, pytest.approx(1 / 3))
    two_of_three = [*right[:2], guess("p~turned2", "A"), *right[3:]]
    got = metrics.score_pairs(two_of_three, examples, BEST)
    assert (got.strict, got.lenient, got.consistency) == (1 / 2, 5 / 6, 1 / 2)
    with pytest.raises(ValueError, match="all 3 orders"):
        metrics.score_pairs(right[:-1], examples[:-1], BEST)


def test_orders_are_averaged_in_the_terms_of_the_given_one():
    examples = every_order([pair("p", "-2")], SEVEN)
    skewed = (0.4, 0.2, 0.1, 0.1, 0.1, 0.1, 0.0)
    (found,), _ = metrics.merged([guess(x.id, "0", skewed) for x in examples], examples, SEVEN)
    assert np.allclose(found.probabilities, (np.array(skewed) + np.array(skewed)[::-1]) / 2)
    examples = every_order([three("p", "A")], BEST)
    tables = [(0.7, 0.1, 0.1, 0.1), (0.2, 0.6, 0.1, 0.1), (0.3, 0.1, 0.5, 0.1)]  # each: the response that is x
    guesses = [guess(x.id, None, row) for x, row in zip(examples, tables, strict=True)]
    (found,), given = metrics.merged([replace(guesses[0], predicted="A"), *guesses[1:]], examples, BEST)
    assert [x.id for x in given] == ["p"]
    assert np.allclose(found.probabilities, [0.6, (0.1 + 0.1 + 0.3) / 3, (0.1 + 0.2 + 0.1) / 3, 0.1])
    assert found.predicted == "A"


def test_a_report_tells_the_side_only_of_degrees_and_the_orders_by_their_number():
    def told(scale, example):
        examples = every_order([example], scale)
        flat = (1 / len(scale.levels),) * len(scale.levels)
        found = metrics.score_pairs([guess(x.id, x.answer, flat) for x in examples], examples, scale).as_dict()
        test = {"pairs": found}
        summary = {"scale": {"ordered": scale.ordered}, "iterations": [{"iteration": 0, "test": test}]}
        more = {"shots": None, "best_iteration": 0, "config": {}, "refit": None, "baselines": {"test": {}}}
        return "\n".join(section(pairs({**summary, **more})))

    graded, three_of = told(SEVEN, pair("p", "-2")), told(BEST, three("p", "B"))
    assert "## Both orders of 1 pairs" in graded
    assert "| right side | side consistent |" in graded
    assert "## All 3 orders of 1 comparisons" in three_of
    assert "the first in one in 3 of the cases" in three_of
    assert "side" not in three_of
