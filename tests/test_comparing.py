"""A comparison of the embedded model on a file, through the command line: at equal steps, resumable, recomputable."""

import csv
import io
import json
import shutil
import sqlite3

import pytest

from rationem import Ledger, world
from rationem.cli.main import main
from rationem.compare import page
from rationem.compare.tables import table_of, tables
from rationem.data import write_csv
from small import MEASURES_LITTLE

pytestmark = pytest.mark.slow
SMALL = (
    *("--model", "tiny-judge", "--scale", "1-5", "--validation-share", "0.2", "--test-share", "0.4"),
    *("--iterations", "1", "--steps", "4", "--draws", "2", *MEASURES_LITTLE),
    *("--sampling-batch", "128", "--device", "cpu", "--exact-items", "3"),
    *("--batch-size", "8", "--enumerate-above", "0.01", "--workers", "1"),
)
LONGER = ("--iterations", "2", "--batch-size", "32")
TABLES = ("trials", "scores", "likelihoods", "kept", "states", "predictions", "examples")


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    path = tmp_path_factory.mktemp("items") / "items.csv"
    write_csv(path, world.examples(100, seed=0))
    return str(path)


@pytest.fixture(scope="module")
def fewer(tmp_path_factory):
    path = tmp_path_factory.mktemp("fewer") / "items.csv"
    write_csv(path, world.examples(60, seed=0))
    return str(path)


def compare(items, output, *more):
    assert main(["compare", items, "--output", str(output), *SMALL, *more]) == 0
    return json.loads((output / "results.json").read_text())


@pytest.fixture(scope="module")
def done(fewer, tmp_path_factory):
    output = tmp_path_factory.mktemp("compared") / "c"
    return output, compare(fewer, output, "--schemes", "rs:2,pps", "--seeds", "3")


def rows(run):
    with sqlite3.connect(run / "ledger.sqlite") as db:
        found = {table: sorted(map(repr, db.execute(f"SELECT * FROM {table}"))) for table in TABLES}
        phases = db.execute("SELECT iteration, phase FROM iterations ORDER BY 1, 2").fetchall()
        records = db.execute("SELECT record FROM iterations WHERE phase IN ('exact', 'evidence', 'test', 'e_step')")
        return found, phases, sorted(json.dumps({**json.loads(text), "seconds": 0}) for (text,) in records)


def test_a_run_of_a_comparison_is_the_run_that_fit_makes(fewer, done, tmp_path):
    """What is taken over from the base model's directory is what the run would have measured, to the bit."""
    more = ["--scheme", "pps", "--seed", "1", "--split-seed", "0"]
    assert main(["fit", fewer, "--output", str(tmp_path / "alone"), *SMALL[:-2], *more]) == 0
    alone, within = rows(tmp_path / "alone"), rows(done[0] / "pps" / "seed-1")
    assert alone[0] == within[0]
    assert alone[1:] == within[1:]


def test_all_arms_have_the_same_data_base_scores_and_steps(done):
    results = done[1]
    assert [arm["name"] for arm in results["arms"]] == ["RS(2)", "PPS", "answer alone"]
    assert results["seeds"] == [0, 1, 2]
    assert results["seeds_unfinished"] == []
    for arm in results["arms"]:
        assert arm["last"]["iterations"]["value"] == 1
        assert arm["last"]["steps"]["value"] == 4
        firsts = [curve[0] for curve in arm["curves"]]
        assert firsts == [curve[0] for curve in results["arms"][0]["curves"]]
    with_data = {arm: rows(done[0] / arm / "seed-0")[0]["examples"] for arm in ("rs-2", "pps", "answer-alone")}
    assert (
        with_data["rs-2"]
        == with_data["pps"]
        == with_data["answer-alone"]
        == rows(done[0] / "pps" / "seed-1")[0]["examples"]
    )


def test_numbers_are_those_of_the_runs(done):
    """Means over seeds of what every run's own metrics.json says."""
    output, results = done
    for arm in results["arms"]:
        summaries = [
            json.loads((output / arm["directory"] / f"seed-{s}" / "metrics.json").read_text()) for s in range(3)
        ]
        for weights, which in (("chosen", "best_iteration"), ("last", "last_iteration")):
            entries = [summary["iterations"][summary[which]] for summary in summaries]
            for name in ("accuracy", "mae", "quadratic_kappa", "log_likelihood", "squared_calibration_error"):
                mean = sum(entry["test"][name] for entry in entries) / 3
                assert arm[weights][name]["value"] == pytest.approx(mean), name
            evidence = sum(entry["evidence"]["score"] for entry in entries) / 3
            assert arm[weights]["validation_score"]["value"] == pytest.approx(evidence)
        for name in ("log_likelihood", "squared_calibration_error"):
            after = sum(summary["calibration"]["test"]["after"][name] for summary in summaries) / 3
            assert arm["chosen"][f"calibrated_{name}"]["value"] == pytest.approx(after), name
        tokens = sum(
            entry["e_step"]["generated_tokens"] for summary in summaries for entry in summary["iterations"][1:]
        )
        assert arm["last"]["generated_tokens"]["value"] == pytest.approx(tokens / 3)


