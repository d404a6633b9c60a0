"""Several runs of a comparison at once, each in its own process that ends with this one.

The inputs of a run exist before it starts: the base model's measurements of its seed, and with equal tokens or passes
the reference's run. A run that fails ends the others. Nothing is lost: the same command resumes all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from rationem import progress
from rationem.compare.design import Design
from rationem.engines.supervisor import end, supervised
from rationem.errors import RunError
from rationem.ledger.files import created, refuse_links

_PAUSE = 0.2  # seconds between two checks for ended processes


@dataclass(frozen=True, slots=True)
class ArmJob:
    """One run, or the measurements of the base model.

    Args:
        arm: its name; None for the base model.
        seed: of the run.
    """

    arm: str | None
    seed: int

    @property
    def name(self) -> str:
        """Its name."""
        return f"{self.arm or 'base model'}, seed {self.seed}"


def jobs(design: Design) -> Iterator[tuple[ArmJob, ArmJob | None]]:
    """Yield every job with the job that must be done before it."""
    for seed in design.seeds:
        base, reference = ArmJob(None, seed), ArmJob(design.reference, seed)
        yield base, None
        yield reference, base
        for arm in design.in_order[1:]:
            yield ArmJob(arm.name, seed), base if design.equal == "iterations" else reference


def run_all(design: Design, output: Path, workers: int, finished: Callable[[ArmJob], bool]) -> None:
    """Do all jobs, at most ``workers`` at once.

    Args:
        design: the comparison.
        output: the comparison's directory, which holds the design.
        workers: the number of processes.
        finished: returns whether a job is already finished and needs no process.

    Raises:
        RunError: one failed; names it, the reason and the path of its log.
    """
    waiting = dict(jobs(design))
    count, done = len(waiting), set[ArmJob | None]((None,))
    logs = output / "logs"
    refuse_links(output, logs)
    logs.mkdir(exist_ok=True)
    with ExitStack() as stack:
        running: dict[ArmJob, tuple[subprocess.Popen[bytes], float]] = {}
        while waiting or running:
            for job in [job for job, needs in waiting.items() if needs in done][: workers - len(running)]:
                del waiting[job]
                if finished(job):
                    _log(job, logs).unlink(missing_ok=True)
                    done.add(job)
                    continue
                running[job] = (_start(job, output, _log(job, logs), stack), time.perf_counter())
                progress.doing(f"running {', '.join(one.name for one in running)}")
            for job, (process, started) in list(running.items()):
                if (code := process.poll()) is not None:
                    del running[job]
                    _check(job, code, _log(job, logs))
                    done.add(job)
                    seconds = time.perf_counter() - started
                    progress.say(f"{job.name}: done in {seconds:.0f} s ({len(done) - 1} of {count})")
            time.sleep(_PAUSE)
    with suppress(OSError):  # logs of other runs are left in it
        logs.rmdir()


def _start(job: ArmJob, output: Path, log: Path, stack: ExitStack) -> subprocess.Popen[bytes]:
    words = [
        sys.executable,
        "-m",
        "rationem.compare.worker",
        str(output),
        str(job.seed),
        *([job.arm] if job.arm else []),
    ]
    file = stack.enter_context(created(log, "wb"))
    process = subprocess.Popen(
        supervised(words),
        stdin=subprocess.PIPE,
        stdout=file,
        stderr=subprocess.STDOUT,
        env=_environment(os.environ),
        start_new_session=True,  # an interrupt at the terminal is handled by this process
    )
    stack.callback(end, process)
    return process


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {**ours, "PYTHONSAFEPATH": "1"}


def _log(job: ArmJob, logs: Path) -> Path:
    return logs / f"{''.join(c if c.isalnum() else '-' for c in job.name)}.log"


def _check(job: ArmJob, code: int, log: Path) -> None:
    """Raise the error of a failed run; the log of a successful one is removed."""
    if code == 0:
        log.unlink()
        return
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = next((line for line in reversed(said) if line.startswith("rationem: ")), said[-1] if said else "no reason")
    raise RunError(f"{job.name}: {reason.removeprefix('rationem: ')} (exit code {code}). Its log: {log}")
