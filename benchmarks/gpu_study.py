"""The study's first arms on SmolLM2, for a bare machine with one GPU and no network.

    python benchmarks/gpu_study.py --pack FOLDER                       # where the model is installed
    python benchmarks/gpu_study.py --model FOLDER [--device cuda] [--minutes 5] [DATA and flags of rationem compare]
    python benchmarks/gpu_study.py --device cpu --small                # the tiny judge, few rows: that it runs

``--pack`` writes the installed model in half precision, in files of at most 60 MB, so that they can be carried one by
one; the folder is a model like any other. The arms are STaR, rejection sampling and the summed-out answer with
demonstrations, and the answer alone, one seed, in equal steps, by ``rationem compare``. Without DATA they learn to
grade sums. The comparison stops after ``--minutes``; the same command goes on where it was (``--output``).
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from gpu import NAMED, graded

from rationem.engines import models

ARMS = "star,rs:4,marginal:4"
#: Largest file of the packed model, in transformers' notation; the embedding alone has 57 MB.
PIECE = "60MB"


def pack(name: str, folder: Path) -> None:
    """Write a model in half precision, in small files."""
    loaded = models.load(models.resolve(name), device="cpu")
    loaded.model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=PIECE)
    loaded.tokenizer.save_pretrained(folder)
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size / 2**20:6.1f} MiB  {file}")


def command(options: argparse.Namespace, more: list[str], folder: Path) -> list[str]:
    """Return the comparison, on synthetic grades if no data is named."""
    small = options.small
    count = 12 if small else 400
    rows = options.output.with_suffix(".csv") if options.output else folder / "rows.csv"
    named = more or [str(graded(rows, 4 * count)), *NAMED, "--limit", str(count)]
    sets = [] if more else ["--validation-share", "0.1", "--test-share", "0.2" if small else "0.1"]
    sizes = ["--steps", "2" if small else "25", "--batch-size", "4" if small else "16", "--draws", "2"]
    sizes += ["--iterations", "1" if small else "2", "--max-new-tokens", "24" if small else "60"]
    fixed = ["--evidence-draws", "0", "--wrong-hints", "0", "--difficulty-examples", "0", "--start-examples", "0"]
    model = ["--model", options.model, "--device", options.device, "--demos", "4", "--close"]
    arms = ["--schemes", "marginal:2" if small else ARMS, "--seeds", "1", *([] if not small else ["--no-control"])]
    rate = [] if small else ["--learning-rate", "1e-4"]
    program = [sys.executable, "-m", "rationem.cli", "compare", *named, *sets, *arms, *model, *sizes, *fixed, *rate]
    return [*program, "--output", str(options.output or folder / "comparison")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, metavar="FOLDER")
    parser.add_argument("--model", default=None, help="default: smollm2; with --small tiny-judge")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--output", type=Path, default=None)
    parser.add_argument("--small", action="store_true")
    options, more = parser.parse_known_args()
    options.model = options.model or ("tiny-judge" if options.small else "smollm2")
    if options.pack:
        pack(options.model, options.pack)
        return
    with tempfile.TemporaryDirectory(prefix="rationem-bench-") as folder:
        try:
            done = subprocess.run(command(options, more, Path(folder)), timeout=60 * options.minutes, check=False)
        except subprocess.TimeoutExpired:
            print(f"Stopped after {options.minutes:g} minutes. The same command with --output goes on.")
            return
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
