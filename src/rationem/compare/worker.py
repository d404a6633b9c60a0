"""One run of a comparison in its own process: ``python -m rationem.compare.worker OUTPUT SEED [ARM]``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rationem import progress


def main(arguments: list[str]) -> int:
    """Run an arm or, without one, measure the base model; return the exit code."""
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as in the command line, before torch is loaded
    from rationem.compare.design import read_design
    from rationem.compare.running import run_arm, run_base
    from rationem.errors import RationemError

    output, seed = Path(arguments[0]), int(arguments[1])
    progress.show(progress.Rich())
    try:
        design = read_design(output)
        if len(arguments) > 2:
            run_arm(design, design[arguments[2]], seed, output)
        else:
            run_base(design, seed, output)
    except RationemError as error:
        progress.fail(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
