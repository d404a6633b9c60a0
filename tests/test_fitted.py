"""A run in Python: what rationem.fit returns, and DataFrames in and out."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import judges
import paged
import rationem
from rationem import RationemError, progress
from rationem.errors import ConfigError
from rationem.judging import fitted, frames
from rationem.judging.table import layout

ROWS = pd.DataFrame(
    {"prompt": ["p1", "p2", None], "response": ["r1", "r2", "r3"], "note": [1.5, float("nan"), 3.0]}, index=[7, 3, 9]
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    paged.write_run(directory)
    return rationem.Run(directory)


def test_a_run_has_its_numbers_its_sentence_and_its_page(run):
    assert run.summary == rationem.Run(run.directory).summary
    assert "On 10 test items" in run.says[0]
    assert run.says[0] in repr(run)
    assert run.report().name == "report.html"
    assert run.report().is_file()


def test_its_predictions_are_one_row_per_item_with_probabilities_that_sum_to_one(run):
    found = run.predictions
    examples = run.summary["examples"]
    assert len(found) == examples["test"]
    assert list(found.columns[:4]) == ["id", "prompt", "response", "answer"]
    levels = [f"p_{level}" for level in run.summary["scale"]["levels"]]
    assert found[levels].sum(axis=1).tolist() == pytest.approx([1.0] * len(found))
    best = next(e for e in run.summary["iterations"] if e["iteration"] == run.summary["best_iteration"])
    assert (found.predicted == found.answer).mean() == pytest.approx(best["test"]["accuracy"])
    assert (found.before == found.answer).mean() == pytest.approx(run.summary["iterations"][0]["test"]["accuracy"])
    assert found.rationale.map(bool).all()


def test_a_notebook_shows_texts_as_texts(tmp_path):
    paged.write_run(tmp_path / "a<b>&")
    shown = rationem.Run(tmp_path / "a<b>&")._repr_html_()
    assert "a&lt;b&gt;&amp;" in shown
    assert "<table><tr><th>" in shown
    assert "a<b>" not in shown


def test_no_run_is_a_clear_error(tmp_path):
    with pytest.raises(RationemError, match="holds no run"):
        rationem.Run(tmp_path / "gone")


def test_fit_hands_on_every_setting_and_writes_a_frame_beside_the_run(tmp_path, monkeypatch):
    seen, written = [], []

    def start(config, output):
        seen.append((config, output, progress._display))
        written.append(Path(config.data[0]).read_text(encoding="utf-8") if config.data[0].endswith("jsonl") else None)
        raise RationemError("stopped")

    monkeypatch.setattr(fitted, "start", start)
    monkeypatch.setattr(progress, "_display", progress.Silent())
    for data in (ROWS, "ratings.csv", ["a.csv", "b.csv"]):
        with pytest.raises(RationemError, match="stopped"):
            rationem.fit(data, output=tmp_path / "runs" / "first", model="m", scale="1-5", quick=True)
    place = tmp_path / "runs" / "first.data.jsonl"
    assert not place.exists()  # no run began
    assert [config.data for config, *_ in seen] == [(str(place),), ("ratings.csv",), ("a.csv", "b.csv")]
    assert all((config.scale, config.iterations) == ("1-5", 1) for config, *_ in seen)
    assert all(isinstance(display, progress.Rich) for *_, display in seen)
    assert isinstance(progress._display, progress.Silent)
    rows = [json.loads(line) for line in written[0].splitlines()]
    assert rows == frames.records(ROWS)
    with pytest.raises(ConfigError, match="learning_rat"):
        rationem.fit("ratings.csv", output=tmp_path, learning_rat=1)
    with pytest.raises(ConfigError, match=r"fit\(\): unknown key 'itertions'.*'iterations'"):
        rationem.fit(ROWS, output=tmp_path / "runs" / "first", itertions=1)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_failed_call_leaves_the_file_of_an_earlier_run_as_it_was(tmp_path, monkeypatch):
    def start(config, output):
        raise RationemError("other data")

    monkeypatch.setattr(fitted, "start", start)
    file = tmp_path / "first.data.jsonl"
    file.write_text("as it was\n")
    with pytest.raises(RationemError, match="other data"):
        rationem.fit(ROWS, output=tmp_path / "first", model="m", scale="1-5", show=False)
    assert file.read_text() == "as it was\n"


@pytest.mark.parametrize(("name", "told"), [("id", True), ("row_id", True), ("paid", False), ("grid", False)])
def test_an_id_column_of_a_frame_that_is_not_used_is_told(tmp_path, monkeypatch, capsys, name, told):
    monkeypatch.setattr(fitted, "start", lambda config, output: 1 / 0)
    frame = ROWS.assign(**{name: [f"x{n}" for n in range(len(ROWS))]})
    for settings in ({}, {"id_col": name}):
        with pytest.raises(ZeroDivisionError):
            rationem.fit(frame, output=tmp_path / "first", model="m", scale="1-5", **settings)
        assert (f"id_col={name!r}" in " ".join(capsys.readouterr().err.split())) == (told and not settings)


def test_a_test_set_can_be_a_frame_too(tmp_path, monkeypatch):
    seen = []

    def start(config, output):
        seen.append((config, Path(config.test[0]).read_text(encoding="utf-8").splitlines()))
        raise RationemError("stopped")

    monkeypatch.setattr(fitted, "start", start)
    with pytest.raises(RationemError, match="stopped"):
        rationem.fit("a.csv", output=tmp_path / "first", model="m", scale="1-5", test=ROWS, show=False)
    assert seen[0][0].test == (str(tmp_path / "first.test.jsonl"),)
    assert [json.loads(line) for line in seen[0][1]] == frames.records(ROWS)


@pytest.mark.parametrize("data", [ROWS, [ROWS], (ROWS,)])
@pytest.mark.parametrize("setting", ["data", "test"])
def test_settings_refuse_a_frame_and_name_the_function_that_takes_one(data, setting):
    with pytest.raises(ValueError, match=r"rationem\.fit\(table"):
        rationem.FitConfig(**{setting: data})


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (ROWS.rename(columns={"note": 5}), "5"),
        (pd.concat([ROWS, ROWS[["prompt"]]], axis=1), "two columns named 'prompt'"),
        (ROWS.iloc[:0], "no rows"),
    ],
)
def test_a_frame_that_no_file_can_hold_is_refused_and_nothing_is_written(tmp_path, frame, said):
    with pytest.raises(ConfigError, match=said):
        rationem.fit(frame, output=tmp_path / "run", model="m")
    assert list(tmp_path.iterdir()) == []


def test_a_judge_rates_a_frame_as_it_rates_a_list_and_keeps_rows_columns_and_index(tmp_path):
    with judges.judge(tmp_path, judges.Recorder(lambda _: "z\nFinal rating: 2")) as judge:
        alone = judge.rate(frames.records(ROWS), draws=3)
        rated = judge.rate(ROWS, draws=3)
    assert rated.index.tolist() == [7, 3, 9]
    assert tuple(rated.columns) == layout(list(ROWS.columns), judge.task, ("",), fast=False).names
    assert rated.rating.dropna().tolist() == [one.rating for one in alone[:2]]
    assert alone[2].rating is None
    assert rated.status.tolist() == ["rated", "rated", "unusable"]
    assert rated["p_2"].tolist()[:2] == pytest.approx([one.probabilities["2"] for one in alone[:2]], rel=1e-5)
    pd.testing.assert_frame_equal(rated[list(ROWS.columns)], ROWS)


def test_a_judge_says_what_it_is_without_loading_its_weights(tmp_path):
    said = repr(judges.judge(tmp_path, judges.Recorder(lambda _: "z\nFinal rating: 2")))
    assert said.startswith("Judge(")
    assert said.endswith("judge, 1 to 3")


def test_with_several_criteria_a_frame_gets_columns_for_each_or_for_the_named_one(tmp_path):
    recorder = judges.Recorder(lambda _: "z\nFinal rating: 2")
    with judges.judge(tmp_path, recorder, judges.CRITERIA) as judge:
        both = judge.rate(ROWS.iloc[:2], draws=1, fast=True)
        named = judge.rate(ROWS.iloc[:2].assign(criterion="tone"), draws=1, fast=True)
    assert both[["tone_rating", "facts_rating"]].to_numpy().tolist() == [["2", "2"]] * 2
    assert named.rating.tolist() == ["2", "2"]


def test_without_pandas_a_frame_is_a_clear_error_and_everything_else_works(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="pip install pandas"):
        rationem.Run(run.directory).predictions  # noqa: B018
    assert not frames.is_frame([{"prompt": "p"}])
