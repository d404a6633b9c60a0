"""Scores, ranks and rankings of the compared responses become the verdict that they imply."""

import csv
import json
import random

import pytest

from rationem.data import Columns, Shapes, Values, load
from rationem.data.no_scale import NoScale
from rationem.errors import DataError
from rationem.tasks.scale import Scale

PAIR = Scale.parse("A | B | tie")


def table(path, head, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head.split(","), *rows])
    return path


def read(path, responses, ratings, scale=PAIR, **values):
    columns = Columns("q", responses, ratings)
    return load([path], scale=scale, columns=columns, values=Values(**values))


def answers(loaded):
    return [x.answer for x in loaded.examples]


TEXTS = ("What is it?", "a stone", "a bone")


@pytest.mark.parametrize(
    ("cells", "answer"), [((5, 2), "A"), ((2, 4), "B"), ((3, 3), "tie"), (("80%", "9%"), "A"), (("Fair", "Good"), "B")]
)
def test_the_response_with_the_highest_score_is_the_best(tmp_path, cells, answer):
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,score_a,score_b", [(*TEXTS, *cells)])
    assert answers(read(path, "answer_a,answer_b", "score_a,score_b")) == [answer]


def test_scores_are_told_apart_by_their_names_not_by_their_order(tmp_path):
    path = table(tmp_path / "a.csv", "q,text_x,text_y,y_score,x_score", [(*TEXTS, 9, 1), (*TEXTS[:2], "a cone", 8, 9)])
    assert answers(read(path, "text_x,text_y", "y_score,x_score")) == ["B", "A"]


def test_the_response_with_the_lowest_rank_is_the_best(tmp_path):
    rows = [(*TEXTS, "x", 2, 3, 1), (*TEXTS, "y", 1, 2, 3)]
    path = table(tmp_path / "a.csv", "q,a,b,c,rank_a,rank_b,rank_c", rows)
    scale = Scale.parse("A | B | C | tie")
    assert answers(read(path, "a,b,c", "rank_a,rank_b,rank_c", scale)) == ["C", "A"]


def test_without_a_scale_the_letters_are_suggested(tmp_path):
    rows = [(f"q{n}", "a stone", "a bone", n % 5, (n + 1) % 4) for n in range(20)]
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,score_a,score_b", rows)
    with pytest.raises(NoScale) as caught:
        read(path, "answer_a,answer_b", "score_a,score_b", None)
    assert caught.value.suggestion == "A | B | tie"


def test_numbers_that_could_be_ranks_or_scores_are_asked_about(tmp_path):
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,a,b", [(*TEXTS, 1, 2), (*TEXTS[:2], "c", 2, 1)])
    with pytest.raises(DataError, match=r"`--verdict-from scores`; .* `--verdict-from ranks`"):
        read(path, "answer_a,answer_b", "a,b")
    assert answers(read(path, "answer_a,answer_b", "a,b", verdict_from="scores")) == ["B", "A"]
    assert answers(read(path, "answer_a,answer_b", "a,b", verdict_from="ranks")) == ["A", "B"]


def test_scores_are_never_read_as_degrees_of_preference_by_two_raters(tmp_path):
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,score_a,score_b", [(*TEXTS, 5, 2), (*TEXTS[:2], "c", 4, 1)])
    with pytest.raises(DataError, match=r"--verdict-from raters.*--unpivot"):
        read(path, "answer_a,answer_b", "score_a,score_b", Scale.parse("1-5"))
    raters = read(path, "answer_a,answer_b", "score_a,score_b", Scale.parse("1-5"), verdict_from="raters")
    assert [x.ratings for x in raters.examples] == [("5", "2"), ("4", "1")]


def test_verdicts_of_two_raters_stay_verdicts(tmp_path):
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,rater_a,rater_b", [(*TEXTS, 2, -1)])
    loaded = read(path, "answer_a,answer_b", "rater_a,rater_b", Scale.parse("-2..2"))
    assert loaded.examples[0].ratings == ("2", "-1")
    letters = table(tmp_path / "b.csv", "q,answer_a,answer_b,r1,r2", [(*TEXTS, "A", "A")])
    assert read(letters, "answer_a,answer_b", "r1,r2").examples[0].ratings == ("A", "A")


