"""SAF as its authors published it: check, fit, report, judge, one after another, by the commands of the README."""

import csv
import json
import os
from pathlib import Path

import pytest

from rationem import Judge
from rationem.cli.main import main

pytestmark = pytest.mark.acceptance
FOLDER = Path(os.environ.get("RATIONEM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "saf" / "data"
SETTINGS = ["--model", "tiny-judge", "--threads", "1"]


@pytest.fixture(scope="module")
def files():
    if not FOLDER.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"SAF is not in {FOLDER}")
        pytest.skip(f"SAF is not in {FOLDER}")

    def of(part):
        return sorted(map(str, (FOLDER / part / "english").glob("*.xml")))

    return of("training"), of("unseen_answers"), of("unseen_questions")


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    train, answers, _ = files
    output = tmp_path_factory.mktemp("saf") / "run"
    options = "--scheme star --iterations 1 --steps 10 --draws 2 --evidence-draws 1 --shots 1 --limit 300".split()
    options += ["--sampling-batch", "128"]
    assert main(["fit", *train, "--test", *answers, *SETTINGS, *options, "--output", str(output)]) == 0
    return output


def checked(capsys, arguments):
    code = main(["check", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_check_knows_the_set_and_counts_every_row(files, capsys):
    train, answers, questions = files
    code, found = checked(capsys, [*train, *answers, *questions])
    assert code == 0
    assert "saf" in json.dumps(found)
    assert '"Incorrect", "Partially correct", "Correct"' in json.dumps(found)
    for count in (363, 603, 1146):
        assert f": {count}" in json.dumps(found)


def test_every_item_is_accounted_for_and_three_classes_have_every_number(run):
    summary = json.loads((run / "metrics.json").read_text())
    assert summary["examples"]["test"] == 252
    assert sum(summary["iterations"][1]["e_step"]["states"].values()) == summary["examples"]["train"] == 300
    assert summary["shots"] is None  # every question of the test set is in training: no example may be shown
    scores = summary["iterations"][0]["test"]
    assert scores["unparsed_draws"] <= 0.1  # the base model speaks the format of a prompt with a reference answer
    assert set(scores["recall"]) == {"Incorrect", "Partially correct", "Correct"}
    assert scores["intervals"]["accuracy"][0] <= scores["accuracy"] <= scores["intervals"]["accuracy"][1]
    assert (
        summary["calibration"]["validation"]["after"]["log_likelihood"]
        >= (summary["calibration"]["validation"]["before"]["log_likelihood"])
    )


def test_the_judge_rates_questions_it_has_never_seen(run, files, tmp_path, capsys):
    source, out = files[2][0], tmp_path / "rated.csv"
    command = ["judge", str(run), source, "-o", str(out), "--threads", "1", "--batch-size", "128"]
    assert main(command) == 0
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == Path(source).read_text(encoding="utf-8").count("<studentAnswer ")
    rated = [row for row in rows if row["status"] == "rated"]
    assert len(rated) >= 0.8 * len(rows)
    for row in rated:
        probabilities = {level: float(row[f"p_{level}"]) for level in ("Incorrect", "Partially correct", "Correct")}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-3)
        assert row["rating"] == max(probabilities, key=probabilities.__getitem__)
        assert 1 <= float(row["expected_rating"]) <= 3
    assert len(rows) == sum(row["status"] in ("rated", "unparsed", "too_long", "unusable") for row in rows)


def test_python_gives_the_verdicts_of_the_file(run):
    items = [
        {"prompt": "What is TCP?", "response": "A protocol.", "reference": "A transport protocol."},
        {"prompt": "What is TCP?", "response": "(empty)", "reference": "A transport protocol."},
    ]
    judge = Judge.load(run, batch_size=4, threads=1)
    first, again = judge.rate(items, draws=4), judge.rate(items[::-1], draws=4)[::-1]
    assert [one.rating for one in first] == [one.rating for one in again]
    assert all(one.status in ("rated", "unparsed") for one in first)
