"""The paper's experiment as committed files: parsed, estimated offline, and run on small models of the same kinds."""

import json
import random
import re
import tomllib
from pathlib import Path

import pytest

from rationem.cli import main
from rationem.config import read_config

FOLDER = Path(__file__).parents[1] / "configs" / "paper"
CONFIGS = sorted(FOLDER.glob("judge-*.toml"))
#: What the abstract of arXiv 2512.20169v2 settles, of all that a configuration can say.
ABSTRACT = {"task"}
CRITERIA = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
STYLES = {"llama": "llama3", "qwen": "qwen2"}


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


def test_there_is_one_per_model():
    assert [read_config(path, {}).model for path in CONFIGS] == [
        "meta-llama/Llama-3.2-3B-Instruct",
        "Qwen/Qwen2.5-3B-Instruct",
    ]
    different = [flat(path) for path in CONFIGS]
    assert {key for key, _ in different[0] ^ different[1]} == {"model"}


def flat(path):
    return {(key, json.dumps(value)) for key, value in tomllib.loads(path.read_text(encoding="utf-8")).items()}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_whatever_the_abstract_does_not_settle_is_marked_as_ours(path):
    told = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert len(told) == len(tomllib.loads("\n".join(told)))  # one setting per line
    for line in told:
        key = line.split(" = ")[0]
        assert line.endswith("  # abstract" if key in ABSTRACT else "  # ours"), line
    assert "scheme" not in tomllib.loads("\n".join(told))  # the comparison's


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_commands_in_a_files_head_name_the_file_and_the_papers_schemes(path):
    from rationem.schemes import parse_scheme

    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    named = re.findall(r"configs/paper/\S+", head)
    assert set(named) == {f"configs/paper/{path.name}"}
    (schemes,) = re.findall(r"--schemes (\S+)", head)
    assert [parse_scheme(one).name for one in schemes.split(",")] == ["rs:1", "rs:8", "star", "pps"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_comparison_in_a_files_head_is_understood(path, data, tmp_path, capsys):
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    flags = re.search(r"(--schemes \S+ --seeds \d+)", head)[1].split()
    train, test = data
    words = ["compare", str(train), "--test", str(test), "--config", str(path), *flags]
    assert main([*words, "--output", str(tmp_path / "compared"), "--dry-run"]) == 0
    assert "25 runs: 5 arms with seeds 0, 1, 2, 3, 4" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", ["rs:8", "star", "pps"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_dry_runs_with_an_estimate_without_model_or_network(path, scheme, data, tmp_path, capsys, monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("rationem.preflight.check_machine", lambda _: None)
    train, test = data
    words = ["fit", str(train), "--test", str(test), "--config", str(path), "--scheme", scheme]
    assert main([*words, "--output", str(tmp_path / "run"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "train 76, validation 4, test 12 examples" in told
    counted = {"judge-llama-3.2-3b": "3,212,749,824", "judge-qwen-2.5-3b": "3,085,938,688"}[path.stem]
    assert f"model: {counted} parameters, from its published configuration" in told
    assert re.search(r"tokens: [\d,]+ read .*, [\d,]+ generated, [\d,]+ trained on", told)
    assert re.search(r"time: [\d.]+ to [\d.]+ (minutes|hours) of one H100", told)
    assert re.search(r"disk: about [\d.]+ GB \(checkpoints [\d.]+ GB, optimizer moments", told)
    assert not (tmp_path / "run").exists()


def taught(path, style):
    """A random model of one layer in the family's architecture that has learned to write verdicts from 0 to 4."""
    from checkpoints import checkpoint, tokenizer
    from rationem import JudgeTask, Sample, Scale, SupervisedMStep, Training
    from rationem.chat import Chat
    from rationem.data import PRESETS

    preset = PRESETS["helpsteer2"]
    task = JudgeTask(Scale.parse("0-4"), preset.criteria)
    draw, chat = random.Random(0), Chat(tokenizer(style))
    samples = []
    for n in range(300):
        fields = {"prompt": f"what is {n} ?", "response": f"{n} kind", "criterion": "helpfulness"}
        level = draw.choice(task.levels)
        prompt = task.hint_prompt(fields, level) if n % 3 else task.prompt(fields)
        samples.append(Sample(str(n), prompt, chat.encode_completion(task.format("kind", level)), 1.0))
    base, target = checkpoint(path / "random", style, layers=1), path / "taught"
    target.mkdir()
    training = Training(steps=80, batch_size=16, micro_batch_size=16, learning_rate=1e-2, max_length=1000)
    SupervisedMStep(training, "cpu")(base, samples, iteration=1, seed=0, output=target)
    return str(target)


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_runs_from_end_to_end_on_a_small_model_of_the_same_architecture(path, data, tmp_path, capsys):
    from rationem import report

    (style,) = [style for name, style in STYLES.items() if name in path.stem]
    model = taught(tmp_path, style)
    kind = json.loads((Path(model) / "config.json").read_text())["model_type"]
    assert kind == {"llama3": "llama", "qwen2": "qwen2"}[style]
    small = "--iterations 1 --steps 2 --batch-size 4 --micro-batch-size 2 --max-new-tokens 16 --max-prompt-tokens 1000 "
    small += "--draws 2 --evidence-draws 1 --wrong-hints 2 --difficulty-examples 2 --shots 0 --limit 24 "
    small += (
        "--validation-share 0.1 --engine transformers --sampling-batch 16 --device cpu --threads 1 --precision fp32"
    )
    train, test = data
    trained = []
    for scheme in ("rs:2", "star", "pps"):
        run = tmp_path / scheme.replace(":", "-")
        words = ["fit", str(train), "--test", str(test), "--config", str(path), "--model", model, "--scheme", scheme]
        assert main([*words, *small.split(), "--output", str(run)]) == 0
        assert "Examples: 24 train, 8 validation, 12 test." in capsys.readouterr().out
        summary = report.summarize(run)
        assert summary["finished"]
        assert sum(summary["iterations"][1]["e_step"]["states"].values()) == 24
        assert (run / "model" / "rationem.json").is_file()
        trained.append(summary["iterations"][1]["m_step"]["trained"])
    assert trained[-1]  # hints are met, so that something was learned from