def test_differences_are_from_the_reference_and_lie_in_their_intervals(done):
    reference, *others = done[1]["arms"]
    assert "difference" not in reference["chosen"]["accuracy"]
    for arm in others:
        assert 0 <= arm["last"]["accuracy"]["low"] <= arm["last"]["accuracy"]["high"] <= 1
        assert arm["last"]["log_likelihood"]["high"] <= 0 <= arm["last"]["mae"]["low"]
        for name in ("accuracy", "log_likelihood", "mae"):
            apart = arm["last"][name]["difference"]
            assert apart["value"] == pytest.approx(arm["last"][name]["value"] - reference["last"][name]["value"])
            assert apart["low"] <= apart["high"]
            assert 0 < apart["p"] <= apart["p_holm"] <= 1
            assert (apart["p"] < 0.05) == (apart["low"] > 0 or apart["high"] < 0)
            assert apart["detectable"] > (apart["high"] - apart["low"]) / 2


def test_exact_evidence_is_bounded_and_the_same_base_for_all(done):
    exact = done[1]["base"]["exact"]
    assert exact["items"] == 3
    assert exact["lower"] is None or exact["lower"] <= exact["upper"] <= 0
    for arm in done[1]["arms"]:
        for weights in ("chosen", "last"):
            assert arm["exact"][weights]["upper"] <= 0


def test_every_file_is_computed_again_from_the_ledgers(done, capsys):
    output, _ = done
    names = [path.name for path in sorted(output.iterdir()) if path.is_file() and path.name != "comparison.json"]
    assert {"results.json", "results.csv", "table.tex", "report.md", "report.html", "reliability.svg"} <= set(names)
    before = {name: (output / name).read_bytes() for name in names}
    for name in names:
        (output / name).unlink()
    assert main(["report", str(output)]) == 0
    assert {name: (output / name).read_bytes() for name in names} == before
    assert capsys.readouterr().out.strip() == (output / "report.md").read_text().strip()


def test_a_finished_comparison_finds_itself_finished_by_its_directory_alone(done):
    output, results = done
    times = {path: path.stat().st_mtime_ns for path in output.rglob("ledger.sqlite")}
    assert main(["compare", "--output", str(output)]) == 0
    assert times == {path: path.stat().st_mtime_ns for path in output.rglob("ledger.sqlite")}
    assert json.loads((output / "results.json").read_text()) == results


def test_the_control_cannot_be_dropped_when_its_numbers_are_there(done, capsys):
    assert main(["compare", "--output", str(done[0]), "--no-control"]) == 2
    assert "without answer alone" in capsys.readouterr().err


def test_a_runs_own_report_shows_its_exact_evidence(done):
    directory = done[0] / "pps" / "seed-0"
    exact = json.loads((directory / "metrics.json").read_text())["iterations"][0]["exact"]
    for name in ("report.md", "report.html"):
        page = (directory / name).read_text().casefold()
        assert "evidence by enumeration" in page
        assert f"{exact['upper']:.3f}" in page


@pytest.mark.acceptance
def test_a_seed_that_one_arm_has_not_finished_is_left_out_and_said(done, tmp_path):
    output = tmp_path / "c"
    shutil.copytree(done[0], output)
    ledger = Ledger(output / "pps" / "seed-1")
    with ledger.transaction() as db:
        db.execute("DELETE FROM iterations WHERE phase='finished'")
    ledger.close()
    results = page.write(output)
    assert results["seeds"] == [0, 2]
    assert results["seeds_unfinished"] == [1]
    assert results["arms"][0]["chosen"]["accuracy"]["low"] is None  # two seeds
    assert "Two seeds do not show how much runs differ" in (output / "report.md").read_text()
    assert "Seeds 1 are not finished with every arm and are left out." in (output / "report.md").read_text()
    assert main(["compare", "--output", str(output)]) == 0
    assert json.loads((output / "results.json").read_text())["seeds"] == [0, 1, 2]


