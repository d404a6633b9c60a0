"""The engine asked for is the one that is used, through the command line: teacher, endpoint, measured batches."""

import csv
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

import checkpoints
from judges import card
from rationem import JudgeTask, Scale
from rationem.cli.main import main
from rationem.engines import models
from rationem.run.card import write_card
from stub_server import ModelAnswers, StubServer

TASK = JudgeTask(Scale.parse("1-5"))
ROWS = [(f"what is {n} ?", f"{n} kind", 1 + n % 5) for n in range(30)]
FIT = [
    "--scale", "1-5", "--iterations", "1", "--steps", "2", "--draws", "1", "--evidence-draws", "0",
    "--wrong-hints", "0", "--difficulty-examples", "0", "--max-new-tokens", "24", "--threads", "1",
    "--micro-batch-size", "4", "--batch-size", "4", "--go-on",
]  # fmt: skip


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "rated.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("prompt", "response", "rating"), *ROWS])
    return str(path)


def fit(arguments, capsys):
    code = main(["fit", *arguments])
    told = capsys.readouterr()
    return code, told.out, " ".join(told.err.split())


TEACHER = ["--teacher", "http://127.0.0.1:1"]
REFUSED = {
    "an endpoint cannot be trained": (["--engine", "endpoint"], "fit trains new weights in every iteration"),
    "no teacher": (["--scheme", "rationalize@teacher"], "Name its server: --teacher URL"),
    "nobody asks it": (TEACHER, "no proposal of the scheme uses it"),
    "no weights": (
        ["--scheme", "rationalize@teacher", "--teacher", "http://h", "--selector", "resample"],
        "probabilities of its tokens",
    ),
    "no posterior": (
        ["--scheme", "posterior@teacher", "--teacher", "http://h"],
        "cannot provide posterior@teacher",
    ),
    "no such environment": (["--engine", "vllm", "--vllm-python", "/nowhere/python"], "/nowhere/python"),
    "a flag of ours": (["--engine", "vllm", "--vllm-args=--port 8000"], "--port"),
    "nothing to enumerate": (["--engine", "vllm", "--scheme", "exact"], "enumerates, which vLLM cannot"),
    "flags of an engine not chosen": (
        ["--handover", "reload"],
        "--handover is for vLLM only",
    ),
    "no batch": (["--sampling-batch", "0"], "sampling-batch"),
    "no word but auto": (["--sampling-batch", "some"], "sampling-batch"),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.engine) if case == "a flag of ours" else case for case in REFUSED]
)
def test_what_cannot_be_is_refused_before_anything_is_written(case, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(models, "resolve", lambda _: pytest.fail("no model was to be looked at"))
    flags, reason = REFUSED[case]
    out = tmp_path / "run"
    code, _, err = fit([data, "--model", "nobody/has-this", *FIT, *flags, "--output", str(out)], capsys)
    assert code == 2
    assert reason in err
    assert not out.exists()


def teaches(path, body):
    """Says the hinted level, with a reason that no student wrote."""
    if path == "/v1/models":
        return {"data": [{"id": "large"}]}
    assert path == "/v1/chat/completions"
    assert body["model"] == "large"
    (turn,) = body["messages"]
    level = re.search(r"rating is: (\d)\.", turn["content"])[1]
    return {"choices": [{"message": {"content": f"the tone is right\nFinal rating: {level}"}, "finish_reason": "stop"}]}


@pytest.mark.slow
def test_a_teacher_writes_the_hinted_rationales_and_the_student_learns_them(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RATIONEM_TEACHER_KEY", "a-secret-key")
    run = tmp_path / "run"
    base = checkpoints.checkpoint(tmp_path / "base")
    with StubServer(teaches) as server:
        flags = ["--scheme", "rationalize@teacher", "--teacher", server.url, "--output", str(run)]
        code, _, err = fit([data, "--model", base, *FIT, *flags], capsys)
    assert code == 0, err
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer a-secret-key"}
    with sqlite3.connect(run / "ledger.sqlite") as db:
        rows = db.execute(
            "SELECT proposal, encoded, outcome, text, token_logps FROM trials WHERE purpose='train'"
        ).fetchall()
        kept = db.execute("SELECT COUNT(*) FROM kept").fetchone()[0]
    assert len(rows) == kept == 24
    assert {row[:3] for row in rows} == {("rationalize@teacher", 1, "accepted")}
    assert {row[3].split("\n")[0] for row in rows} == {"the tone is right"}
    assert {row[4] for row in rows} == {"[]"}
    assert "Of 24 draws for training, 24 came as text without token ids" in (run / "report.md").read_text()
    for path in run.rglob("*"):
        if path.is_file():
            assert b"a-secret-key" not in path.read_bytes(), path


@pytest.mark.slow
def test_a_batch_size_is_measured_once_and_the_resumed_run_keeps_it(data, tmp_path, capsys):
    run, base = tmp_path / "run", checkpoints.checkpoint(tmp_path / "base")
    code, _, err = fit([data, "--model", base, *FIT, "--sampling-batch", "auto", "--output", str(run)], capsys)
    assert code == 0
    assert "Batch size " in err
    written = re.search(r"^sampling_batch = (\d+)$", (run / "config.toml").read_text(), re.MULTILINE)
    assert int(written[1]) in (8, 16, 32, 64, 128, 256, 512)
    code, _, err = fit([data, "--model", base, *FIT, "--sampling-batch", "auto", "--output", str(run)], capsys)
    assert code == 0
    assert "Batch size" not in err
    assert "is finished" in err


@pytest.fixture(scope="module")
def grader(tmp_path_factory):
    """A judge's directory with real weights, and another judge's weights."""
    root = tmp_path_factory.mktemp("judge")
    shutil.copytree(checkpoints.grader(tmp_path_factory.mktemp("made"), steps=60), root / "model")
    write_card(card(TASK, marginal=(0.2,) * 5, max_prompt_tokens=400, max_new_tokens=40), root / "model")
    return root


def served(path, **more):
    answers = ModelAnswers(models.load(str(path), device="cpu"), **more)

    def answer(asked, body):
        return {"data": [{"id": "judge"}]} if asked == "/v1/models" else answers(asked, body)

    return StubServer(answer, keep=False)


@pytest.fixture
def items(tmp_path):
    path = tmp_path / "new.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("prompt", "response"), *[row[:2] for row in ROWS[:6]]])
    return path


def rate(run, items, server, capsys, *flags):
    out = items.with_name("rated.csv")
    options = ["-o", str(out), "--engine", "endpoint", "--url", server.url, "--draws", "4", "--threads", "1", *flags]
    code = main(["judge", str(run), str(items), *options])
    err = capsys.readouterr().err.replace("\n", " ")
    return code, (list(csv.DictReader(out.read_text().splitlines())) if out.is_file() else []), err


@pytest.mark.slow
def test_a_judge_asks_a_running_server_of_its_weights(grader, items, capsys):
    with served(grader / "model") as server:
        code, rows, err = rate(grader, items, server, capsys)
    assert code == 0, err
    assert [row["status"] for row in rows] == ["rated"] * 6
    for row in rows:
        assert sum(float(row[f"p_{level}"]) for level in TASK.levels) == pytest.approx(1, abs=1e-5)
    assert "not verified" not in err


@pytest.mark.slow
def test_a_server_of_other_weights_is_refused(grader, items, capsys, tmp_path):
    with served(checkpoints.checkpoint(tmp_path / "other", layers=1, seed=3)) as server:
        code, rows, err = rate(grader, items, server, capsys)
    assert code == 2
    assert "does not hold the weights of" in err
    assert rows == []


@pytest.mark.slow
def test_a_server_that_scores_nothing_serves_fast_ratings_only_and_that_is_said(grader, items, capsys):
    with served(grader / "model", can=("token_ids",)) as server:
        code, rows, err = rate(grader, items, server, capsys)
        assert code == 2
        assert "--fast" in err
        assert Path(items.with_name("rated.csv")).exists() is False
    assert rows == []


def test_urls_need_the_engine_that_asks_them(grader_free, items, capsys):
    code = main(["judge", str(grader_free), str(items), "-o", str(items.with_name("o.csv")), "--url", "http://h"])
    assert code == 2
    assert "--engine endpoint" in capsys.readouterr().err


@pytest.fixture
def grader_free(tmp_path):
    from judges import directory

    return directory(tmp_path / "run")
