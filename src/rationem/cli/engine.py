"""rationem engine: install and show vLLM's separate environment."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add ``install`` and ``status``."""
    parser.description = "vLLM for --engine vllm, in a separate environment: install it, or show which one is used."
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "create the environment (minutes, 3.5 GB) unless it exists"
    install = actions.add_parser("install", help=text, description=text[0].upper() + text[1:] + ".")
    install.add_argument(
        "--cuda",
        action=argparse.BooleanOptionalAction,
        help="the build for NVIDIA GPUs, or that for CPUs (the default without such a GPU)",
    )
    install.add_argument(
        "--directory", type=Path, metavar="DIR", help=("its directory (default: vllm in rationem's cache)")
    )
    text = "show the interpreter that would be used, and its vLLM; exit status 1 if there is none"
    status = actions.add_parser("status", help=text, description=text[0].upper() + text[1:] + ".")
    parser.examples("rationem engine install", "rationem engine install --cuda", "rationem engine status")
    status.add_argument("--vllm-python", metavar="PYTHON", help="an interpreter, or the directory of its environment")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    return _install(options.directory, options.cuda) if options.action == "install" else _status(options.vllm_python)


def _install(directory: Path | None, cuda: bool | None) -> int:
    from rationem.engines.vllm.install import default_directory, install
    from rationem.errors import ConfigError

    progress.show(progress.Rich())
    if cuda is None and shutil.which("nvidia-smi"):
        raise ConfigError("This machine seems to have an NVIDIA GPU. Choose the build: --cuda, or --no-cuda for CPUs.")
    place = directory or default_directory()
    progress.out(f"vLLM {install(place, cuda=bool(cuda))} is installed in {place}")
    if directory is not None:
        progress.out(f"To use it: --vllm-python {place}")
    return 0


def _status(given: str | None) -> int:
    from rationem.engines.vllm.install import find_python, is_cpu_build, prove
    from rationem.errors import ConfigError

    try:
        python = find_python(given)
    except ConfigError as error:
        progress.fail(error)
        return 1
    progress.out(python)
    progress.out(f"vLLM {prove(python)}, built for {'CPUs' if is_cpu_build(python) else 'GPUs'}")
    return 0
