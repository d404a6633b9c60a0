"""The base models that come with the package: checkpoint directories under ``weights/``, with a record of their files.

``weights/record.json``: name -> the recipe's digest and the training's probe (``bases.py``) at the time of training,
and the SHA-256 of every file. ``make weights`` rewrites both.
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
    """Return the directory of a model, after checking the hash of every file.

    Raises:
        ModelError: a file is missing, changed or unexpected.
    """
    directory = weights / name
    recorded: dict[str, str] = record(weights).get(name, {}).get("files", {})
    found = hashes(directory)
    wrong = sorted(file for file in recorded.keys() | found.keys() if recorded.get(file) != found.get(file))
    if wrong or not recorded:
        differences = [_difference(file, recorded.get(file), found.get(file)) for file in wrong]
        said = "; ".join(differences) if recorded else "it is not in the record"
        raise ModelError(
            f"The embedded model {name!r} in {directory} is not the one of this version of rationem: "
            f"{said}. Reinstall rationem, or name another model by its directory."
        )
    return directory


def record(weights: Path = WEIGHTS) -> dict[str, Any]:
    """Return the record: name -> recipe, probe, files.

    Raises:
        ModelError: it cannot be read.
    """
    file = weights / RECORD
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"The record of the embedded models is unreadable: {error}. Reinstall rationem.") from error


def write_record(recorded: dict[str, Any], weights: Path = WEIGHTS) -> None:
    """Write the record as sorted, indented JSON."""
    (weights / RECORD).write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def hashes(directory: Path) -> dict[str, str]:
    """Return file name -> SHA-256 of every file that a loader would see."""
    files = [file for file in directory.glob("*") if file.is_file() and not file.name.startswith(".")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _difference(file: str, recorded: str | None, found: str | None) -> str:
    if found is None:
        return f"{file} is missing"
    if recorded is None:
        return f"{file} is unexpected"
    return f"{file} has the SHA-256 {found[:12]}..., not {recorded[:12]}..."
