"""The M-step in processes of its own: started by torchrun, ended with this one, and looked at before it is believed.

Each child reads the kept set from the ledger, and the first one writes the checkpoint. So the driver stays one process
and the only writer of the ledger, several GPUs can share the work, and all of a GPU's memory is free afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rationem import progress
from rationem.engines.supervisor import end, supervised
from rationem.errors import RunError
from rationem.ledger.files import created
from rationem.ledger.scratch import scratch
from rationem.sft.settings import Training
from rationem.types import Sample

_EXCEPTION = re.compile(r"^(?:\[rank\d+\]:\s*)?((?:[a-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception)\b.*)", re.MULTILINE)
_ELSEWHERE = "ChildFailedError"  # torchrun's own, which only says that a process failed


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What a child is told; the kept set it reads itself.

    Args:
        directory: the run directory.
        kept: the fingerprint of the samples, which a child must find the same.
        threads: of one process.
        answer: the file for the record, or for the reason why there is none.
        task: the file of the user's own task, as the run's command named it; None for a task of rationem's.
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


@dataclass(frozen=True, slots=True)
class Apart:
    """Fulfils :class:`rationem.em.MStep`; see there for the arguments of a call.

    Args:
        training: how.
        device: "cpu", "cuda", or None for the GPUs where there are any.
        processes: how many; on GPUs, one on each.
        threads: CPU threads of all together.
        directory: the run directory, whose ledger holds the kept set.
        task: see :class:`Job`.
    """

    training: Training
    device: str | None
    processes: int
    threads: int
    directory: Path
    task: str | None = None

    def __call__(
        self, start: str, samples: Sequence[Sample], *, iteration: int, seed: int, output: Path
    ) -> dict[str, Any]:
        """Train, and return the record.

        Raises:
            RunError: a process failed, or they were not what was asked for: fewer, or each with all the weights.
        """
        from rationem.sft.parallel import check

        with scratch("rationem-m-step-") as place:
            answer = place / "answer.json"
            job = TrainingJob(
                str(self.directory), iteration, start, seed, str(output), self.training.to_json(), self.device,
                max(1, self.threads // self.processes), fingerprint(samples), str(answer), self.task,
            )  # fmt: skip
            (place / "job.json").write_text(json.dumps(asdict(job)), encoding="utf-8")
            log = output.with_suffix(".log")
            steps = -(-self.training.draws(len(samples)) // self.training.batch_size)
            with progress.track(f"iteration {iteration}, M-step", steps) as advance:
                code = self._run(place / "job.json", log, job.threads, advance)
            told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8")) if answer.is_file() else {}
        if "error" in told:
            log.unlink()
            raise RunError(told["error"])
        if code != 0 or not told:
            raise RunError(f"The M-step's processes ended (exit code {code}): {_reason(log)} Their log: {log}")
        log.unlink()
        if told["steps"]:
            check(told["processes"], told["share"], self.processes, self.training.parallel)
        return told

    def _run(self, job: Path, log: Path, threads: int, advance: Callable[[int], None]) -> int:
        """Run the processes to their end, and tell how far they are; return the exit code."""
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": str(threads)}
        with created(log, "wb") as file:
            process = subprocess.Popen(
                supervised(self._command(job)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                start_new_session=True,  # an interrupt at the terminal is ours to answer
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
        module = ["-m", "rationem.sft.worker", str(job)]
        if self.processes == 1:
            return [sys.executable, *module]
        run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(self.processes)]
        return [sys.executable, *run, *module]


def fingerprint(samples: Sequence[Sample]) -> str:
    """Return a hash of what is trained on: whose, which tokens, and their weights."""
    rows = [[one.example_id, one.prompt.text, list(one.token_ids), one.weight] for one in samples]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _reason(log: Path) -> str:
    """Return the error that a log tells of, or what a process without one usually died of."""
    text = ""
    with suppress(OSError):
        text = log.read_text(encoding="utf-8", errors="replace")
    found = [error for error in _EXCEPTION.findall(text) if _ELSEWHERE not in error]
    if found:
        return f"{found[0][:400]}."
    if "exitcode  : -9" in text or "SIGKILL" in text:
        return "one was killed, which usually means that memory ran out: lower --micro-batch-size or --processes."
    return "no reason is in their log."
