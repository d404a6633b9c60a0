"""The paper's multiple choice as committed files: parsed, estimated offline, run on small models of the same kinds."""

import random
import re
import tomllib

import pytest

import papers
from lettered import arc, mmlu, rows_of
from rationem.cli.main import main
from rationem.config import read_config
from rationem.data import is_hub_name

CONFIGS = papers.configs("choice")


def openbookqa(n):
    row = arc(n)
    return {"question_stem": row.pop("question"), **row, "fact1": "EXPLANATION"}


SETS = {"arc": arc, "mmlu": mmlu, "openbookqa": openbookqa}


@pytest.fixture(params=SETS)
def data(request, tmp_path):
    row = SETS[request.param]
    train = [{"train": row(n)} if request.param == "mmlu" else row(n) for n in range(80)]
    return (
        request.param,
        rows_of(tmp_path / "train.jsonl", train),
        rows_of(tmp_path / "test.jsonl", [row(n) for n in range(100, 112)]),
    )


def test_there_is_one_per_model_and_nothing_else_differs():
    assert [read_config(path, {}).model for path in CONFIGS] == papers.MODELS
    assert papers.differences(CONFIGS) == {"model"}


def test_training_is_that_of_the_judges():
    for path in CONFIGS:
        judged = tomllib.loads((papers.FOLDER / path.name.replace("choice", "judge")).read_text(encoding="utf-8"))
        chosen = tomllib.loads(path.read_text(encoding="utf-8"))
        same = set(judged) & set(chosen) - {"task", "limit"}
        assert {key: judged[key] for key in same} == {key: chosen[key] for key in same}
        assert {"learning_rate", "steps", "batch_size", "draws", "iterations", "precision"} <= same


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_file_says_what_is_ours_and_how_it_is_run(path):
    assert papers.unmarked(path) == []
    papers.check_head(path)
    assert not {"scheme", "data", "test"} & set(tomllib.loads(path.read_text(encoding="utf-8")))  # the command line's
    named = re.findall(r"rationem compare (\S+) --test (\S+)", papers.head_of(path))
    assert [train.split("/")[1].split(":")[0] for train, _ in named] == ["ai2_arc", "mmlu", "openbookqa"]
    assert all(is_hub_name(one) for pair in named for one in pair)


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_dry_runs_with_an_estimate_without_model_or_network(path, data, tmp_path, capsys, monkeypatch):
    _, train, test = data
    words = [train, "--test", test, "--scheme", "pps"]
    told = papers.dry_run(words, path, tmp_path / "run", capsys, monkeypatch)
    assert "train 76, validation 4, test 12 examples" in told
    assert 'task = "choice"' in told


def taught(path, style):
    """A small model of the family's architecture that has learned to write a letter behind the marker."""
    from lettered import item, task

    made, draw = task(4), random.Random(0)
    samples = []
    for n in range(300):
        fields, level = item((f"{n} kind", f"{n} right", "rude", "long")).fields, draw.choice(made.levels)
        prompt = made.hint_prompt(fields, level) if n % 3 else made.prompt(fields)
        samples.append((prompt, made.format("kind", level)))
    return papers.taught(path, style, samples)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {style: taught(tmp_path_factory.mktemp(style), style) for style in papers.STYLES.values()}


@pytest.mark.slow
@papers.in_turn(CONFIGS)
def test_each_runs_from_end_to_end_on_a_small_model_of_the_same_architecture(path, data, models, tmp_path):
    from rationem import report

    name, train, test = data
    words = ["fit", str(train), "--test", str(test), "--config", str(path), "--scheme", "star"]
    words += ["--model", models[papers.style_of(path)], *papers.SMALL, "--validation-share", "0.1"]
    assert main([*words, "--output", str(tmp_path / "run")]) == 0
    summary = report.summarize(tmp_path / "run")
    assert summary["finished"]
    assert summary["notes"]["preset"] == name
    assert summary["examples"] == {"train": 24, "validation": 8, "test": 12}
    assert sum(summary["iterations"][1]["e_step"]["states"].values()) == 24
    assert summary["iterations"][1]["m_step"]["trained"]
    assert (tmp_path / "run" / "model" / "rationem.json").is_file()
