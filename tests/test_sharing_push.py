"""Pushes: what arrives at the hub is the run's judge, says the same, and its page says what the run's numbers say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hub_stub
from rationem import Judge, progress
from rationem.cli import main as cli
from rationem.engines import models
from rationem.errors import ConfigError, HubError, RationemError, RunError
from rationem.export.push import push, write
from rationem.report.tables import number, within
from rationem.run.card import read_card

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("push")


@pytest.fixture(scope="module")
def run(folder):
    import shared

    return shared.run(folder, "full")


@pytest.fixture(scope="module")
def lora(folder):
    """A run that trains adapters: the people say 4 nearly always, so that one iteration is better than none."""
    import shared

    data = shared.ratings(folder / "fours.csv", levels=(4, 4, 4, 4, 4, 4, 4, 5))
    return shared.run(folder, "lora", data=(str(data),), lora_rank=4, learning_rate=1e-2, steps=20, iterations=1)


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    with hub_stub.serve() as served:
        monkeypatch.setenv("HF_TOKEN", hub_stub.TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield served


def received(hub, name, directory, branch="main"):
    directory.mkdir()
    for path, content in hub.files(name, branch).items():
        (directory / path).write_bytes(content)
    return directory


def said(directory):
    """Log-probabilities behind a prompt, by the loader that rationem itself uses."""
    import torch

    loaded = models.load(str(directory), device="cpu")
    ids = loaded.tokenizer("Rate the response on the scale 1 < 2 < 3", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return torch.log_softmax(loaded.model(input_ids=ids).logits, -1)


def no_path_of_this_machine(directory, *places):
    for path in directory.iterdir():
        if path.suffix != ".safetensors":
            text = path.read_text(encoding="utf-8")
            assert not [place for place in places if str(place) in text], path.name


def test_the_command_uploads_what_loads_and_says_the_same(run, tmp_path):
    """In a process of its own, as a user runs it."""
    import torch

    with hub_stub.serve() as hub:
        environment = {
            **os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": hub_stub.TOKEN, "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
        }  # fmt: skip
        command = [sys.executable, "-m", "rationem.cli.main", "push", str(run), "me/judge", "--private"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == f"{hub.url}/me/judge"
        assert hub_stub.TOKEN not in done.stdout + done.stderr
        assert hub.repos["me/judge"]["private"] is True
        commits = [path for verb, path in hub.asked if "/commit/" in path]
        assert len(commits) == 1
        directory = received(hub, "me/judge", tmp_path / "received")
    assert {path.name for path in directory.iterdir()} >= {
        "README.md", "rationem.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"
    }  # fmt: skip
    assert (directory / "model.safetensors").read_bytes() == (run / "model" / "model.safetensors").read_bytes()
    assert json.loads((directory / "rationem.json").read_text()) == json.loads(
        (run / "model" / "rationem.json").read_text()
    )
    assert torch.equal(said(directory), said(run / "model"))
    assert Judge.load(directory).calibration is not None
    no_path_of_this_machine(directory, run, run.parent, Path.home())


def test_the_judge_that_was_received_rates_as_the_runs_own(run, hub, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "say", lambda _text: None)
    push(run, "me/judge", merged=False, revision="trial")
    assert list(hub.files("me/judge")) == [".gitattributes"]  # the main branch is as it was
    there = received(hub, "me/judge", tmp_path / "received", "trial")
    item = [{"prompt": "what is 3 ?", "response": "3 kind"}]
    with Judge.load(there, device="cpu") as one, Judge.load(run, device="cpu") as other:
        assert one.rate(item) == other.rate(item)


def test_examples_and_optimizer_stay_at_home(run, tmp_path):
    (run / "model" / "optimizer.pt").write_bytes(b"moments")
    (run / "model" / "evil.py").write_text("print(1)")
    try:
        directory = write(run, tmp_path / "out", merged=False)
    finally:
        (run / "model" / "optimizer.pt").unlink()
        (run / "model" / "evil.py").unlink()
    assert not {"optimizer.pt", "evil.py"} & {path.name for path in directory.iterdir()}
    for path in directory.iterdir():
        if path.name not in ("tokenizer.json", "model.safetensors"):
            assert not re.search(r"what is \d+ \?|\d+ kind", path.read_text(encoding="utf-8")), path.name


def test_merged_weights_are_the_adapters_function_and_the_calibration_is_bound_to_them(lora, tmp_path):
    from transformers import AutoModelForCausalLM

    directory = write(lora, tmp_path / "merged", merged=True)
    assert not (directory / "adapter_config.json").exists()
    assert (said(directory) - said(lora / "model")).abs().max() < 1e-4
    base = models.weights_of(str(lora / "model"))
    assert (said(directory) - said(base)).abs().max() > 1e-2  # and not the base's
    AutoModelForCausalLM.from_pretrained(directory, use_safetensors=True)
    old, new = read_card(lora / "model"), Judge.load(directory).card
    assert new.calibration.model_sha256 != old.calibration.model_sha256
    assert new.calibration.temperature == old.calibration.temperature
    page = (directory / "README.md").read_text()
    assert "library_name: transformers" in page
    assert "up to rounding" in page
    no_path_of_this_machine(directory, lora, base, Path.home())


def test_merged_weights_have_the_bases_precision(folder, lora, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    other = tmp_path / "run"
    shutil.copytree(lora, other)
    base = tmp_path / "half"
    shutil.copytree(models.weights_of(str(lora / "model")), base)
    half = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(half, base / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    adapter = json.loads((other / "model" / "adapter_config.json").read_text())
    adapter["base_model_name_or_path"] = str(base)
    (other / "model" / "adapter_config.json").write_text(json.dumps(adapter))
    with pytest.raises(RunError, match="was changed since"):
        write(other, tmp_path / "refused", merged=True)
    card = json.loads((other / "model" / "rationem.json").read_text())
    (other / "model" / "rationem.json").write_text(json.dumps({**card, "calibration": None}))
    with pytest.raises(RunError, match=r"was trained on another base model .* model\.safetensors changed"):
        write(other, tmp_path / "refused", merged=True)
    (other / "model" / "rationem.json").write_text(json.dumps({**card, "calibration": None, "base": None}))
    directory = write(other, tmp_path / "merged", merged=True)
    assert {tensor.dtype for tensor in load_file(directory / "model.safetensors").values()} == {torch.bfloat16}
    assert (said(directory) - said(other / "model")).abs().mean() < 0.05


def test_an_adapter_whose_base_nobody_else_has_is_not_pushed_as_such(lora, hub, tmp_path):
    with pytest.raises(ConfigError, match="--merged") as told:
        push(lora, "me/judge", merged=False, revision=None)
    assert str(lora.parent / "model" / "grader") not in str(told.value)
    assert hub.repos == {}


def test_an_adapter_goes_with_the_name_that_its_base_has_on_the_hub(lora, hub, tmp_path):
    from peft import AutoPeftModelForCausalLM, PeftModel
    from transformers import AutoModelForCausalLM

    push(lora, "me/judge", merged=False, revision=None, base_model="me/base")
    there = received(hub, "me/judge", tmp_path / "received")
    config = json.loads((there / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "me/base"
    page = (there / "README.md").read_text()
    assert "library_name: peft" in page
    assert "base_model: me/base" in page
    assert AutoPeftModelForCausalLM.__name__ in page
    Judge.load(there)  # the calibration is bound to what was sent
    base = models.weights_of(str(lora / "model"))
    no_path_of_this_machine(there, lora, base, Path.home())
    with models.quiet():
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), there)
    import torch

    tokenizer = models.load(base, device="cpu").tokenizer
    ids = tokenizer("Rate the response on the scale 1 < 2 < 3", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert (torch.log_softmax(model(input_ids=ids).logits, -1) - said(lora / "model")).abs().max() < 1e-4


def test_whole_weights_over_an_adapter_leave_no_adapter_behind(lora, hub):
    hub.add("me/judge", {"adapter_config.json": b"{}", "adapter_model.safetensors": b"old", "notes.md": b"mine"})
    push(lora, "me/judge", merged=True, revision=None)
    there = hub.files("me/judge")
    assert not {"adapter_config.json", "adapter_model.safetensors"} & set(there)
    assert there["notes.md"] == b"mine"
    assert "model.safetensors" in there


def test_an_upload_that_breaks_off_is_said(run, hub, monkeypatch):
    from huggingface_hub import lfs

    def broken(*_arguments, **_more):
        raise ConnectionResetError(f"reset by peer ({hub_stub.TOKEN})")

    monkeypatch.setattr(lfs, "_upload_single_part", broken)
    with pytest.raises(HubError, match=r"broke off.*reset by peer") as told:
        push(run, "me/judge", merged=False, revision=None)
    assert hub_stub.TOKEN not in str(told.value)
    assert list(hub.files("me/judge")) == [".gitattributes"]


# What goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "token", "error", "words"),
    [
        ("me/judge", "hf_wrongwrongwrongwrongwrongwrong", HubError, "(401)"),
        ("you/judge", hub_stub.TOKEN, HubError, "(403)"),
        ("you/theirs", hub_stub.TOKEN, HubError, "(403)"),
        ("judge", hub_stub.TOKEN, ConfigError, "OWNER/NAME"),
        ("me/ju dge", hub_stub.TOKEN, ConfigError, "no name on the hub"),
        ("a/b/c", hub_stub.TOKEN, ConfigError, "no name on the hub"),
    ],
)
def test_refusals_are_sentences_without_the_token(run, hub, monkeypatch, capsys, name, token, error, words):
    monkeypatch.setenv("HF_TOKEN", token)
    hub.add("you/theirs", {"README.md": b"theirs"})
    with pytest.raises(error) as told:
        push(run, name, merged=False, revision=None)
    assert words in str(told.value)
    assert token not in str(told.value)
    assert cli.main(["push", str(run), name]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert token not in shown.out + shown.err
    assert "Traceback" not in shown.err
    assert hub.files("you/theirs") == {"README.md": b"theirs"}


def test_private_is_not_put_where_everybody_reads(run, hub):
    hub.add("me/open", {})
    with pytest.raises(HubError, match="public: nothing was uploaded"):
        push(run, "me/open", private=True, merged=False, revision=None)
    assert hub.files("me/open") == {}


def test_no_token_no_network_and_no_hub_are_said(run, monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", hub_stub.TOKEN)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        push(run, "me/judge", merged=False, revision=None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(HubError, match="cannot be reached"):
        push(run, "me/judge", merged=False, revision=None)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(HubError, match="hf auth login"):
        push(run, "me/judge", merged=False, revision=None)


def test_what_is_no_finished_run_is_not_pushed(run, tmp_path):
    import shutil

    with pytest.raises(RunError, match="holds no run"):
        write(tmp_path / "nowhere", tmp_path / "out", merged=False)
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("model"))
    with pytest.raises(RunError, match="not finished"):
        write(tmp_path / "run", tmp_path / "out", merged=False)
    with pytest.raises(ConfigError, match="not an adapter"):
        write(run, tmp_path / "out", merged=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(ConfigError, match="not empty"):
        write(run, tmp_path / "full", merged=False)
    with pytest.raises(RationemError, match="outside it"):
        write(run, run / "inside", merged=False)
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "run"]


# The page ------------------------------------------------------------------------------------------------------


def test_the_page_has_the_runs_numbers(run, tmp_path):
    page = (write(run, tmp_path / "out", name="me/judge", merged=False) / "README.md").read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    best = next(e for e in metrics["iterations"] if e["iteration"] == metrics["best_iteration"])["test"]
    for key in ("accuracy", "mae", "log_likelihood"):
        assert within(best[key], best["intervals"][key]) in page
    assert number(metrics["baselines"]["test"]["training_marginal"]["log_likelihood"]) in page
    assert f"Temperature {number(metrics['calibration']['temperature'])}" in page
    for split, count in metrics["examples"].items():
        assert f"| {split} | {count} | {metrics['groups'][split]} |" in page
    for doubt in read_card(run / "model").doubts:
        assert doubt in page


def test_the_pages_own_code_runs(run, tmp_path, capsys):
    page = (write(run, tmp_path / "out", merged=False) / "README.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(snippets) == 2
    here = {"OWNER/NAME": str(tmp_path / "out"), "snapshot_download(": "("}
    for snippet in snippets:
        code = snippet.replace("from huggingface_hub import snapshot_download\n", "")
        for name, meant in here.items():
            code = code.replace(name, meant)
        exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_hostile_names_are_text(folder, tmp_path):
    """What a reader of Markdown makes of the page: no markup, link or front matter comes of the user's texts."""
    import csv
    import random

    import yaml
    from markdown_it import MarkdownIt

    import shared

    evil = "<script>alert(1)</script>|![x](http://evil.example/x.png) www.evil.example `a`"
    data = tmp_path / "a]b<img src=x>.csv"
    with data.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "response", evil, "tone"])
        rows.writerows([f"what is {n} ?", f"{n} kind", random.Random(n).randint(1, 5), 4] for n in range(50))
    rubric = tmp_path / "rubric.toml"
    text = json.dumps(f"Is it ```\n{evil}\n---\nlicense: mine\n~~~~ kind?")
    rubric.write_text(f"scale = '1-5'\n[criteria.{json.dumps(evil)}]\ninstruction = {text}\n[criteria.tone]\n")
    made = shared.run(
        folder, "hostile", data=(str(data),), rubric=str(rubric), scale=None, iterations=1, max_prompt_tokens=900
    )
    page = (write(made, tmp_path / "out", merged=False) / "README.md").read_text()
    front, body = page.removeprefix("---\n").split("\n---\n", 1)
    assert set(yaml.safe_load(front)) == {"library_name", "pipeline_tag", "tags"}
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    flat = [inner for token in tokens for inner in (token, *(token.children or ()))]
    assert not [token for token in flat if token.type in ("html_block", "html_inline", "image")]
    links = {token.attrs["href"] for token in flat if token.type == "link_open"}
    assert links == {"https://arxiv.org/abs/2512.20169"}
    shown = "".join(token.content for token in flat if token.type in ("text", "text_special"))
    assert "<script>alert(1)</script>" in shown
    source = "".join(token.content for token in tokens if token.type == "inline")
    assert "http://" not in re.sub(r"`[^`]*`", "", source)  # nor does a bare address become a link
    assert "www." not in re.sub(r"`[^`]*`", "", source)
    tables = [n for n, token in enumerate(tokens) if token.type == "table_open"]
    assert len(tables) >= 4
    for begin in tables:  # every row has as many cells as its head
        rows = "".join(
            {"tr_open": "|", "th_open": "x", "td_open": "x"}.get(t.type, "") for t in _until_end(tokens, begin)
        )
        assert len({len(row) for row in rows.split("|")[1:]}) == 1


def _until_end(tokens, begin):
    end = next(n for n in range(begin, len(tokens)) if tokens[n].type == "table_close")
    return tokens[begin:end]


def test_the_embedded_model_is_said_to_be_no_judge():
    from rationem.export.origin import base_of

    assert not base_of("tiny-judge").on_hub
    assert base_of(str(Path.home() / "models" / "mine")).name == "mine"
