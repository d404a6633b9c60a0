"""Verdicts that name a system while systems change sides row by row."""

import json

import pytest

from preferred import write
from rationem.cli.main import main
from rationem.data import Columns, load
from rationem.errors import DataError
from rationem.tasks.scale import Scale

AB = Scale.parse("A | B | tie")
COLUMNS = Columns("prompt", "response_a,response_b", "winner")


def rows(count=40, names=("alpha", "beta"), columns=("model_a", "model_b"), swap=True, verdicts=None):
    """Row n compares both systems, the second first where n is odd; the winner is the first, the second or a tie."""
    found = []
    for n in range(count):
        sides = names[::-1] if swap and n % 2 else names
        winner = (verdicts or (*names, "tie"))[n % 3]
        found.append({"prompt": f"q{n}", "response_a": f"one {n}", "response_b": f"two {n}",
                      columns[0]: sides[0], columns[1]: sides[1], "winner": winner})  # fmt: skip
    return found


def sides(table, names=("model_a", "model_b")):
    """Who won, by hand: the place of the winner's name in the row."""
    return [
        "A" if row["winner"] == row[names[0]] else "B" if row["winner"] == row[names[1]] else "tie" for row in table
    ]


@pytest.mark.parametrize(
    "columns", [("model_a", "model_b"), ("a_system", "b_system"), ("ModelA", "ModelB"), ("Name (A)", "Name (B)")]
)
def test_a_winner_is_read_by_its_name_row_by_row(tmp_path, columns):
    """Every label of a row with its systems swapped was the wrong one."""
    table = rows(columns=columns)
    found = load([write(tmp_path / "r.csv", table)], columns=COLUMNS, scale=AB)
    assert [x.answer for x in found.examples] == sides(table, columns)
    # Rows 0 to 5: alpha first; beta first and won; tie; alpha second and won; beta second and won; tie.
    assert [x.answer for x in found.examples][:6] == ["A", "A", "tie", "B", "B", "tie"]
    assert found.notes["verdicts_by_name"] == list(columns)
    assert not set(columns) & {name for x in found.examples for name in x.fields}


def test_several_raters_and_other_column_names_are_read_by_name_too(tmp_path):
    table = [
        {"prompt": row["prompt"], "text1": row["response_a"], "text2": row["response_b"], "bot1": row["model_a"],
         "bot2": row["model_b"], "r1": row["winner"], "r2": row["winner"].upper(), "r3": "alpha"}
        for row in rows()
    ]  # fmt: skip
    found = load([write(tmp_path / "r.csv", table)], columns=Columns("prompt", "text1,text2", "r1,r2,r3"), scale=AB)
    for x, row in zip(found.examples, table, strict=True):
        alpha = "A" if row["bot1"] == "alpha" else "B"
        first = {"alpha": alpha, "beta": "AB".replace(alpha, ""), "tie": "tie"}[row["r1"]]
        assert x.ratings == (first, first, alpha)


def test_names_as_levels_are_refused_where_systems_change_sides(tmp_path):
    scale = Scale.parse("alpha | beta | tie")
    with pytest.raises(
        DataError, match=r"r.csv:3: the levels .* names of systems.*in 14 of 40 rows.*A \| B \| tie"
    ) as e:
        load([write(tmp_path / "r.csv", rows())], columns=COLUMNS, scale=scale)
    assert "['model_a', 'model_b']" in str(e.value)
    fixed = load([write(tmp_path / "f.csv", rows(swap=False))], columns=COLUMNS, scale=scale)
    assert [x.answer for x in fixed.examples][:3] == ["alpha", "beta", "tie"]
    turned = rows(names=("beta", "alpha"), swap=False)  # never change, but stand the other way around
    with pytest.raises(DataError, match="names of systems"):
        load([write(tmp_path / "t.csv", turned)], columns=COLUMNS, scale=scale)


def test_systems_that_are_called_like_places_are_refused(tmp_path):
    table = rows(names=("A", "B"))
    for scale in (AB, None):
        with pytest.raises(DataError, match="change sides"):
            load([write(tmp_path / "r.csv", table)], columns=COLUMNS, scale=scale)
    by_place = [{**row, "winner": side} for row, side in zip(rows(), sides(rows()), strict=True)]
    found = load([write(tmp_path / "p.csv", by_place)], columns=COLUMNS, scale=AB)
    assert [x.answer for x in found.examples] == sides(rows())
    assert "verdicts_by_name" not in found.notes


def test_a_name_that_stands_on_no_side_or_on_both_is_an_error_of_its_row(tmp_path):
    for odd in ({"winner": "gamma"}, {"model_a": "alpha", "model_b": "alpha", "winner": "alpha"}):
        table = rows()
        table[4] |= odd
        with pytest.raises(DataError, match=f"r.csv:6: in column 'winner', '{odd['winner']}' is not a level"):
            load([write(tmp_path / "r.csv", table)], columns=COLUMNS, scale=AB)


def test_a_check_reads_by_name_and_says_so(tmp_path, capsys):
    file = write(tmp_path / "r.csv", rows(90))
    flags = ("--response-col", "response_a,response_b", "--rating-col", "winner")
    assert main(["check", file, *flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scale"]["levels"] == ["response_a", "response_b", "tie"]
    told = next(one["message"] for one in found["findings"] if one["code"] == "verdicts_by_name")
    assert "Each row says in model_a, model_b which response is whose" in told
    counted = [sides(rows(90)).count(one) for one in ("A", "B", "tie")]
    assert list(found["labels"]["data"]["pooled"].values()) == counted
    assert main(["check", file, *flags, "--scale", "alpha | beta | tie", "--json"]) != 0
