"""A run directory from somebody else: what its settings name is not run, contacted or fetched because they name it."""

import json
import os
import shutil
import sqlite3
from contextlib import closing

import pytest

import paged
import stub_server
from rationem.cli import main as cli
from rationem.config import FitConfig, reach_of, read_config, to_toml
from rationem.errors import ConfigError
from rationem.ledger import read_manifest, read_only
from rationem.run import trust

#: Names of columns, sentences, names of our own: no file, program, address or hub is reached by them.
TASK = """
from pathlib import Path
Path({marker!r}).touch()


class Mine:
    inputs = ("prompt",)

    def prompt(self, fields):
        return fields["prompt"] + " Answer:"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("RATIONEM_CONFIG", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text(TASK.format(marker=str(tmp_path / "was-run")))
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\ntouch '{tmp_path}/was-run'\necho vllm 1\n")
    script.chmod(0o755)
    (tmp_path / "data.csv").write_text("prompt,response,rating\n" + "what?,that,3\n" * 40)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.fixture
def server():
    with stub_server.StubServer(lambda path, body: {"data": [{"id": "m"}]}) as served:
        yield served


def received(place, **settings):
    """A finished run with these settings in its config.toml."""
    run = paged.write_run(place / "run")
    config = read_config(None, {"data": ("data.csv",), "model": "tiny-judge", **settings})
    (run / "config.toml").write_text(to_toml(config))
    return run


def contents(directory):
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


HOSTILE = {
    "a task": ({"task": "evil.py:Mine"}, "--task evil.py:Mine"),
    "a task without its class": ({"task": "evil.py"}, "--task evil.py"),
    "an interpreter": ({"engine": "vllm", "vllm_python": "./python"}, "--vllm-python ./python"),
    "flags of a server": ({"engine": "vllm", "vllm_args": ("--middleware", "os.system")}, "--vllm-args='--middleware"),
    "a teacher": ({"scheme": "rationalize@teacher", "teacher": ("URL",)}, "--teacher http://127.0.0.1"),
    "a model of the hub": ({"model": "evil/model"}, "--model evil/model"),
    "a model of the hub without owner": ({"model": "gpt2"}, "--model gpt2"),
    "data of the hub": ({"data": ("evil/data#train",)}, "'evil/data#train'"),
    "a test set of the hub": ({"test": ("evil/data",)}, "--test evil/data"),
    "a service for losses": ({"report_to": ("wandb",)}, "--report-to wandb"),
    "a pipe": ({"template": "pipe"}, "--template pipe"),
    "a device": ({"rubric": "/dev/zero"}, "--rubric /dev/zero"),
    "a device as data": ({"data": ("/dev/zero",)}, "/dev/zero"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_a_received_run_names_is_run_contacted_or_read(place, server, capsys, hostile):
    settings, flag = HOSTILE[hostile]
    settings = {key: (server.url,) if value == ("URL",) else value for key, value in settings.items()}
    run = received(place, **settings)
    before = contents(run)
    again = ["--config", "run/config.toml", "--output", "new"]
    for command in (["--output", "run"], ["--output", "run", "--dry-run"], again):
        assert cli.main(["fit", *command]) == 2
        said = capsys.readouterr().err
        assert flag in said
        assert "name them in the command" in said
    assert contents(run) == before
    assert not (place / "was-run").exists()
    assert not (place / "new").exists()
    assert server.asked == []


def test_a_run_without_a_ledger_that_can_be_read_is_no_ones(place, capsys):
    run = received(place, task="evil.py:Mine")
    for content in (b"", b"no ledger at all" * 100):
        (run / "ledger.sqlite").write_bytes(content)
        assert cli.main(["fit", "--output", "run"]) == 2
    (run / "ledger.sqlite").unlink()
    assert cli.main(["fit", "--output", "run"]) == 2
    assert not (place / "was-run").exists()
    assert "holds other files and no run" in capsys.readouterr().err


def test_a_task_that_is_named_is_not_run_where_the_ledger_has_another(place, capsys):
    received(place, task="evil.py:Mine")
    assert cli.main(["fit", "--output", "run", "--task", "evil.py:Mine"]) == 2
    assert "holds a run with other settings" in capsys.readouterr().err
    assert not (place / "was-run").exists()


def test_settings_that_were_changed_are_found_before_a_named_program_is_run(place, capsys, server):
    """The ledger says star; neither the interpreter nor the server of the command is reached for another scheme."""
    received(place, scheme="rs:2", seed=3)
    more = ["--engine", "vllm", "--vllm-python", "./python"]
    assert cli.main(["fit", "--output", "run", *more]) == 2
    assert "scheme: 'star' in the run, 'rs:2' asked" in capsys.readouterr().err
    asked = ["--scheme", "rationalize@teacher", "--teacher", server.url]
    assert cli.main(["fit", "--output", "run", *asked]) == 2
    assert "scheme: 'star' in the run" in capsys.readouterr().err
    assert server.asked == []
    assert not (place / "was-run").exists()


def test_who_made_a_run_is_known_by_the_run_and_by_the_programs_bytes(place):
    run = received(place, task="evil.py:Mine", report_to=("wandb",))
    config = read_config(run / "config.toml", {})
    with closing(read_only(run)) as db:
        manifest = read_manifest(db)
    trust.remember(config, manifest, run)
    trust.check(config, (), run)
    shutil.copytree(run, place / "copy")
    trust.check(config, (), place / "copy")  # moved, it is the same run
    with pytest.raises(ConfigError, match="--report-to tensorboard"):
        trust.check(config.model_copy(update={"report_to": ("tensorboard",)}), (), run)
    with (place / "evil.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(ConfigError, match=r"--task evil\.py:Mine"):
        trust.check(config, (), run)
    trust.check(config, ("task",), run)
    other = paged.write_run(place / "other", seed=4)
    with pytest.raises(ConfigError, match="--report-to wandb"):
        trust.check(config, ("task",), other)


def test_the_record_is_private_and_says_nothing_where_nothing_is_named(place):
    run = received(place)
    trust.remember(read_config(run / "config.toml", {}), {"a": 1}, run)
    assert not (place / "home").exists()
    trust.remember(FitConfig(teacher=("http://secret.example",)), {"a": 1}, run)
    (record,) = (place / "home" / "trust").iterdir()
    assert (place / "home" / "trust").stat().st_mode & 0o077 == 0
    assert "secret" not in record.read_text()
    record.write_text("{")
    with pytest.raises(ConfigError):
        trust.check_by(FitConfig(teacher=("http://secret.example",)), (), {"a": 1}, run)


def test_every_setting_of_text_says_whether_it_reaches_outside_a_run():
    """A new one has to be thought about: ``Reach.NOTHING`` says that it was."""
    text = {name for name, field in FitConfig.model_fields.items() if "str" in str(field.annotation)}
    assert [name for name in text if reach_of(name) is None] == []


def test_a_comparison_from_somebody_else_names_nothing_for_us(place, capsys):
    design = {
        "version": 1, "arms": [{"name": "STaR", "scheme": "star", "selector": "first"}], "reference": "STaR",
        "seeds": [0], "equal": "iterations",
        "config": {"data": ["data.csv"], "model": "evil/model", "task": "evil.py:Mine"},
    }  # fmt: skip
    (place / "compared").mkdir()
    (place / "compared" / "comparison.json").write_text(json.dumps(design))
    for more in ([], ["--dry-run"]):
        assert cli.main(["compare", "--output", "compared", *more]) == 2
        said = capsys.readouterr().err
        assert "--model evil/model" in said
        assert "--task evil.py:Mine" in said
    assert not (place / "was-run").exists()


def test_refit_fetches_no_model_that_only_the_old_run_names(place, capsys):
    run = received(place, model="evil/model")
    with closing(sqlite3.connect(run / "ledger.sqlite")) as db, db:
        rows = {"base": "evil/model", "data_sha256": "", "prompt_token_ids": []}
        db.executemany("INSERT INTO manifest VALUES (?,?)", [(key, json.dumps(value)) for key, value in rows.items()])
        db.execute("""UPDATE manifest SET value=json_set(value, '$.model', 'evil/model') WHERE key='config'""")
    assert cli.main(["refit", "run", "--output", "new"]) == 2
    assert "--model evil/model" in capsys.readouterr().err
    assert cli.main(["refit", "run", "--output", "new", "--model", "other/model"]) == 2
    assert "--model cannot differ" in capsys.readouterr().err
    assert not (place / "new").exists()


@pytest.mark.slow
def test_a_run_goes_on_by_its_name_for_who_made_it_and_by_naming_again_for_others(place, capsys, monkeypatch):
    import checkpoints

    model = checkpoints.checkpoint(place / "model", layers=1)
    (place / "sums.csv").write_text("prompt,answer\n" + "".join(f"what is {n}?,{n}\n" for n in range(40)))
    sizes = "--iterations 1 --steps 1 --draws 1 --evidence-draws 1 --wrong-hints 1 --difficulty-examples 1 "
    sizes += "--max-new-tokens 4 --threads 1 --go-on"
    first = ["fit", "sums.csv", "--model", model, "--task", "evil.py:Mine", "--output", "run", *sizes.split()]
    assert cli.main(first) == 0
    (place / "was-run").unlink()
    assert cli.main(["fit", "--output", "run"]) == 0
    assert (place / "was-run").exists()
    (place / "was-run").unlink()
    monkeypatch.setenv("RATIONEM_CONFIG", str(place / "nobody"))
    capsys.readouterr()
    assert cli.main(["fit", "--output", "run"]) == 2
    assert f"--task {place}/evil.py:Mine" in capsys.readouterr().err
    assert not (place / "was-run").exists()
    assert cli.main(["fit", "--output", "run", "--task", "evil.py:Mine"]) == 0
    assert "finished" in capsys.readouterr().err
    assert cli.main(["fit", "--output", "run"]) == 0  # who went on with it once vouches for it


@pytest.fixture
def watched_hub(monkeypatch):
    """The hub at an address where every request is seen; nothing is there."""
    from huggingface_hub import constants

    with stub_server.StubServer(lambda path, body: stub_server.Reply(404)) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace("https://huggingface.co", served.url)
        assert served.url in template
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # peft reads it itself
        yield served


@pytest.mark.slow
def test_an_adapter_from_somebody_else_fetches_nothing(tmp_path, watched_hub, capsys):
    """Nor does its tokenizer, or what is trained on from it; a hub id that the user names is asked for."""
    import checkpoints
    import judges
    from rationem.engines import models, stops
    from rationem.errors import ModelError
    from rationem.run.card import write_card

    base = checkpoints.checkpoint(tmp_path / "base", layers=1)
    model = tmp_path / "run" / "model"
    checkpoints.adapter(model, base)
    write_card(judges.card(), model)
    (tmp_path / "rows.csv").write_text("prompt,response\nwhat?,that\n")
    said = json.loads((model / "adapter_config.json").read_text())
    (model / "adapter_config.json").write_text(json.dumps({**said, "base_model_name_or_path": "evil/base"}))
    assert cli.main(["judge", str(tmp_path / "run"), str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out.csv")]) == 2
    assert "hf download evil/base" in capsys.readouterr().err
    for reading in (
        lambda: models.load(str(model), device="cpu", trainable=True),
        lambda: models.positions(str(model), str(model)),
        lambda: stops.stop_ids(str(model), checkpoints.tokenizer()),
    ):
        with pytest.raises(ModelError, match="hf download evil/base"):
            reading()
    models.chat(str(model), str(model))
    assert watched_hub.asked == []
    with pytest.raises(ModelError) as caught:
        models.positions("evil/base", "evil/base")
    assert any("evil/base" in path for path, _ in watched_hub.asked), caught.value


@pytest.mark.slow
def test_an_adapter_is_trained_on_and_saved_without_asking_the_hub(tmp_path, watched_hub, monkeypatch):
    """peft looks up the base of what it saves; the base lies in the cache, as after hf download."""
    from huggingface_hub import constants

    import checkpoints
    from rationem.engines import models

    cached = tmp_path / "hub" / "models--evil--base"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40)
    base = checkpoints.checkpoint(cached / "snapshots" / ("0" * 40), layers=1)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    checkpoints.adapter(tmp_path / "adapter", base)
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": "evil/base"}))
    loaded = models.load(str(tmp_path / "adapter"), device="cpu", trainable=True)
    (tmp_path / "saved").mkdir()
    models.save(loaded.model, loaded.tokenizer, tmp_path / "saved")
    assert (tmp_path / "saved" / "adapter_model.safetensors").is_file()
    assert watched_hub.asked == []
