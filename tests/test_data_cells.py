"""Rating cells that look like something else: dates, signs, separators, other digits, words against the numbers."""

import pytest

from doctored import check, rows, write
from rationem.data import NoScale, Values, load
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
