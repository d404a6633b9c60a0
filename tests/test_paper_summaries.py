"""The paper's summarization from feedback as committed files, run on fixture rows in the published schema."""

import json
import random
import tomllib

import pytest

import papers
from rationem import report
from rationem.cli.main import main
from rationem.config import read_config
from rationem.data import is_hub_name
from rationem.tasks.answer import summary

CONFIGS = papers.configs("summarize")
NAMED = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


@pytest.fixture
def data(tmp_path):
    """Comparisons of two summaries of each of a hundred posts, with a note and a confidence that nobody reads."""
    path, draw = tmp_path / "comparisons.jsonl", random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for n in range(100):
            info = {"id": f"t3_{n}", "post": f"what is {n} ?", "title": "kind", "subreddit": "x", "article": None}
            summaries = [{"text": text, "policy": "p", "note": "SECRET"} for text in ("kind right", "rude long")]
            row = {"info": info, "summaries": summaries, "choice": draw.randrange(2), "worker": "w"}
            file.write(json.dumps(row | {"extra": {"confidence": 7}}) + "\n")
    return path


def test_there_is_one_per_model_and_nothing_else_differs():
    assert [read_config(path, {}).model for path in CONFIGS] == papers.MODELS
    assert papers.differences(CONFIGS) == {"model"}


@NAMED
def test_a_file_says_what_is_ours_and_how_it_is_run(path):
    assert papers.unmarked(path) == []
    papers.check_head(path)
    settings = tomllib.loads(path.read_text(encoding="utf-8"))
    assert "scheme" not in settings  # the comparison's
    assert all(map(is_hub_name, settings["data"]))


@NAMED
def test_training_is_that_of_the_judges(path):
    judged = tomllib.loads((papers.FOLDER / path.name.replace("summarize", "judge")).read_text(encoding="utf-8"))
    settings = tomllib.loads(path.read_text(encoding="utf-8"))
    own = {"task", "limit", "data", "preset", "reward", "threshold", "validation_share", "shots"}
    same = set(judged) & set(settings) - own
    assert {key: judged[key] for key in same} == {key: settings[key] for key in same}
    assert {"learning_rate", "steps", "batch_size", "draws", "iterations", "precision"} <= same


@NAMED
def test_each_dry_runs_with_an_estimate_without_model_or_network(path, data, tmp_path, capsys, monkeypatch):
    told = papers.dry_run([data, "--scheme", "pps"], path, tmp_path / "run", capsys, monkeypatch)
    assert 'task = "summarize"' in told
    assert 'reward = "rouge-l"' in told


@pytest.mark.slow
@papers.in_turn(CONFIGS)
def test_each_runs_from_end_to_end_on_a_small_model_of_the_same_architecture(path, data, tmp_path):
    task, draw = summary(), random.Random(0)
    samples = []
    for n in range(300):
        text = draw.choice(("kind right", "rude long"))
        fields = {"prompt": f"Subreddit: r/x\nTitle: kind\nPost: what is {n} ?"}
        prompt = task.hint_prompt(fields, text) if n % 3 else task.prompt(fields)
        samples.append((prompt, task.format("kind", text)))
    model = papers.taught(tmp_path, papers.style_of(path), samples)
    run = tmp_path / "run"
    words = ["fit", str(data), "--config", str(path), "--model", model, "--scheme", "star", *papers.SMALL]
    assert main([*words, "--validation-share", "0.1", "--test-share", "0.1", "--output", str(run)]) == 0
    found = report.summarize(run)
    assert found["finished"]
    assert found["notes"]["preset"] == "summarize-write"
    assert found["examples"]["train"] == 24
    assert sum(found["iterations"][1]["e_step"]["states"].values()) == 24
    assert found["iterations"][1]["m_step"]["trained"]
    assert found["iterations"][found["best_iteration"]]["test"]["reward"] is not None
    assert (run / "model" / "rationem.json").is_file()
    assert b"SECRET" not in (run / "ledger.sqlite").read_bytes()
