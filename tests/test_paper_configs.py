"""The paper's experiment as committed files: parsed, estimated offline, and run on small models of the same kinds."""

import json
import random
import re
import tomllib
from pathlib import Path

import pytest

import papers
from rationem.cli.main import main
from rationem.config import read_config

CONFIGS = papers.configs("judge")
CRITERIA = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")


def rows(path, prompts, seed):
    """Two responses to every prompt, in HelpSteer2's schema."""
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for n in range(prompts):
            for kind in ("kind", "right"):
                row = {"prompt": f"what is {seed + n} ?", "response": f"{n} {kind}"}
                file.write(json.dumps(row | {name: draw.randrange(5) for name in CRITERIA}) + "\n")
    return path


@pytest.fixture
def data(tmp_path):
    return rows(tmp_path / "train.jsonl", 40, 0), rows(tmp_path / "validation.jsonl", 6, 1000)


def test_there_is_one_per_model_and_nothing_else_differs():
    assert [read_config(path, {}).model for path in CONFIGS] == papers.MODELS
    assert papers.differences(CONFIGS) == {"model"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_file_says_what_is_ours_and_how_it_is_run(path):
    assert papers.unmarked(path) == []
    papers.check_head(path)
    assert "scheme" not in tomllib.loads(path.read_text(encoding="utf-8"))  # the comparison's


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_comparison_in_a_files_head_is_understood(path, data, tmp_path, capsys):
    flags = re.search(r"(--schemes \S+ --seeds \d+)", papers.head_of(path))[1].split()
    train, test = data
    words = ["compare", str(train), "--test", str(test), "--config", str(path), *flags]
    assert main([*words, "--output", str(tmp_path / "compared"), "--dry-run"]) == 0
    assert "25 runs: 5 arms with seeds 0, 1, 2, 3, 4" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", ["rs:8", "star", "pps"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_dry_runs_with_an_estimate_without_model_or_network(path, scheme, data, tmp_path, capsys, monkeypatch):
    train, test = data
    words = [train, "--test", test, "--scheme", scheme]
    told = papers.dry_run(words, path, tmp_path / "run", capsys, monkeypatch)
    assert "train 76, validation 4, test 12 examples" in told


def taught(path, style):
    """A small model of the family's architecture that has learned to write verdicts from 0 to 4."""
    from rationem import JudgeTask, Scale
    from rationem.data import PRESETS

    task, draw = JudgeTask(Scale.parse("0-4"), PRESETS["helpsteer2"].criteria), random.Random(0)
    samples = []
    for n in range(300):
        fields = {"prompt": f"what is {n} ?", "response": f"{n} kind", "criterion": "helpfulness"}
        level = draw.choice(task.levels)
        prompt = task.hint_prompt(fields, level) if n % 3 else task.prompt(fields)
        samples.append((prompt, task.format("kind", level)))
    return papers.taught(path, style, samples)


@pytest.mark.slow
@papers.in_turn(CONFIGS)
def test_each_runs_from_end_to_end_on_a_small_model_of_the_same_architecture(path, data, tmp_path, capsys):
    from rationem import report

    style = papers.style_of(path)
    model = taught(tmp_path, style)
    kind = json.loads((Path(model) / "config.json").read_text())["model_type"]
    assert kind == {"llama3": "llama", "qwen2": "qwen2"}[style]
    train, test = data
    trained = []
    for scheme in ("rs:2", "star", "pps"):
        run = tmp_path / scheme.replace(":", "-")
        words = ["fit", str(train), "--test", str(test), "--config", str(path), "--model", model, "--scheme", scheme]
        assert main([*words, *papers.SMALL, "--validation-share", "0.1", "--output", str(run)]) == 0
        assert "Examples: 24 train, 8 validation, 12 test." in (run / "report.md").read_text()
        summary = report.summarize(run)
        assert summary["finished"]
        assert sum(summary["iterations"][1]["e_step"]["states"].values()) == 24
        assert (run / "model" / "rationem.json").is_file()
        trained.append(summary["iterations"][1]["m_step"]["trained"])
    assert trained[-1]  # hints are met, so that something was learned from
