"""What killed processes left is swept by the next one; what a live one holds, or somebody else made, is not."""

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from rationem.export import push
from rationem.ledger.scratch import scratch
from rationem.sft import launcher


def held(prefix, parent):
    """A process that holds a directory with a file in it; return its id and the directory."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with scratch(prefix, parent) as made:
            (made / "weights").write_bytes(b"w" * 1000)
            os.write(writing, str(made).encode())
            time.sleep(60)
        os._exit(0)
    os.close(writing)
    made = Path(os.read(reading, 4096).decode())
    os.close(reading)
    return child, made


def kill(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    child, left = held("x-", tmp_path)
    kill(child)
    assert (left / "weights").is_file()
    with scratch("x-", tmp_path) as made:
        assert list(tmp_path.iterdir()) == [made]
    assert list(tmp_path.iterdir()) == []


def test_what_a_live_process_holds_stays(tmp_path):
    child, other = held("x-", tmp_path)
    try:
        with scratch("x-", tmp_path) as made:
            assert sorted(tmp_path.iterdir()) == sorted([made, other])
        assert (other / "weights").is_file()
    finally:
        kill(child)


def test_what_is_not_of_this_kind_stays(tmp_path):
    """Names that look alike, files, and links: a user's own."""
    (tmp_path / "x-notes").mkdir()
    (tmp_path / "x-abcdefgh9").mkdir()
    (tmp_path / "x-abcdefgh").write_text("a file")
    (tmp_path / "target").mkdir()
    (tmp_path / "x-stuvwxyz").symlink_to(tmp_path / "target")
    before = sorted(tmp_path.iterdir())
    with scratch("x-", tmp_path):
        pass
    assert sorted(tmp_path.iterdir()) == before


def test_an_error_inside_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no"), scratch("x-", tmp_path):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


def test_push_and_m_steps_make_their_files_there(tmp_path, monkeypatch):
    """A push that is killed leaves whole weights, an M-step its job: both are swept by the next of their kind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = []

    def stage(run, target, **_):
        made.append(target)
        raise KeyboardInterrupt

    monkeypatch.setattr(push, "stage", stage)
    child, left = held(".judge.rationem-", tmp_path)
    kill(child)
    with pytest.raises(KeyboardInterrupt):
        push.write(tmp_path / "run", tmp_path / "judge", merged=False)
    assert made[0].parent.name.startswith(".judge.rationem-")
    assert not left.exists()
    child, left = held("rationem-m-step-", tmp_path)
    kill(child)
    monkeypatch.setattr(launcher, "fingerprint", stage)
    from rationem.sft import Training

    with pytest.raises((KeyboardInterrupt, TypeError)):
        launcher.Apart(Training(steps=1), "cpu", 1, 1, tmp_path)("", [], iteration=1, seed=0, output=tmp_path / "o")
    assert not left.exists()
    assert list(tmp_path.iterdir()) == []
