"""Damaged and hostile inputs, most through the functions that read them, fewer through whole commands.

A worker is a forked child that takes case after case; what it is at stands where its parent sees it, so that a case
that does not come back is found. Each case draws from its own seed.
"""

import json
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import time
from contextlib import contextmanager
from pathlib import Path

from soak.child import last_lines, watch
from soak.runs import Runs
from soak.small import Small

#: Seconds of the processor that a case may take, and memory that a worker may add to what it has.
SECONDS, MEMORY = 20.0, 1 << 30
#: Seconds of the clock after which it does not come back, however busy the machine is.
STUCK = 600.0
#: Of so many inputs one goes through a whole command on a damaged run.
COMMANDS_SHARE = 0.012


class Slow(BaseException):
    """A case takes longer than it may."""


class Inputs:
    """Counts inputs; a case is a reader or a command, and what it is given."""

    name = "inputs"

    def __init__(self, material, folder, seed):
        self.folder, self.seed = folder, seed
        self.small, self.runs = Small(material), Runs(material)

    def run(self, start, stop, until):
        """Take cases until one of the two ends is reached; return (cases done, [(case, words, what happened)])."""
        done, faults, at = 0, [], start
        while at < stop and time.monotonic() < until:
            following, found = self._worker(at, stop, until)
            done, faults, at = done + following - at, faults + found, following
        return done, faults

    def _worker(self, start, stop, until):
        """Return the case behind the last one that was done, and what went wrong."""
        seen, report = mmap.mmap(-1, 8), self.folder / "report.jsonl"
        self.folder.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        seen[:] = struct.pack("q", start)
        if (pid := os.fork()) == 0:
            self._work(start, stop, until, seen, report)
        last, since = None, time.monotonic()
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if bytes(seen) != last:
                last, since = bytes(seen), time.monotonic()
            elif time.monotonic() - since > STUCK:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                break
            time.sleep(0.02)
        (case,) = struct.unpack("q", bytes(seen))
        found = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
        if found and found[-1] == "over":
            return case, found[:-1]
        return case + 1, [*found, (case, self.words(case), "it never came back, or took the process with it")]

    def _work(self, start, stop, until, seen, report):
        os.environ["TMPDIR"] = str(self.folder)
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        outside = watch((self.folder, Path(os.environ["HOME"])))
        with report.open("a", encoding="utf-8") as file:
            for number in range(start, stop):
                if what := self.one(number, outside):
                    file.write(json.dumps([number, self.words(number), what]) + "\n")
                    file.flush()
                seen[:] = struct.pack("q", number + 1)
                if time.monotonic() > until:
                    break
            file.write('"over"\n')
            file.flush()
        os._exit(0)

    def words(self, number):
        """Return what a case is, without doing it."""
        return self._owner(number).words(self._draw(number))

    def one(self, number, outside):
        """Return what went wrong with one case, or nothing."""
        owner = self._owner(number)
        place = self.folder / "case"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        os.chdir(place)
        started = time.process_time()
        try:
            with _clock(SECONDS):
                what = owner.case(self._draw(number), place) or ""
        except Slow:
            what = f"took more than {SECONDS:.0f} s"
        except BaseException as error:  # noqa: BLE001 - that anything escapes is what is looked for
            what = f"raised {last_lines(error)}"
        if not what and time.process_time() - started > SECONDS:
            what = f"took {time.process_time() - started:.0f} s"
        if outside:
            what, _ = what or f"touched {outside[0]}", outside.clear()
        return what

    def _owner(self, number):
        draw = random.Random(f"{self.seed}/inputs/{number}/owner")
        return self.runs if draw.random() < COMMANDS_SHARE else self.small

    def _draw(self, number):
        return random.Random(f"{self.seed}/inputs/{number}")


@contextmanager
def _clock(seconds):
    def late(*_):
        raise Slow

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