@pytest.mark.parametrize(
    ("ranking", "answer"),
    [("A>B>C", "A"), ("C > A = B", "C"), ("B = C > A", "tie"), ("b ≻ a ≻ c", "B"), ("A=B=C", "tie")],
)
def test_the_first_of_a_ranking_is_the_best(tmp_path, ranking, answer):
    rows = [(*TEXTS, "x", ranking), (*TEXTS, "y", "B>A>C")]
    path = table(tmp_path / "a.csv", "q,one,two,three,ranking", rows)
    loaded = read(path, "one,two,three", "ranking", Scale.parse("A | B | C | tie"))
    assert answers(loaded) == [answer, "B"]


def test_degrees_of_a_preference_are_levels_if_the_scale_has_them(tmp_path):
    rows = [(*TEXTS, "A>>B"), (*TEXTS[:2], "c", "B>A")]
    path = table(tmp_path / "a.csv", "q,one,two,verdict", rows)
    assert answers(read(path, "one,two", "verdict", Scale.parse("A>>B < A>B < A=B < B>A < B>>A"))) == ["A>>B", "B>A"]
    loaded = read(path, "one,two", "verdict")
    assert answers(loaded) == ["A", "B"]
    assert any("To keep how much better" in line for line in loaded.notes["values"])


def test_a_tie_without_a_level_is_refused_with_the_scale_that_has_one(tmp_path):
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,score_a,score_b", [(*TEXTS, 5, 5)])
    with pytest.raises(DataError, match=r'5, 5 is a tie .* --scale "A \| B \| tie"'):
        read(path, "answer_a,answer_b", "score_a,score_b", Scale.parse("A | B"))


@pytest.mark.parametrize("names", ["score_a", "score_a,score_b,score_c"])
def test_scores_that_are_asked_for_need_a_column_for_each_response(tmp_path, names):
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,score_a,score_b,score_c", [(*TEXTS, 5, 4, 3)])
    with pytest.raises(DataError, match="needs 2 columns"):
        read(path, "answer_a,answer_b", names, verdict_from="scores")


def test_texts_where_scores_are_said_to_be_are_refused(tmp_path):
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,score_a,score_b", [(*TEXTS, "red", "blue")])
    with pytest.raises(DataError, match="hold no numbers, such as 'red'"):
        read(path, "answer_a,answer_b", "score_a,score_b", verdict_from="scores")


def test_rankings_of_several_raters_can_stand_in_columns_or_in_a_list(tmp_path):
    path = table(tmp_path / "a.csv", "q,one,two,r1,r2", [(*TEXTS, "B>A", "B > A"), (*TEXTS[:2], "c", "A=B", "A = B")])
    assert [x.ratings for x in read(path, "one,two", "r1,r2").examples] == [("B", "B"), ("tie", "tie")]
    lists = tmp_path / "a.jsonl"
    rows = [
        {"q": "What?", "one": "a stone", "two": f"bone {n}", "said": ["A>B", "A = B", "A>B"][: n + 1]} for n in (0, 2)
    ]
    lists.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    loaded = read(lists, "one,two", "said")
    assert [x.answer for x in loaded.examples] == ["A", "A"]
    assert loaded.examples[1].ratings == ("A", "tie", "A")


def test_a_list_with_a_number_for_each_response_is_asked_about(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"q": "What?", "one": "a stone", "two": f"bone {n}", "scores": [n, 3]} for n in (1, 5)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match="--verdict-from scores"):
        read(path, "one,two", "scores")
    assert answers(read(path, "one,two", "scores", verdict_from="scores")) == ["B", "A"]