def test_the_csv_has_every_number_and_the_tables_every_arm(done):
    output, results = done
    lines = list(csv.DictReader(io.StringIO((output / "results.csv").read_text())))
    told = {(line["arm"], line["weights"], line["number"]): line for line in lines}
    for arm in results["arms"]:
        line = told[arm["name"], "chosen", "accuracy"]
        assert float(line["value"]) == arm["chosen"]["accuracy"]["value"]
    for one in map(table_of, tables(results)):
        assert all(len(row) == len(one.head) for row in one.rows)
    tex = (output / "table.tex").read_text()
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == len(tables(results))
    assert "answer alone (control)" in tex


def test_a_comparison_says_in_how_many_runs_the_rule_took_an_earlier_iteration(done):
    results = json.loads(json.dumps(done[1]))
    assert all(arm["highest_iterations"] == arm["chosen_iterations"] for arm in results["arms"])
    runs = sum(len(arm["chosen_iterations"]) for arm in results["arms"])
    assert "--choose-within" not in str(tables(results)[0].blocks)
    results["arms"][0]["highest_iterations"] = [k + 1 for k in results["arms"][0]["chosen_iterations"]]
    moved = len(results["arms"][0]["chosen_iterations"])
    assert f"In {moved} of {runs} runs --choose-within took an earlier one" in str(tables(results)[0].blocks)


@pytest.mark.acceptance
def test_several_runs_at_once_end_as_one_after_another(fewer, done, tmp_path):
    output = tmp_path / "c"
    results = compare(fewer, output, "--schemes", "rs:2,pps", "--seeds", "1", "--workers", "2")
    for arm in ("rs-2", "pps", "answer-alone"):
        assert rows(output / arm / "seed-0") == rows(done[0] / arm / "seed-0")
    assert results["seeds"] == [0]
    assert not (output / "logs").exists()


@pytest.mark.acceptance
def test_a_run_that_fails_beside_others_says_why_and_is_done_again(fewer, done, tmp_path, capsys):
    output = tmp_path / "c"
    shutil.copytree(done[0], output)
    shutil.rmtree(output / "pps" / "seed-0")
    (output / "pps" / "seed-0").write_text("in the way")
    more = ("--schemes", "rs:2,pps", "--seeds", "3", "--workers", "2")
    assert main(["compare", fewer, "--output", str(output), *SMALL[:-2], *more]) == 2
    said = capsys.readouterr().err
    assert "PPS, seed 0: " in said
    assert "is a file" in said
    assert "(exit code 2). Its log: " in said
    (output / "pps" / "seed-0").unlink()
    assert main(["compare", fewer, "--output", str(output), *SMALL[:-2], *more]) == 0
    assert rows(output / "pps" / "seed-0") == rows(done[0] / "pps" / "seed-0")


@pytest.mark.acceptance
def test_with_equal_tokens_every_arm_comes_as_near_as_whole_iterations_do(items, tmp_path):
    more = ("--schemes", "rs:4,rs:1", "--seeds", "1", "--equal", "tokens", "--exact-items", "0", *LONGER)
    results = compare(items, tmp_path / "c", *more)
    rs4, rs1, control = results["arms"]
    budget, spent = rs4["last"]["generated_tokens"]["value"], rs1["last"]["generated_tokens"]["value"]
    per_iteration = spent / rs1["last"]["iterations"]["value"]
    assert rs1["last"]["iterations"]["value"] > rs4["last"]["iterations"]["value"] == 2
    assert abs(spent - budget) <= per_iteration
    assert control["last"]["iterations"]["value"] == 2
    page = (tmp_path / "c" / "report.md").read_text()
    assert "Held equal: generated tokens, about those of RS(4) in 2 iterations" in page


@pytest.mark.acceptance
def test_with_equal_passes_every_arm_trains_as_often_on_what_it_kept(items, tmp_path):
    more = ("--schemes", "rs:4,rs:1", "--seeds", "1", "--equal", "passes", "--exact-items", "0", *LONGER)
    rs4, rs1 = compare(items, tmp_path / "c", *more, "--no-control")["arms"]
    passes, others = rs4["last"]["passes"]["value"], rs1["last"]["passes"]["value"]
    assert others == pytest.approx(passes, rel=0.02)  # whole examples
    assert rs1["last"]["steps"]["value"] < rs4["last"]["steps"]["value"]
    page = (tmp_path / "c" / "report.md").read_text()
    assert "passes over a kept example in each, those of RS(4)" in page
    assert "passes over a kept example, per iteration" in page
    compare(items, tmp_path / "c", *more, "--no-control")  # finished runs find their settings again
