"""The paper's multiple choice as committed files: parsed, estimated offline, run on small models of the same kinds."""

import random
import re
import tomllib
from pathlib import Path

import pytest

from lettered import arc, mmlu, rows_of
from rationem.cli import main
from rationem.config import read_config
from rationem.data import is_hub_name
from test_paper_configs import STYLES, flat

FOLDER = Path(__file__).parents[1] / "configs" / "paper"
CONFIGS = sorted(FOLDER.glob("choice-*.toml"))
#: What the abstract of arXiv 2512.20169v1 settles, of all that a configuration can say.
ABSTRACT = {"task"}


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


def head_of(path):
    return path.read_text(encoding="utf-8").split("\n\n")[0]


def test_there_is_one_per_model_and_nothing_else_differs():
    assert [read_config(path, {}).model for path in CONFIGS] == [
        "meta-llama/Llama-3.2-3B-Instruct",
        "Qwen/Qwen2.5-3B-Instruct",
    ]
    different = [flat(path) for path in CONFIGS]
    assert {key for key, _ in different[0] ^ different[1]} == {"model"}


def test_training_is_that_of_the_judges():
    for path in CONFIGS:
        judged = tomllib.loads((FOLDER / path.name.replace("choice", "judge")).read_text(encoding="utf-8"))
        chosen = tomllib.loads(path.read_text(encoding="utf-8"))
        same = set(judged) & set(chosen) - {"task", "limit"}
        assert {key: judged[key] for key in same} == {key: chosen[key] for key in same}
        assert {"learning_rate", "steps", "batch_size", "draws", "iterations", "precision"} <= same


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_whatever_the_abstract_does_not_settle_is_marked_as_ours(path):
    told = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert len(told) == len(tomllib.loads("\n".join(told)))
    for line in told:
        key = line.split(" = ")[0]
        assert line.endswith("  # abstract" if key in ABSTRACT else "  # ours"), line
    assert not {"scheme", "data", "test"} & set(tomllib.loads("\n".join(told)))  # the command line's


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_commands_in_a_files_head_name_the_file_the_three_sets_and_the_papers_schemes(path):
    from rationem.schemes import parse_scheme

    head = head_of(path)
    assert set(re.findall(r"configs/paper/\S+", head)) == {f"configs/paper/{path.name}"}
    named = re.findall(r"rationem compare (\S+) --test (\S+)", head)
    assert [train.split("/")[1].split(":")[0] for train, _ in named] == ["ai2_arc", "mmlu", "openbookqa"]
    assert all(is_hub_name(one) for pair in named for one in pair)
    for schemes in re.findall(r"--schemes (\S+)", head):
        assert [parse_scheme(one).name for one in schemes.split(",")] == ["rs:1", "rs:8", "star", "pps"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_dry_runs_with_an_estimate_without_model_or_network(path, data, tmp_path, capsys, monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("rationem.preflight.check_machine", lambda _: None)
    _, train, test = data
    words = ["fit", str(train), "--test", str(test), "--config", str(path), "--scheme", "pps"]
    assert main([*words, "--output", str(tmp_path / "run"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "train 76, validation 4, test 12 examples" in told
    assert 'task = "choice"' in told
    counted = {"choice-llama-3.2-3b": "3,212,749,824", "choice-qwen-2.5-3b": "3,085,938,688"}[path.stem]
    assert f"model: {counted} parameters, from its published configuration" in told
    assert re.search(r"tokens: [\d,]+ read .*, [\d,]+ generated, [\d,]+ trained on", told)
    assert re.search(r"time: [\d.]+ to [\d.]+ (minutes|hours) of one H100", told)
    assert not (tmp_path / "run").exists()


def taught(path, style):
    """A random model of one layer in the family's architecture that has learned to write a letter behind the marker."""
    from checkpoints import checkpoint, tokenizer
    from lettered import item, task
    from rationem import Sample, SupervisedMStep, Training
    from rationem.chat import Chat

    made, draw, chat = task(4), random.Random(0), Chat(tokenizer(style))
    samples = []
    for n in range(300):
        fields, level = item((f"{n} kind", f"{n} right", "rude", "long")).fields, draw.choice(made.levels)
        prompt = made.hint_prompt(fields, level) if n % 3 else made.prompt(fields)
        samples.append(Sample(str(n), prompt, chat.encode_completion(made.format("kind", level)), 1.0))
    base, target = checkpoint(path / "random", style, layers=1), path / "taught"
    target.mkdir()
    training = Training(steps=80, batch_size=16, micro_batch_size=16, learning_rate=1e-2, max_length=1000)
    SupervisedMStep(training, "cpu")(base, samples, iteration=1, seed=0, output=target)
    return str(target)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {style: taught(tmp_path_factory.mktemp(style), style) for style in STYLES.values()}


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_runs_from_end_to_end_on_a_small_model_of_the_same_architecture(path, data, models, tmp_path):
    from rationem import report

    (style,) = [style for name, style in STYLES.items() if name in path.stem]
    name, train, test = data
    small = "--iterations 1 --steps 2 --batch-size 4 --micro-batch-size 2 --max-new-tokens 16 --max-prompt-tokens 900 "
    small += "--scheme star --draws 2 --evidence-draws 1 --wrong-hints 2 --difficulty-examples 2 --shots 0 --limit 24 "
    small += (
        "--validation-share 0.1 --engine transformers --sampling-batch 16 --device cpu --threads 1 --precision fp32"
    )
    words = [
        "fit",
        str(train),
        "--test",
        str(test),
        "--config",
        str(path),
        "--model",
        models[style],
        "--scheme",
        "star",
    ]
    assert main([*words, *small.split(), "--output", str(tmp_path / "run")]) == 0
    summary = report.summarize(tmp_path / "run")
    assert summary["finished"]
    assert summary["notes"]["preset"] == name
    assert summary["examples"] == {"train": 24, "validation": 8, "test": 12}
    assert sum(summary["iterations"][1]["e_step"]["states"].values()) == 24
    assert summary["iterations"][1]["m_step"]["trained"]
    assert (tmp_path / "run" / "model" / "rationem.json").is_file()