def test_a_row_without_one_of_the_scores_has_no_verdict(tmp_path):
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,score_a,score_b", [(*TEXTS, 5, ""), (*TEXTS[:2], "c", 4, 1)])
    skipped = []
    loaded = load(
        [path],
        scale=PAIR,
        columns=Columns("q", "answer_a,answer_b", "score_a,score_b"),
        skipped=skipped,
        values=Values(),
    )
    assert (answers(loaded), len(skipped)) == (["A"], 1)


def test_the_verdicts_of_random_scores_are_those_of_their_largest(tmp_path):
    draw = random.Random(3)
    rows = [(f"q{n}", f"x{n}", f"y{n}", f"z{n}", *(draw.randint(0, 9) for _ in range(3))) for n in range(60)]
    path = table(tmp_path / "a.csv", "q,one,two,three,score_one,score_two,score_three", rows)
    expected = ["tie" if row[4:].count(max(row[4:])) > 1 else "ABC"[row[4:].index(max(row[4:]))] for row in rows]
    loaded = read(path, "one,two,three", "score_one,score_two,score_three", Scale.parse("A | B | C | tie"))
    assert answers(loaded) == expected


def test_a_table_with_one_response_is_read_as_before(tmp_path):
    path = table(tmp_path / "a.csv", "q,answer,r1,r2", [("What?", "a stone", 4, 5)])
    loaded = load([path], scale=Scale.parse("1-5"), columns=Columns("q", "answer", "r1,r2"), shapes=Shapes())
    assert loaded.examples[0].ratings == ("4", "5")


@pytest.mark.parametrize("way", ["scores", "ranks"])
def test_a_verdict_of_numbers_needs_a_scale_of_verdicts(tmp_path, way):
    """On a scale from 1 to 5 the level "2" would mean that the first response is the better one."""
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,score_a,score_b", [(*TEXTS, 5, 2), (*TEXTS[:2], "c", 1, 4)])
    for scale in ("1-5", "-2..2"):
        with pytest.raises(DataError, match=r'--scale "A \| B \| tie"'):
            read(path, "answer_a,answer_b", "score_a,score_b", Scale.parse(scale), verdict_from=way)


def test_a_ranking_needs_a_scale_of_verdicts(tmp_path):
    path = table(tmp_path / "a.csv", "q,one,two,said", [(*TEXTS, "A>B"), (*TEXTS[:2], "c", "A=B")])
    with pytest.raises(DataError, match=r'--scale "A \| B \| tie"'):
        read(path, "one,two", "said", Scale.parse("-2..2"))


def test_every_response_needs_a_level(tmp_path):
    rows = [(*TEXTS, "x", 2, 3, 9), (*TEXTS, "y", 9, 2, 3)]
    path = table(tmp_path / "a.csv", "q,a,b,c,score_a,score_b,score_c", rows)
    with pytest.raises(DataError, match=r'--scale "A \| B \| C \| tie"'):
        read(path, "a,b,c", "score_a,score_b,score_c", Scale.parse("A | B"))


def test_negative_scores_are_not_degrees_of_preference(tmp_path):
    rows = [(*TEXTS, 2, -1), (*TEXTS[:2], "c", -2, 0)]
    path = table(tmp_path / "a.csv", "q,answer_a,answer_b,score_a,score_b", rows)
    for scale in (None, Scale.parse("-2..2")):
        with pytest.raises(DataError, match="`--verdict-from raters`"):
            read(path, "answer_a,answer_b", "score_a,score_b", scale)
    assert answers(read(path, "answer_a,answer_b", "score_a,score_b")) == ["A", "B"]


@pytest.mark.parametrize("names", ["rank_a,rank_b", "rank_score_a,rank_score_b"])
def test_numbers_that_are_called_ranks_and_are_none_are_asked_about(tmp_path, names):
    path = table(tmp_path / "a.csv", f"q,answer_a,answer_b,{names}", [(*TEXTS, 0.9, 0.5), (*TEXTS[:2], "c", 0.1, 0.4)])
    with pytest.raises(DataError, match="`--verdict-from ranks`"):
        read(path, "answer_a,answer_b", names)
