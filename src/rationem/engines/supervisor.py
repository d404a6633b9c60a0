"""Runs a command and ends it with all its descendants: ``python -I supervisor.py [--remove DIR] -- COMMAND``.

The command is ended when standard input closes (the starting process holds the other end, so this covers its SIGKILL),
when the starting process is gone, at SIGTERM, SIGINT or SIGHUP, and when the command's first process ends by itself.
Then DIR is removed, and the exit status is the command's, or 128 + the signal that killed it. This file uses only the
standard library and nothing of this package, because it must start fast and in any Python.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

#: Seconds from SIGTERM to SIGKILL: if the command was told to end, and if it ended but left processes behind.
GRACE, GRACE_LEFT_BEHIND = 10.0, 2.0
#: Seconds between two checks for survivors of SIGKILL: a process can be started while others are being killed.
AGAIN = 0.05
_ENDING = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class Command:
    """The command's first process: its id, and its exit code once known (-N for signal N)."""

    def __init__(self, words: list[str]) -> None:
        us = os.getpid()

        def die_with_us() -> None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != us:
                os._exit(1)

        started = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_us,  # noqa: PLW1509 - there are no threads here
        )
        self.id = started.pid
        self.code: int | None = None
        self._started = started  # its own wait would consume the exit code

    def reap(self) -> bool:
        """Reap ended processes; return whether any descendant is left (orphans become children of this process)."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self.id:
                    self.code = os.waitstatus_to_exitcode(found[1])
            return True
        return False

    def signal(self, number: int) -> None:
        """Send a signal to every descendant, or to the command's group if there is no /proc."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not _LINUX:
                os.killpg(self.id, number)
        for process in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)


def main(arguments: list[str]) -> int:
    """Run the command until it ends or must end; return the exit status."""
    removed, words = _split(arguments)
    signals = _listen()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        command = Command(words)
    except OSError as error:
        print(f"supervisor: cannot run {words[0]}: {error.strerror}", file=sys.stderr)
        status = 127
    else:
        status = _run(command, signals)
    for directory in removed:
        shutil.rmtree(directory, ignore_errors=True)
    return status


def supervised(words: list[str], remove: Path | None = None) -> list[str]:
    """Return the command line that runs ``words`` under a supervisor; start it with a pipe as standard input."""
    options = [] if remove is None else ["--remove", str(remove)]
    return [sys.executable, "-I", __file__, *options, "--", *words]


def end(process: subprocess.Popen[bytes]) -> None:
    """End a supervisor that was started with a pipe, and all its descendants; do nothing if it has ended."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(2 * GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def descendants(root: int) -> list[int]:
    """Return the ids of all descendants of ``root``; empty if there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended after it was listed
            parent = int(entry.read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found, level = [], [root]
    while level:
        level = [child for parent in level for child in children.get(parent, ())]
        found += level
    return found


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    mark = arguments.index("--") if "--" in arguments else len(arguments)
    options, command = arguments[:mark], arguments[mark + 1 :]
    if not command or options[0::2] != ["--remove"] * (len(options) // 2):
        sys.exit("usage: supervisor.py [--remove DIR] -- COMMAND...")
    return options[1::2], command


def _listen() -> int:
    """Turn relevant signals into bytes on a pipe, so that one wait covers everything; return the pipe's reading end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (*_ENDING, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reader


def _run(command: Command, signals: int) -> int:
    parent = _parent()
    asked = False
    while command.reap() and command.code is None and not asked:
        asked = _told_to_end(signals, parent)
    _end(command, signals, GRACE if asked else GRACE_LEFT_BEHIND)
    code = command.code or 0
    return 128 - code if code < 0 else code


def _parent() -> list[int]:
    """Watch the starting process too: after its end its forks may still hold the pipe of our standard input."""
    try:
        return [os.pidfd_open(os.getppid())]
    except (AttributeError, OSError):  # not Linux, an old kernel, or already gone: standard input is enough
        return []


def _told_to_end(signals: int, parent: list[int]) -> bool:
    """Wait for an event; return whether it is a reason to end."""
    ready = select.select([0, signals, *parent], [], [])[0]
    if set(parent) & set(ready) or (0 in ready and not os.read(0, 4096)):
        return True
    return signals in ready and bool(_ENDING & {*os.read(signals, 4096)})


def _end(command: Command, signals: int, grace: float) -> None:
    """Send SIGTERM to all, wait up to ``grace`` seconds, then send SIGKILL until none is left."""
    command.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while command.reap() and (left := deadline - time.monotonic()) > 0:
        select.select([signals], [], [], left)
        _drain(signals)
    while command.reap():
        command.signal(signal.SIGKILL)
        select.select([signals], [], [], AGAIN)
        _drain(signals)
    if not _LINUX:
        command.signal(signal.SIGKILL)  # for processes of the group that are not our children


def _drain(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(pipe, 4096)


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
