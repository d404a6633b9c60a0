"""A run on a medium that takes no writes can be read, all of it; a run that ended is one file."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

import paged
from rationem import Ledger
from rationem.errors import RunError
from rationem.ledger import is_begun, read_examples, read_manifest, read_only

#: Runs a command where the first argument's directory is read-only, for root, too: a mount of its own.
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && ! touch "$0/x" 2>/dev/null && exec "$@"'


def can_mount(directory):
    tried = subprocess.run(
        ["unshare", "-m", "sh", "-c", _READ_ONLY, str(directory), "true"], capture_output=True, check=False
    )
    return tried.returncode == 0


def on_read_only(directory, *words):
    if shutil.which("unshare") is None or not can_mount(directory):
        pytest.skip("nothing can be mounted read-only here")
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", _READ_ONLY, str(directory), *words], capture_output=True, text=True, check=False
    )


def small(directory):
    return paged.write_run(directory, train=2, test=2, validation=2, iterations=1)


def killed(directory):
    """A run killed by SIGKILL behind its last write: a part of it is in the write-ahead log."""
    child = os.fork()
    if child == 0:
        ledger = Ledger(directory)
        ledger.start({"task": paged.TASK.describe(), "config": {}, "notes": {}}, {"train": paged.examples("train", 3)})
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (directory / "ledger.sqlite-wal").stat().st_size > 0
    return directory


def test_a_run_that_ended_is_one_file(tmp_path):
    run = small(tmp_path / "run")
    assert not [path.name for path in run.iterdir() if path.name.startswith("ledger.sqlite-")]
    assert (run / "ledger.sqlite").read_bytes()[18:20] == b"\x01\x01"  # no write-ahead log: SQLite's file format


def test_a_run_is_read_while_it_is_at_work(tmp_path):
    ledger = Ledger(tmp_path)
    try:
        ledger.start({"task": {}, "config": {}, "notes": {}}, {"train": paged.examples("train", 3)})
        assert (tmp_path / "ledger.sqlite").read_bytes()[18:20] == b"\x02\x02"
        with closing(read_only(tmp_path)) as db, ledger.transaction() as writing:
            writing.execute("DELETE FROM examples WHERE position=0")
            assert len(read_examples(db, "train")) == 3
    finally:
        ledger.close()


@pytest.mark.parametrize("made", [small, killed])
def test_a_ledger_on_a_read_only_medium_is_read_whole(tmp_path, made):
    """Also the rows in the write-ahead log of a killed run, which SQLite alone would leave out."""
    run = made(tmp_path / "run")
    with closing(read_only(run)) as db:
        there = len(read_examples(db, "train"))
    assert there >= 2
    if made is killed:  # the reader has cleaned up behind the killed writer: once more
        shutil.rmtree(run)
        killed(run)
    reading = (
        "import sys; from pathlib import Path; from rationem.ledger import *; "
        "run = Path(sys.argv[1]); db = read_only(run); print(is_begun(run), len(read_examples(db, 'train')))"
    )
    done = on_read_only(run, sys.executable, "-c", reading, str(run))
    assert done.stdout.split() == ["True", str(there)], done.stderr


@pytest.mark.slow
def test_a_report_on_a_read_only_medium_is_shown_and_said_not_to_be_written(tmp_path):
    run = small(tmp_path / "run")
    done = on_read_only(run, sys.executable, "-m", "rationem.cli.main", "report", str(run))
    assert done.returncode == 0, done.stderr
    assert "## Every example of every iteration" in done.stdout
    assert "Read-only file system" in " ".join(done.stderr.split())
    assert "only printed here" in " ".join(done.stderr.split())
    assert not (run / "report.md").exists()
    done = on_read_only(run, sys.executable, "-m", "rationem.cli.main", "show", str(run))
    assert done.returncode == 0, done.stderr
    done = on_read_only(run, sys.executable, "-m", "rationem.cli.main", "fit", "world", "--output", str(run))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


NAMES = (
    *("a#b", "a?mode=memory", "a%41", "a b", "a'b\"c", "a\nb", "größe-日本", "x" * 200),
    *("a&immutable=1", "-a", "a\\b"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_ledger_is_read_whatever_its_directory_is_called(tmp_path, name):
    run = tmp_path / name / "run"
    ledger = Ledger(run)
    ledger.start({"task": {}, "config": {"a": 1}, "notes": {}}, {"train": paged.examples("train", 1)})
    ledger.close()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with closing(read_only(run)) as db:
        assert read_manifest(db)["config"] == {"a": 1}
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM manifest")
    assert is_begun(run)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before  # no stray file
    with pytest.raises(RunError):
        read_only(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a#b?c%41 'd'", pytest.param("größe\nline", marks=pytest.mark.acceptance)])
def test_every_command_that_takes_a_run_takes_one_of_any_name(tmp_path, name, monkeypatch):
    import shared
    from rationem.cli import main as cli

    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    run = shared.run(tmp_path / name, "run#1", iterations=1)
    (tmp_path / name / "rows#.csv").write_text("prompt,response\nwhat is 3 ?,3 kind\n")
    before = {path.name for path in tmp_path.iterdir()}
    for command in (
        ["report", str(run)],
        ["show", str(run)],
        ["fit", "--output", str(run)],
        ["judge", str(run), "rows#.csv", "-o", "out#.csv", "--draws", "1"],
        ["export", str(run), "--to", "trl", "-o", "kept#.jsonl", "--iteration", "1"],
        ["refit", str(run), "--output", "again#1", "--steps", "1"],
        ["push", str(run), "--directory", "pushed#1"],
    ):
        assert cli.main(command) == 0, command
    assert {path.name for path in tmp_path.iterdir()} == before
