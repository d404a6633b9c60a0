"""Preference from the file to the rated file, by the embedded judge: degrees, and the best of three."""

import csv
import json
import sqlite3
from collections import defaultdict

import pytest

from preferred import BEST, SEVEN, compared, degrees, write
from rationem.cli.main import main
from rationem.tasks.pairs import turned_level

SMALL = (
    "--model", "tiny-judge", "--iterations", "1", "--steps", "2", "--draws", "2", "--evidence-draws", "1",
    "--wrong-hints", "6", "--difficulty-examples", "4", "--shots", "2", "--validation-share", "0.2",
    "--test-share", "0.2", "--test-last", "--threads", "1", "--device", "cpu",
)  # fmt: skip
KINDS = {
    "degrees": (degrees(20), SEVEN, 2, ("--response-col", "left,right", "--rating-col", "r1,r2", "--scale", "-3 to 3")),
    "best": (
        compared(20), BEST, 3,
        ("--response-col", "x,y,z", "--rating-col", "better", "--scale", "A | B | C | tie", "--reward", "exact"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def finished(request, tmp_path_factory):
    rows, scale, count, flags = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    data, output = write(folder / "d.csv", rows), folder / "run"
    assert main(["fit", data, *flags, *SMALL, "--output", str(output)]) == 0
    return data, output, scale, count


@pytest.mark.slow
def test_every_order_is_in_every_set_and_scored(finished):
    _, output, scale, count = finished
    with sqlite3.connect(output / "ledger.sqlite") as db:
        labels = defaultdict(dict)
        rows = db.execute("SELECT item, rater, turn, split, answer, fields FROM examples")
        for item, rater, turn, split, answer, fields in rows:
            assert "SECRET" not in fields
            labels[split, item, rater][turn] = answer
    for turns in labels.values():
        assert turns == {turn: turned_level(turns[0], scale, turn, count) for turn in range(count)}
    summary = json.loads((output / "metrics.json").read_text())
    assert (summary["candidates"], summary["pair"]) == (count, True)
    assert sum(summary["iterations"][1]["e_step"]["states"].values()) == summary["examples"]["train"]
    for entry in summary["iterations"]:
        found = entry["test"]["pairs"]
        assert found["pairs"] * count == summary["examples"]["test"]
        assert found["candidates"] == count
        assert (entry["test"]["mae"] is not None) == scale.ordered
    assert summary["calibration"]["items"] * count == summary["examples"]["validation"]


@pytest.mark.slow
def test_what_reads_a_run_knows_how_many_are_compared(finished, tmp_path, capsys):
    data, output, scale, count = finished
    before = (output / "report.md").read_bytes()
    assert main(["report", str(output)]) == 0
    assert (output / "report.md").read_bytes() == before
    assert main(["show", str(output)]) == 0
    assert main(["refit", str(output), "--steps", "1", "--output", str(tmp_path / "again")]) == 0
    rated = tmp_path / "out.csv"
    assert main(["judge", str(output), data, "-o", str(rated), "--draws", "2", "--threads", "1"]) == 0
    with rated.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert {row["rating"] for row in rows} <= {"", *scale.levels}
    assert {row["draws"] for row in rows} == {str(2 * count)}
    assert ("expected_rating" in rows[0]) == scale.ordered
    assert (
        main(
            ["export", str(output), "--to", "messages", "--iteration", "last", "--output", str(tmp_path / "kept.jsonl")]
        )
        == 0
    )
    kept = (tmp_path / "kept.jsonl").read_text()
    assert "The correct rating" not in kept  # no hint reaches what is trained on
    assert "SECRET" not in kept
    assert main(["push", str(output), "me/judge", "--directory", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "README.md").read_text()
    told = (
        "two responses and says which is better, and by how much"
        if count == 2
        else "3 responses and says which is best"
    )
    assert told in page
