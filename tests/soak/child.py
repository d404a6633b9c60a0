"""One command in a forked child of a warm process: imports cost nothing, and whatever happens, happens to the child."""

import contextlib
import fcntl
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

#: Beyond what the warm process has mapped already.
MEMORY = 2 << 30
#: Of the processor, and of the clock on a busy machine.
SECONDS, STUCK = 120, 1200.0
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PATHS = {"os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.truncate": 1, "os.symlink": 2}


@dataclass(frozen=True)
class Ended:
    """How a command ended: ``code`` is None where a signal or the clock ended it, ``raised`` what escaped ``main``."""

    code: int | None
    raised: str
    said: str
    seconds: float
    outside: tuple[str, ...] = field(default=())

    @property
    def refused(self):
        return self.code == 2 and not self.raised

    def trouble(self, codes=(0, 2)):
        """Return what must not happen, whatever was asked; an empty text where nothing of it did."""
        if self.raised:
            return f"raised {self.raised}"
        if self.code is None:
            return f"ended by a signal or after {self.seconds:.0f} s"
        if self.code not in codes:
            return f"exit code {self.code}: {self.said[-300:]}"
        return f"touched {self.outside[0]}" if self.outside else ""


def warm():
    """Import all that commands import, and start no thread."""
    for name in (
        "torch", "transformers", "peft", "pyarrow.parquet", "safetensors.torch", "scipy.stats", "matplotlib.figure",
        "rationem.cli.main", "rationem.run.launch", "rationem.em", "rationem.sft", "rationem.engines.transformers",
        "rationem.run.refit", "rationem.judging.stream", "rationem.export.push", "rationem.export.export",
        "rationem.report.terminal.run", "rationem.report.terminal.example", "rationem.compare",
        "rationem.check.checkup", "rationem.check.show", "rationem.check.prompts", "rationem.report.page",
        "rationem.cli.check",
    ):  # fmt: skip
        importlib.import_module(name)
    sys.setswitchinterval(0.005)


def call(argv, cwd, *, kill_after=None, largest=None):
    """Run ``rationem ARGV`` in a directory; ``largest`` is the size that no file may exceed there."""
    told, tell = os.pipe()
    said, words = os.pipe()  # no file: the bound on the size of files would hold for it
    fcntl.fcntl(words, fcntl.F_SETPIPE_SZ, 1 << 20)
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(told)
            os.close(said)
            _child(argv, Path(cwd), tell, words, largest)
        finally:
            os._exit(1)  # whatever happens: what the parent would clean up is the parent's
    with contextlib.suppress(OSError):  # whoever is first: it must be a group before it is killed as one
        os.setpgid(pid, pid)
    os.close(tell)
    os.close(words)
    handle = os.pidfd_open(pid)
    ended = select.select([handle], [], [], STUCK if kill_after is None else kill_after)[0]
    if not ended:
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - started
    os.close(handle)
    with os.fdopen(told) as file:
        answer = file.read()
    with os.fdopen(said, "rb") as file:
        text = file.read().decode(errors="replace")[-20_000:]
    if not answer or os.WIFSIGNALED(status):
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {status}"
        return Ended(None, "", f"{text} [{how}]", took)
    content = json.loads(answer)
    return Ended(content["code"], content["raised"], text, took, tuple(content["outside"]))


def _child(argv, cwd, tell, words, largest):
    os.setpgid(0, 0)
    os.dup2(words, 1)
    os.dup2(words, 2)
    os.close(words)
    os.chdir(cwd)
    (cwd / "tmp").mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(cwd / "tmp")
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    if largest is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    outside = watch((cwd, Path(os.environ["HOME"])))
    content = {**outcome(argv), "outside": outside[:3]}
    os.write(tell, json.dumps(content).encode())
    os._exit(0)


def outcome(argv):
    """Return what ``main`` returned, or what escaped it."""
    import tempfile

    from rationem.cli.main import main

    tempfile.tempdir = None
    sys.stdout, sys.stderr = map(_stream, (1, 2))
    raised, code = "", None
    try:
        code = main([str(word) for word in argv])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - that anything escapes is what is looked for
        raised = last_lines(error)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return {"code": code, "raised": raised}


def _stream(handle):
    return open(handle, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def last_lines(error):
    """Return an exception and where in the package it was raised, in one line."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "rationem" in frame.filename]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}: {str(error)[:200]!r}{place}"


def watch(allowed):
    """Return a list that grows with every path outside the allowed directories that this process writes from now on."""
    outside, roots = [], tuple(os.path.realpath(place) for place in (*allowed, "/dev", "/proc"))

    def look(event, args):
        if event == "open":
            names = [args[0]] if args[2] and args[2] & _WRITES else []
        else:
            names = args[: _PATHS.get(event, 0)]
            if event != "os.rename" and args[-1] not in (-1, None) and names:
                return  # relative to an open directory
        for name in names:
            if isinstance(name, (str, bytes)):
                real = os.path.realpath(os.fsdecode(name))
                if not any(real == root or real.startswith(root + os.sep) for root in roots):
                    outside.append(f"{event} {real}")

    sys.addaudithook(look)
    return outside
