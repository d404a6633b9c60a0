"""A judge of preference asks every order, so that its verdict does not depend on who stands where."""

import csv
from pathlib import Path

import numpy as np
import pytest

from judges import Recorder, judge
from preferred import BEST, BEST_OF, EVEN_ONE, GRADED, SEVEN, compared, pair, task_of, three, write
from rationem import Scale
from rationem.data import Columns
from rationem.errors import DataError
from rationem.judging.stream import rate_file
from rationem.judging.verdicts import EVEN, EVEN_OF_MANY, Status
from rationem.tasks.pairs import swap_level, turned, turned_level


def reader(scale, share):
    """An engine whose probabilities depend on the whole prompt, places included."""

    def levels(query):
        seed = sum(map(ord, query.prompt.text)) + sum(7 * n * ord(c) for n, c in enumerate(query.prompt.text))
        return np.log(np.random.default_rng(seed).dirichlet(np.full(len(scale.levels), share)))

    return Recorder(lambda request: f"z\nFinal rating: {scale.levels[request.seed % len(scale.levels)]}", levels)


def test_a_graded_verdict_does_not_depend_on_who_stands_first(tmp_path):
    x = pair("p", "0")
    asked = judge(tmp_path, reader(SEVEN, 0.5), GRADED, marginal=(1 / 7,) * 7)
    one, other = asked.rate([x.fields, turned(x, SEVEN).fields])
    for level in SEVEN.levels:
        assert one.probabilities[level] == pytest.approx(other.probabilities[swap_level(level, SEVEN)])
    assert one.expected == pytest.approx(-other.expected)
    assert other.rating == swap_level(one.rating, SEVEN)
    assert (one.draws, one.consistent) == (16, other.consistent)


def test_a_verdict_on_three_does_not_depend_on_their_places(tmp_path):
    x = three("p", "A")
    engine = reader(BEST, 0.5)
    asked = judge(tmp_path, engine, BEST_OF, marginal=(0.25,) * 4)
    ratings = asked.rate([turned(x, BEST, turn).fields for turn in range(3)])
    assert len({request.prompt.text for request in engine.requests}) == 3
    for turn, rating in enumerate(ratings):
        for level in BEST.levels:
            moved = turned_level(level, BEST, turn, 3)
            assert rating.probabilities[moved] == pytest.approx(ratings[0].probabilities[level])
        assert rating.rating == turned_level(ratings[0].rating, BEST, turn, 3)
        assert rating.draws == 24


def test_responses_that_are_the_same_are_a_tie(tmp_path):
    """Whatever a judge says of a place it says of each response once."""
    same = {"prompt": "p", "response_a": "s", "response_b": "s"}
    flat = Recorder(lambda _: "z\nFinal rating: -3", lambda _: np.log([0.5, 0.2, 0.1, 0.05, 0.05, 0.05, 0.05]))
    (rating,) = judge(tmp_path / "g", flat, GRADED, marginal=(1 / 7,) * 7).rate([same])
    assert (rating.rating, rating.expected) == ("0", pytest.approx(0))
    four = task_of(EVEN_ONE, 2)
    ends = Recorder(lambda _: "z\nFinal rating: 1", lambda _: np.log([0.6, 0.2, 0.1, 0.1]))
    (rating,) = judge(tmp_path / "e", ends, four, marginal=(0.25,) * 4).rate([same])
    assert (rating.rating, rating.problem) == ("1", EVEN)
    first = Recorder(lambda _: "z\nFinal rating: A", lambda _: np.log([0.7, 0.1, 0.1, 0.1]))
    (rating,) = judge(tmp_path / "k", first, BEST_OF, marginal=(0.25,) * 4).rate([{**same, "response_c": "s"}])
    assert (rating.rating, rating.consistent) == ("tie", False)
    bare = task_of(Scale.parse("A | B | C"), 3)
    first = Recorder(lambda _: "z\nFinal rating: A", lambda _: np.log([0.8, 0.1, 0.1]))
    (rating,) = judge(tmp_path / "b", first, bare).rate([{**same, "response_c": "s"}])
    assert rating.problem == EVEN_OF_MANY


def test_greedy_verdicts_must_agree_in_all_orders(tmp_path):
    x = three("p", "A").fields
    always = Recorder(lambda _: "z\nFinal rating: A")
    (rating,) = judge(tmp_path / "a", always, BEST_OF, marginal=(0.25,) * 4).rate([x], fast=True)
    assert (rating.status, rating.consistent) == (Status.INCONSISTENT, False)

    def names_y(request):
        return "z\nFinal rating: " + next(c for c in "ABC" if f"Response {c}: y" in request.prompt.text)

    (rating,) = judge(tmp_path / "y", Recorder(names_y), BEST_OF, marginal=(0.25,) * 4).rate([x], fast=True)
    assert (rating.rating, rating.consistent, rating.draws) == ("B", True, 3)


def test_names_of_the_training_columns_do_for_three_responses(tmp_path):
    columns = Columns("prompt", "x,y,z", "better").to_dict()
    asked = judge(tmp_path, reader(BEST, 0.5), BEST_OF, marginal=(0.25,) * 4, columns=columns)
    by_column = {"prompt": "p", "x": "x", "y": "y", "z": "z", "better": "SECRET"}
    assert asked.rate([by_column]) == asked.rate([three("p", "A").fields])


def test_a_file_of_three_responses_is_rated_by_its_columns(tmp_path):
    columns = Columns("prompt", "x,y,z", "better").to_dict()
    asked = judge(tmp_path, reader(BEST, 0.5), BEST_OF, marginal=(0.25,) * 4, columns=columns)
    new = [{key: row[key] for key in ("prompt", "x", "y", "z")} for row in compared(4)]
    rate_file(asked, Path(write(tmp_path / "new.csv", new)), tmp_path / "out.csv", draws=2)
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert {"p_A", "p_B", "p_C", "p_tie", "consistent"} <= set(rows[0])
    assert all(sum(float(row[f"p_{level}"]) for level in BEST.levels) == pytest.approx(1, abs=1e-5) for row in rows)
    two = [{key: row[key] for key in ("prompt", "x", "y")} for row in new]
    with pytest.raises(DataError, match="no column 'z'"):
        rate_file(asked, Path(write(tmp_path / "two.csv", two)), tmp_path / "two.out.csv", draws=2)
