"""A node that trains with others: ``python -m rationem.sft.node DIRECTORY`` joins every M-step until it is ended.

DIRECTORY is ``--node-directory`` of the run, under the same path. The processes of a job end when its file is removed,
which a driver does when it is done, and the next driver if the last one was killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from rationem.engines.supervisor import end, supervised
from rationem.sft.nodes import JOB, Meeting

#: Seconds between two looks at the directory.
_LOOK = 0.5


def main(arguments: list[str]) -> int:
    """Join jobs until an interrupt; return the exit code."""
    directory, joined = Path(arguments[0]), set[str]()
    print(f"waiting for M-steps in {directory}", flush=True)
    try:
        while True:
            for job in sorted(directory.glob(f"*/{JOB}")):
                if job.parent.name not in joined:
                    joined.add(job.parent.name)
                    print(f"{job.parent.name}: exit code {_join(job)}", flush=True)
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        return 0


def _join(job: Path) -> int:
    """Run this node's processes until they end or the job is removed; return the exit code."""
    meeting = Meeting(**json.loads(job.read_text(encoding="utf-8"))["meeting"])
    words = supervised(meeting.words(job.parent.name, job, hosts=False))
    process = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
    try:
        while process.poll() is None and job.is_file():
            time.sleep(_LOOK)
    finally:
        end(process)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
