"""The scripts for a GPU run in their small form on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.slow
@pytest.mark.acceptance
def test_the_script_for_a_gpu_measures_a_whole_iteration_of_a_random_model():
    """Draws, trains and evaluates without a network and without weights; the phases have seconds and tokens."""
    command = [sys.executable, "gpu.py", "--device", "cpu", "--small"]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=_FOLDER, env=offline, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for phase in ("e_step", "m_step"):
        (line,) = (one for one in done.stdout.splitlines() if one.startswith(f"  iteration 1, {phase}:"))
        assert int(line.split(" tokens")[0].split()[-1]) > 0
    assert "tokens/s" in done.stdout
