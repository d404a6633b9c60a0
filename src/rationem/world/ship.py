"""Make the base models that come with the package: ``python -m rationem.world.ship [NAME ...]``, or ``make weights``.

Each is trained from its recipe with seed 0, on one thread; all of them take about eight minutes. The files and their
record are written into the source tree, to be committed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rationem import progress
from rationem.world import shipped
from rationem.world.bases import Base, build, digest, probe
from rationem.world.embedded import BASES


def ship(base: Base, weights: Path = shipped.WEIGHTS) -> Path:
    """Train a base model into the package's weights. Return its directory."""
    weights.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=weights) as temporary:
        fresh = Path(temporary) / base.name
        with progress.phases(base.name) as report:
            build(base, fresh, report=report)
        return put(base, fresh, weights)


def put(base: Base, fresh: Path, weights: Path) -> Path:
    """Move a checkpoint into the package's weights, and record its hashes and recipe."""
    directory = weights / base.name
    for file in fresh.iterdir():
        file.chmod(0o644)  # safetensors gives only its owner access
    if directory.exists():
        shutil.rmtree(directory)
    fresh.rename(directory)
    recorded = shipped.record(weights) if (weights / shipped.RECORD).exists() else {}
    made = {"recipe": digest(base), "probe": round(probe(base), 6), "files": shipped.hashes(directory)}
    shipped.write_record({**recorded, base.name: made}, weights)
    return directory


def main(names: Sequence[str]) -> None:
    """Ship the named base models, or all."""
    progress.show(progress.Rich())
    for name in names or BASES:
        progress.out(ship(BASES[name]))


if __name__ == "__main__":
    main(sys.argv[1:])
