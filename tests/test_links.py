"""Links in a received run: nothing is written through one, and nothing that one points to is handed on."""

import contextlib
import json
import os
import shutil

import pytest

import hub_stub
import judges
import paged
from rationem import report
from rationem.cli import main as cli
from rationem.errors import RunError
from rationem.export.stage import NAMES, _copy
from rationem.judging import job
from rationem.ledger import Ledger, write_text
from rationem.ledger.files import created, publish, refuse_links, refuse_links_in

PRECIOUS = "precious\n"


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "home" / "victim"
    path.parent.mkdir()
    path.write_text(PRECIOUS)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metrics.json", "report.md", "report.html"])
@pytest.mark.parametrize("end", ["", ".partial"])
def test_a_report_never_writes_through_a_link(tmp_path, victim, name, end):
    run = paged.write_run(tmp_path / "run", train=2, test=2, validation=2, iterations=1)
    (run / f"{name}{end}").symlink_to(victim)
    with contextlib.suppress(RunError):
        report.write(run)
    assert victim.read_text() == PRECIOUS
    assert not (run / name).exists() or (run / name).read_text() != PRECIOUS or (run / name).is_symlink()


@pytest.mark.parametrize(
    "name", ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite-journal", ".lock", "checkpoints"]
)
def test_no_ledger_is_opened_through_a_link(tmp_path, victim, name):
    run = tmp_path / "run"
    Ledger(run).close()
    if (run / name).is_dir():
        (run / name).rmdir()
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(victim.parent if name == "checkpoints" else victim)
    with pytest.raises(RunError, match="is a link to"):
        Ledger(run)
    assert victim.read_text() == PRECIOUS
    assert [path.name for path in victim.parent.iterdir()] == ["victim"]


def test_a_broken_link_creates_nothing_elsewhere(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("checkpoints", ".lock", "ledger.sqlite"):
        (tmp_path / "run" / name).symlink_to(tmp_path / f"new-{name}")
        with pytest.raises(RunError, match="is a link to"):
            Ledger(tmp_path / "run")
        (tmp_path / "run" / name).unlink()
        assert not (tmp_path / f"new-{name}").exists()
    (tmp_path / "run" / "out.partial").symlink_to(tmp_path / "new")
    write_text(tmp_path / "run" / "out", "text")
    assert (tmp_path / "run" / "out").read_text() == "text"
    assert not any(path.name.startswith("new") for path in tmp_path.iterdir())


@pytest.mark.parametrize("linked", ["model", "model.partial", "checkpoints", "checkpoints/iteration-001.partial"])
def test_no_directory_is_published_through_a_link(tmp_path, victim, linked):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    if linked == "checkpoints":
        (run / linked).rmdir()
    (run / linked).symlink_to(victim.parent)
    target = run / ("model" if "model" in linked else "checkpoints/iteration-001")
    with pytest.raises(RunError, match="is a link to"), publish(run, target) as draft:
        (draft / "victim").write_text("overwritten")
    assert victim.read_text() == PRECIOUS


@pytest.mark.slow
def test_a_run_may_be_named_by_a_link(tmp_path):
    paged.write_run(tmp_path / "far" / "run", train=2, test=2, validation=2, iterations=1)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "run")
    assert cli.main(["report", str(tmp_path / "near")]) == 0
    assert (tmp_path / "far" / "run" / "report.md").is_file()


def test_a_hard_link_is_replaced_and_not_written_through(tmp_path, victim):
    for name in ("report.md", "report.md.partial"):
        os.link(victim, tmp_path / name)
    write_text(tmp_path / "report.md", "ours")
    assert (tmp_path / "report.md").read_text() == "ours"
    assert victim.read_text() == PRECIOUS


def test_a_new_file_is_a_new_file(tmp_path, victim):
    (tmp_path / "log").symlink_to(victim)
    with created(tmp_path / "log", "wb") as file:
        file.write(b"log")
    assert victim.read_text() == PRECIOUS
    assert (tmp_path / "log").read_bytes() == b"log"


def test_links_below_a_directory_are_found_and_those_above_it_are_not(tmp_path):
    (tmp_path / "real" / "inside").mkdir(parents=True)
    (tmp_path / "named").symlink_to(tmp_path / "real")
    refuse_links(tmp_path / "named", tmp_path / "named" / "inside" / "file")
    refuse_links_in(tmp_path / "named" / "inside")
    (tmp_path / "real" / "inside" / "deep").symlink_to("/etc/passwd")
    with pytest.raises(RunError, match="is a link to /etc/passwd"):
        refuse_links_in(tmp_path / "named" / "inside")


@pytest.mark.parametrize("end", [".partial", ".job.json.new"])
def test_a_judges_output_is_never_written_through_a_link(tmp_path, victim, end):
    out = tmp_path / "out.csv"
    out.with_name(f"out.csv{end}").symlink_to(victim)
    with contextlib.suppress(RunError), job.open_job(out, {"a": 1}, b"head\n", overwrite=True) as writing:
        writing.append(b"row\n", 1, {})
        writing.finish()
    assert victim.read_text() == PRECIOUS


def test_of_a_model_the_files_of_a_model_are_handed_on(tmp_path):
    source, target = tmp_path / "model", tmp_path / "target"
    for directory in (source, target):
        directory.mkdir()
    kept = ("config.json", "model-00001-of-00002.safetensors", "tokenizer.json", "tokenizer.model")
    for name in (*kept, "notes.txt", "id_rsa.json", "optimizer.pt", "model-1.safetensors", "evil.py"):
        (source / name).write_text(name)
    _copy(source, target)
    assert sorted(path.name for path in target.iterdir()) == sorted(kept)
    assert "notes.txt" not in NAMES


@pytest.mark.parametrize("name", ["notes.txt", "tokenizer.json", "model.safetensors", "rationem.json", "deep/er"])
def test_push_hands_on_no_file_that_a_link_points_to(tmp_path, victim, name, capsys, monkeypatch):
    run = paged.write_run(tmp_path / "run", train=2, test=2, validation=2, iterations=1)
    judges.directory(run)
    place = run / "model" / name
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    card = (tmp_path / "run" / "model" / "rationem.json").read_text() if name != "rationem.json" else None
    place.symlink_to(victim)
    monkeypatch.setenv("HF_TOKEN", hub_stub.TOKEN)
    assert cli.main(["push", str(run), "--directory", str(tmp_path / "out")]) == 2
    assert "is a link to" in capsys.readouterr().err
    assert cli.main(["push", str(run), "me/judge"]) == 2
    assert "is a link to" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert card is None or json.loads(card)


def test_push_hands_on_nothing_from_a_linked_model(tmp_path, capsys):
    run = paged.write_run(tmp_path / "run", train=2, test=2, validation=2, iterations=1)
    judges.directory(tmp_path / "elsewhere")
    shutil.rmtree(run / "model", ignore_errors=True)
    (run / "model").symlink_to(tmp_path / "elsewhere" / "model")
    assert cli.main(["push", str(run), "--directory", str(tmp_path / "out")]) == 2
    assert "is a link to" in capsys.readouterr().err
