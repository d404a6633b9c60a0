"""The paper's experiment as committed files, and what is true of all of them."""

import json
import re
import tomllib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "configs" / "paper"
MODELS = ["meta-llama/Llama-3.2-3B-Instruct", "Qwen/Qwen2.5-3B-Instruct"]
#: What the abstracts of arXiv 2512.20169 settle, of all that a configuration can say.
ABSTRACT = {"task"}
SCHEMES = ["rs:1", "rs:8", "star", "pps"]
STYLES = {"llama": "llama3", "qwen": "qwen2"}
COUNTED = {"llama-3.2-3b": "3,212,749,824", "qwen-2.5-3b": "3,085,938,688"}
SMALL = (
    "--iterations 1 --steps 2 --batch-size 4 --micro-batch-size 2 --max-new-tokens 16 --max-prompt-tokens 1000 "
    "--draws 2 --evidence-draws 1 --wrong-hints 2 --difficulty-examples 2 --shots 0 --limit 24 "
    "--engine transformers --sampling-batch 16 --device cpu --threads 1 --precision fp32"
).split()


def configs(task):
    return sorted(FOLDER.glob(f"{task}-*.toml"))


def style_of(path):
    (style,) = [style for name, style in STYLES.items() if name in path.stem]
    return style


def head_of(path):
    return path.read_text(encoding="utf-8").split("\n\n")[0]


def flat(path):
    return {(key, json.dumps(value)) for key, value in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def differences(paths):
    """The settings in which two files differ."""
    one, other = map(flat, paths)
    return {key for key, _ in one ^ other}


def unmarked(path):
    """The settings that are not marked as settled by the abstract, or as ours, as they are."""
    told = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert len(told) == len(tomllib.loads("\n".join(told)))  # one setting per line
    ends = {line: "  # abstract" if line.split(" = ")[0] in ABSTRACT else "  # ours" for line in told}
    return [line for line, end in ends.items() if not line.endswith(end)]


def check_head(path):
    """The commands in a file's head name that file and the paper's schemes."""
    from rationem.sampling.schemes import parse_scheme

    head = head_of(path)
    ours = [name for name in re.findall(r"configs/paper/\S+?\.toml", head) if name.split("/")[-1][:4] == path.name[:4]]
    assert set(ours) == {f"configs/paper/{path.name}"}
    found = re.findall(r"--schemes (\S+)", head)
    assert found
    for schemes in found:
        assert [parse_scheme(one).name for one in schemes.split(",")] == SCHEMES


def dry_run(words, path, output, capsys, monkeypatch):
    """What a dry run says of a file, without a model or the network."""
    import socket

    from rationem.cli.main import main

    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("rationem.run.preflight.check_machine", lambda _: None)
    assert main(["fit", *map(str, words), "--config", str(path), "--output", str(output), "--dry-run"]) == 0
    told = capsys.readouterr().out
    (counted,) = [count for name, count in COUNTED.items() if name in path.stem]
    assert f"model: {counted} parameters, from its published configuration" in told
    assert re.search(r"tokens: [\d,]+ read .*, [\d,]+ generated, [\d,]+ trained on", told)
    assert re.search(r"time: [\d.]+ to [\d.]+ (minutes|hours) of one H100", told)
    assert re.search(r"disk: about [\d.]+ GB \(checkpoints [\d.]+ GB, optimizer moments", told)
    assert not output.exists()
    return told


def taught(path, style, samples):
    """A random model of one layer in the family's architecture that has learned to write these completions.

    Args:
        samples: (prompt, completion), as many as there are to learn from.
    """
    from checkpoints import checkpoint, tokenizer
    from rationem import Sample, SupervisedMStep, Training
    from rationem.engines.chat import Chat

    chat = Chat(tokenizer(style))
    made = [Sample(str(n), prompt, chat.encode_completion(text), 1.0) for n, (prompt, text) in enumerate(samples)]
    base, target = checkpoint(path / "random", style, layers=1), path / "taught"
    target.mkdir()
    training = Training(steps=80, batch_size=16, micro_batch_size=16, learning_rate=1e-2, max_length=1000)
    SupervisedMStep(training, "cpu")(base, made, iteration=1, seed=0, output=target)
    return str(target)


def in_turn(paths):
    """A parameter for each configuration; all but the first are left to `make test-all`."""
    first, *others = paths
    params = [first, *(pytest.param(path, marks=pytest.mark.acceptance) for path in others)]
    return pytest.mark.parametrize("path", params, ids=lambda path: path.stem)
