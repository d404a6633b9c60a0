"""FeedbackQA as its authors published it, through the command line, with the embedded model (which cannot read)."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from rationem.cli.main import main

pytestmark = pytest.mark.acceptance
FOLDER = Path(os.environ.get("RATIONEM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "feedbackqa"


@pytest.fixture(scope="module")
def files():
    if not FOLDER.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"FeedbackQA is not in {FOLDER}")
        pytest.skip(f"FeedbackQA is not in {FOLDER}")
    train = [
        FOLDER / "WHO_feedback_train.json",
        *(FOLDER / f"{d}_feedback_valid.json" for d in ("CDC", "UK", "Australia")),
    ]
    test = [FOLDER / f"{d}_feedback_test.json" for d in ("WHO", "CDC", "UK", "Australia")]
    return list(map(str, train)), list(map(str, test))


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    output = tmp_path_factory.mktemp("feedbackqa") / "run"
    train, test = files
    options = "--model tiny-judge --scheme star --iterations 1 --draws 1 --evidence-draws 1".split()
    options += ["--sampling-batch", "128", "--threads", "1"]
    assert main(["fit", *train, "--test", *test, *options, "--output", str(output)]) == 0
    return output, json.loads((output / "metrics.json").read_text())


def test_every_item_is_accounted_for(run):
    _, summary = run
    assert summary["examples"]["test"] == 1995
    assert summary["examples"]["train"] + 2 * summary["examples"]["validation"] == 3600  # one row per rating, and items
    for entry in summary["iterations"][1:]:
        assert sum(entry["e_step"]["states"].values()) == summary["examples"]["train"]
    for entry in summary["iterations"]:
        if "test" in entry:
            assert entry["test"]["count"] == 1995
            assert entry["test"]["too_long"] < 200


def test_nine_in_ten_samples_of_the_base_model_parse(run):
    output, summary = run
    base = summary["iterations"][0]["test"]
    assert base["unparsed_draws"] <= 0.1
    with sqlite3.connect(output / "ledger.sqlite") as db:
        for proposal in ("forward", "rationalize"):
            said, parsed = db.execute(
                "SELECT COUNT(*), SUM(outcome IN ('accepted', 'wrong')) FROM trials "
                "WHERE purpose='train' AND iteration=1 AND proposal=?",
                (proposal,),
            ).fetchone()
            assert parsed / said >= 0.9


def test_no_written_explanation_reaches_a_prompt(run, files):
    output, _ = run
    explanations = {text for file in files[0] for row in json.loads(Path(file).read_text()) for text in row["feedback"]}
    with sqlite3.connect(output / "ledger.sqlite") as db:
        for (fields,) in db.execute("SELECT fields FROM examples"):
            inputs = json.loads(fields)
            assert set(inputs) == {"prompt", "response"}
            assert not explanations & set(inputs.values())


def test_the_known_numbers_stand_beside_the_models(run):
    _, summary = run
    baselines = summary["baselines"]["test"]
    assert baselines["uniform_log_likelihood"] == pytest.approx(-1.386, abs=1e-3)
    assert baselines["training_marginal"]["log_likelihood"] == pytest.approx(-1.318, abs=2e-3)
    assert baselines["human_ceiling"]["accuracy"] == pytest.approx(0.42, abs=5e-3)
