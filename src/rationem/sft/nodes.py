"""An M-step on several nodes: what they share is one directory, and they meet at one address.

The directory holds the kept set as the driver exports it, the weights to start from, and those that are trained. The
run directory stays on the driver's own disk: its ledger is never read over a network file system. On every other node
``python -m rationem.sft.node DIRECTORY`` waits for jobs (``node.py``).
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rationem.engines import models
from rationem.errors import RunError, writing
from rationem.ledger.files import partial, write_text
from rationem.types import Exchange, Prompt, Sample

JOB, KEPT = "job.json", "kept.jsonl"
_JOBS, _WEIGHTS = "job-*", "weights"
_HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where the processes of an M-step meet.

    Args:
        nodes: their number, the driver's included.
        processes: of each node.
        rendezvous: HOST:PORT on the driver's node.
    """

    nodes: int
    processes: int
    rendezvous: str

    def words(self, name: str, job: Path, *, hosts: bool) -> list[str]:
        """Return the command that runs one node's processes.

        Args:
            name: of the M-step; nodes with other names do not meet.
            job: the job's file.
            hosts: whether this is the node of ``rendezvous``.
        """
        run = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(self.nodes)]
        run += ["--nproc-per-node", str(self.processes), "--max-restarts", "0", "--rdzv-backend", "c10d"]
        run += ["--rdzv-endpoint", self.rendezvous, "--rdzv-id", name, "--rdzv-conf", f"is_host={int(hosts)}"]
        if self.rendezvous.rpartition(":")[0] in _HERE:
            run += ["--local-addr", "127.0.0.1"]
        return [*run, "-m", "rationem.sft.worker", str(job)]


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """The directory that all nodes see under the same path.

    Args:
        directory: of one run at a time.
        meeting: where the processes meet.
    """

    directory: Path
    meeting: Meeting

    @contextmanager
    def prepared(self, start: str, samples: Sequence[Sample], output: Path) -> Iterator[tuple[Path, str, Path]]:
        """Yield the job's directory with the kept set, where to start from, and where to write; then copy the result.

        A checkpoint of the run is copied unless the same weights are there already; any other model must be found under
        its name or path on every node.
        """
        with writing(self.directory):
            for left in self.directory.glob(_JOBS):  # of a killed driver: its nodes stop waiting
                shutil.rmtree(left)
            weights = self.directory / _WEIGHTS
            place, there = (
                self.directory / f"job-{secrets.token_hex(4)}",
                weights / output.name.removesuffix(".partial"),
            )
            start_there = self._start(start, output, weights)
            for old in weights.glob("*"):
                if str(old) != start_there:
                    shutil.rmtree(old)
            for made in (place, there):
                made.mkdir(parents=True)
            export(samples, place / KEPT)
            try:
                yield place, start_there, there
            finally:
                shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(there, output, dirs_exist_ok=True)

    def publish(self, place: Path, job: dict[str, Any]) -> None:
        """Write the job whole: from now on other nodes join it."""
        write_text(place / JOB, json.dumps({"job": job, "meeting": asdict(self.meeting)}))

    def _start(self, start: str, output: Path, weights: Path) -> str:
        if Path(start).resolve().parent != output.resolve().parent:
            return start
        there = weights / Path(start).name
        if not (there.is_dir() and models.digests(str(there)) == models.digests(start)):
            shutil.rmtree(there, ignore_errors=True)
            shutil.copytree(start, partial(there), dirs_exist_ok=True)
            partial(there).rename(there)
        return str(there)


def export(samples: Sequence[Sample], path: Path) -> None:
    """Write the kept set, one sample per line."""
    with path.open("w", encoding="utf-8") as file:
        for one in samples:
            file.write(json.dumps(asdict(one)) + "\n")


def exported(path: Path) -> list[Sample]:
    """Return the samples of ``export``."""
    with path.open(encoding="utf-8") as file:
        return [_sample(json.loads(line)) for line in file]


def check_nodes(found: int, wanted: int) -> None:
    """Reject an M-step that ran on fewer nodes than requested.

    Raises:
        RunError: names both numbers.
    """
    if found != wanted:
        raise RunError(f"{wanted} nodes were requested; {found} trained. The checkpoint is not used.")


def _sample(row: dict[str, Any]) -> Sample:
    prompt = row["prompt"]
    earlier = tuple(Exchange(**one) for one in prompt["earlier"])
    asked = Prompt(prompt["text"], prompt["kind"], earlier)
    return Sample(row["example_id"], asked, tuple(row["token_ids"]), row["weight"])
