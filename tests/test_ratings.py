"""``rationem demo ratings``: a file of 200 ratings that people can read and a small model can learn from."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from rationem.cli.main import main
from rationem.world.ratings import HEAD, RATERS, SLIPS, rated

_SURE = ("I am not sure", "I think so", "Perhaps")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(file):
    with Path(file).open(newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened))


def test_it_writes_200_ratings_and_says_what_to_do_next(folder, capsys):
    assert main(["demo", "ratings"]) == 0
    head, *rows = rows_of("ratings.csv")
    assert tuple(head) == HEAD
    assert len(rows) == 200
    assert len({(prompt, response, rater) for prompt, response, _, rater in rows}) == 200
    assert {rater for *_, rater in rows} == set(RATERS)
    assert min(Counter(rating for _, _, rating, _ in rows).values()) >= 15
    assert "rationem check ratings.csv --scale 1-5 --rater-col rater" in capsys.readouterr().out


def test_it_is_a_function_of_its_seed(folder, capsys):
    for name, seed in (("a.csv", "1"), ("b.csv", "1"), ("c.csv", "2")):
        assert main(["demo", "ratings", "-o", name, "--seed", seed]) == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes() != Path("c.csv").read_bytes()


def test_it_overwrites_nothing(folder, capsys):
    Path("ratings.csv").write_text("mine")
    assert main(["demo", "ratings"]) == 2
    assert Path("ratings.csv").read_text() == "mine"
    assert "--output" in capsys.readouterr().err
    assert main(["demo", "ratings", "-o", "no/where.csv"]) == 2
    assert [path.name for path in folder.iterdir()] == ["ratings.csv"]


def test_the_rating_can_be_read_off_the_answer_up_to_habits_and_slips():
    """5 is long and friendly, 4 curt, 3 unsure; Ben's and Chen's habits and the slips move a rating by one."""
    levels = defaultdict(list)
    for _, response, rating, _ in rated(600, 3):
        kind = 3 if response.startswith(_SURE) else 5 if "." in response[:-1] and len(response) > 60 else None
        levels[kind].append(int(rating))
    for kind in (3, 5):
        off = [abs(rating - kind) for rating in levels[kind]]
        assert max(off) <= 2
        assert sum(map(bool, off)) / len(off) < 0.3 / 3 + 2 * SLIPS


def test_check_reads_it_with_two_flags(folder, capsys):
    main(["demo", "ratings"])
    assert main(["check", "ratings.csv", "--scale", "1-5", "--rater-col", "rater"]) == 0
    said = capsys.readouterr().out
    assert "160 items from 200 rows" in said
    assert "cannot be used" not in said
