"""A slice of the soak, by one seed: what ``make soak`` does for minutes or hours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

#: In the order of the line at the end: in `make test`, and in `make test-all`.
SMALL = {"kills": 1, "disk": 1, "inputs": 60}
LARGE = {"kills": 2, "disk": 3, "inputs": 300}


@pytest.mark.slow
@pytest.mark.parametrize("most", [SMALL, pytest.param(LARGE, marks=pytest.mark.acceptance)])
def test_harmed_at_random_nothing_is_lost_and_no_input_ends_in_a_traceback(most):
    parts = ",".join(f"{part}:{count}" for part, count in most.items())
    here = Path(__file__).parent
    ours = {
        "SEED": "5",
        "HOURS": "0.1",
        "PARTS": parts,
        "PYTHONPATH": os.pathsep.join([str(here.parent / "src"), str(here)]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "soak"], env={**os.environ, **ours}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    counted = re.search(r"^kills (\d+), disk-full (\d+), inputs (\d+), faults 0", done.stdout, re.MULTILINE)
    assert counted, done.stdout[-4000:]
    assert int(counted[1]) > 0
    assert int(counted[2]) > 0
    assert int(counted[3]) == most["inputs"]
