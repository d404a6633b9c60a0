"""A child process of an M-step: ``python -m rationem.sft.worker JOB``, alone or under torchrun.

It reads the kept set from the ledger and trains with the other processes. The first one writes checkpoint and record.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rationem import progress
from rationem.engines import models
from rationem.errors import RationemError, RunError
from rationem.sampling.training_set import kept_samples
from rationem.sft.launcher import TrainingJob, fingerprint
from rationem.sft.nodes import exported
from rationem.tasks.own import read_task
from rationem.types import Sample


class Lines:
    """Reports progress to the driver, on standard output."""

    @contextmanager
    def track(self, phase: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes the number of newly finished steps."""
        yield lambda count: print(f"done {count}", flush=True)

    def say(self, text: str) -> None:
        """Print one line."""
        print(text, flush=True)

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show nothing."""
        yield

    def doing(self, text: str) -> None:
        """Show nothing: the driver shows the steps."""


def main(arguments: list[str]) -> int:
    """Run the job in the named file; return the exit code."""
    job = TrainingJob(**json.loads(Path(arguments[0]).read_text(encoding="utf-8"))["job"])
    leads = os.environ.get("RANK", "0") == "0"
    try:
        record = _train(job, leads=leads)
    except RationemError as error:
        _answer(job, {"error": str(error)})
        return 1
    if leads:
        _answer(job, record)
    return 0


def _train(job: TrainingJob, *, leads: bool) -> dict[str, Any]:
    import torch
    from accelerate import PartialState

    from rationem.sft import Training
    from rationem.sft.m_step import SupervisedMStep

    torch.set_num_threads(job.threads)
    on_gpu = job.device != "cpu" and torch.cuda.is_available()
    if "RANK" in os.environ:
        PartialState(cpu=not on_gpu)
    if leads:
        progress.show(Lines())
    samples = _samples(job)
    if fingerprint(samples) != job.kept:
        raise RunError(
            f"The ledger in {job.directory} changed during the run: its samples of iteration {job.iteration} differ "
            "from those that the run sent for training."
        )
    m_step = SupervisedMStep(Training.from_json(job.training), job.device)
    try:
        return m_step(job.start, samples, iteration=job.iteration, seed=job.seed, output=Path(job.output))
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _samples(job: TrainingJob) -> list[Sample]:
    """Return the kept set: from the ledger, or with several nodes as it was exported.

    Raises:
        RunError: this node would start from other weights than the driver.
    """
    if job.samples is None:
        if job.task is not None:
            read_task(job.task)
        return kept_samples(Path(job.directory), job.iteration)
    if os.environ.get("LOCAL_RANK") == "0" and models.digests(job.start) != job.weights:
        raise RunError(f"Node {platform.node()} has another model at {job.start} than the driver. Copy it there.")
    return exported(Path(job.samples))


def _answer(job: TrainingJob, content: dict[str, Any]) -> None:
    draft = Path(f"{job.answer}.{os.getpid()}")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(job.answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
