"""The base models that come with the package: checkpoint directories under ``weights/``, with a record of their files.

``weights/record.json``: name -> the digest of the recipe and the probe of its training (``bases.py``) as they were when
the weights were made, and the SHA-256 of every file. ``make weights`` writes both anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from rationem.errors import ModelError

WEIGHTS = Path(__file__).parent / "weights"
RECORD = "record.json"


def place(name: str, weights: Path = WEIGHTS) -> Path:
    """Return the directory of a model, after a look at every byte of it.

    Raises:
        ModelError: a file is missing, changed or one too many.
    """
    directory = weights / name
    recorded: dict[str, str] = record(weights).get(name, {}).get("files", {})
    found = hashes(directory)
    wrong = sorted(file for file in recorded.keys() | found.keys() if recorded.get(file) != found.get(file))
    if wrong or not recorded:
        differences = [_difference(file, recorded.get(file), found.get(file)) for file in wrong]
        said = "; ".join(differences) if recorded else "it is not in the record"
        raise ModelError(
            f"The embedded model {name!r} in {directory} is not the one that this version of rationem came with: "
            f"{said}. Install rationem again, or name another model by its directory."
        )
    return directory


def record(weights: Path = WEIGHTS) -> dict[str, Any]:
    """Return what is recorded: name -> recipe, probe, files.

    Raises:
        ModelError: it cannot be read.
    """
    file = weights / RECORD
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The record of the embedded models is unreadable: {error}. Install rationem again."
        ) from error


def write_record(recorded: dict[str, Any], weights: Path = WEIGHTS) -> None:
    """Write the record."""
    (weights / RECORD).write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def hashes(directory: Path) -> dict[str, str]:
    """Return file name -> SHA-256 of every file that a loader would see."""
    files = [file for file in directory.glob("*") if file.is_file() and not file.name.startswith(".")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _difference(file: str, recorded: str | None, found: str | None) -> str:
    if found is None:
        return f"{file} is missing"
    if recorded is None:
        return f"{file} does not belong there"
    return f"{file} has the SHA-256 {found[:12]}..., not {recorded[:12]}..."
