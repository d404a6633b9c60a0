"""The M-step in child processes: torchrun starts them, they end with this process, and their result is checked.

Each child reads the kept set from the ledger, and the first one writes the checkpoint. The driver stays the only writer
of the ledger, several GPUs can share the work, and all GPU memory is free afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rationem import progress
from rationem.engines import models
from rationem.engines.supervisor import end, supervised
from rationem.errors import RunError
from rationem.ledger.files import created
from rationem.ledger.scratch import scratch
from rationem.sft.nodes import JOB, KEPT, SharedPlace, check_nodes
from rationem.sft.settings import Training
from rationem.types import Sample

_EXCEPTION = re.compile(r"^(?:\[rank\d+\]:\s*)?((?:[a-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception)\b.*)", re.MULTILINE)
_ELSEWHERE = "ChildFailedError"  # torchrun's own error, which does not say why a process failed


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """The input of a child process, which reads the kept set itself.

    Args:
        directory: the run directory.
        kept: the fingerprint of the samples; the child's samples must match it.
        threads: CPU threads of one process.
        answer: the file that receives the record or the error.
        task: the file of the user's own task, as given to the run's command; None for a built-in task.
        samples: the exported kept set, for several nodes; None to read it from the ledger.
        weights: the digests of ``start``, which every node compares with its own copy; None for one node.
    """

    directory: str
    iteration: int
    start: str
    seed: int
    output: str
    training: dict[str, Any]
    device: str | None
    threads: int
    kept: str
    answer: str
    task: str | None
    samples: str | None = None
    weights: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Apart:
    """An :class:`rationem.types.MStep` that trains in child processes.

    Args:
        training: the hyperparameters.
        device: "cpu", "cuda", or None for the GPUs if there are any.
        processes: their number on one node; one per GPU.
        threads: CPU threads of all processes together.
        directory: the run directory, whose ledger holds the kept set.
        task: see :class:`TrainingJob`.
        shared: what several nodes share; None for one node.
    """

    training: Training
    device: str | None
    processes: int
    threads: int
    directory: Path
    task: str | None = None
    shared: SharedPlace | None = None

    def __call__(
        self, start: str, samples: Sequence[Sample], *, iteration: int, seed: int, output: Path
    ) -> dict[str, Any]:
        """Train, and return the record.

        Raises:
            RunError: a process failed, fewer processes trained than requested, or they did not share the weights.
        """
        from rationem.sft.parallel import check

        log = output.with_suffix(".log")
        with self._place(start, samples, output) as (place, begin, written):
            answer, shared = place / "answer.json", self.shared
            job = TrainingJob(
                str(self.directory), iteration, begin, seed, str(written), self.training.to_json(), self.device,
                max(1, self.threads // self.processes), fingerprint(samples), str(answer), self.task,
                None if shared is None else str(place / KEPT), None if shared is None else models.digests(begin),
            )  # fmt: skip
            if shared is None:
                (place / JOB).write_text(json.dumps({"job": asdict(job)}), encoding="utf-8")
            else:
                shared.publish(place, asdict(job))
            kept = len({one.example_id for one in samples})
            steps = -(-self.training.draws(kept) // self.training.batch_size)
            with progress.track(f"iteration {iteration}, M-step", steps) as advance:
                code = self._run(place / JOB, log, job.threads, advance)
            told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8")) if answer.is_file() else {}
        if "error" in told:
            log.unlink()
            raise RunError(told["error"])
        if code != 0 or not told:
            raise RunError(f"The M-step's processes ended (exit code {code}): {_reason(log)} Their log: {log}")
        log.unlink()
        if told["steps"]:
            nodes = self.shared.meeting.nodes if self.shared else 1
            check(told["processes"], told["share"], nodes * self.processes, self.training.parallel)
            check_nodes(told.get("nodes", 1), nodes)
        return told

    @contextmanager
    def _place(self, start: str, samples: Sequence[Sample], output: Path) -> Iterator[tuple[Path, str, Path]]:
        """Yield the job's directory, the weights to start from, and where to write."""
        if self.shared is not None:
            with self.shared.prepared(start, samples, output) as place:
                yield place
            return
        with scratch("rationem-m-step-") as directory:
            yield directory, start, output

    def _run(self, job: Path, log: Path, threads: int, advance: Callable[[int], None]) -> int:
        """Run the processes to completion and report progress; return the exit code."""
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": str(threads)}
        with created(log, "wb") as file:
            process = subprocess.Popen(
                supervised(self._command(job)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                start_new_session=True,  # this process handles an interrupt at the terminal
            )
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if (done := re.fullmatch(rb"done (\d+)\s*", line)) is not None:
                        advance(int(done[1]))
                    else:
                        file.write(line)
                return process.wait()
            finally:
                end(process)
                process.stdout.close()

    def _command(self, job: Path) -> list[str]:
        if self.shared is not None:
            return self.shared.meeting.words(job.parent.name, job, hosts=True)
        module = ["-m", "rationem.sft.worker", str(job)]
        if self.processes == 1:
            return [sys.executable, *module]
        run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(self.processes)]
        return [sys.executable, *run, *module]


def fingerprint(samples: Sequence[Sample]) -> str:
    """Return a hash of the samples: example ids, prompts, tokens and weights."""
    rows = [[one.example_id, one.prompt.text, list(one.token_ids), one.weight] for one in samples]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _reason(log: Path) -> str:
    """Return the error in a log, or the usual cause of a death without one."""
    text = ""
    with suppress(OSError):
        text = log.read_text(encoding="utf-8", errors="replace")
    found = [error for error in _EXCEPTION.findall(text) if _ELSEWHERE not in error]
    if found:
        return f"{found[0][:400]}."
    if "exitcode  : -9" in text or "SIGKILL" in text:
        return "a process was killed, usually because memory ran out: lower --micro-batch-size or --processes."
    return "their log gives no reason."
