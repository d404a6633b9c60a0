"""Throughput and one whole iteration at the shapes of 0.1B, 0.5B and 3B models, for a bare machine with one GPU.

    python benchmarks/gpu.py [--device cuda] [--shapes 125,494,3000] [--minutes 5]
    python benchmarks/gpu.py --device cpu --small          # seconds on a CPU: that it runs

Needs no network, no vLLM and no weights: they are random, in the shapes of Llama (125M) and Qwen2.5 (0.5B, 3B). Of each
shape, in turn: (1) generated tokens per second of our engine and of transformers' ``generate``, and what share of the
memory-bandwidth limit decoding reaches (``generation.py``); (2) ``rationem fit`` on synthetic grades, one iteration of
``marginal:4 --close --demos 4``, with seconds and tokens of every phase. Random weights never write a verdict line, so
drafts have full length and are all closed: an upper bound of what an iteration costs. A shape is left out, and the last
line says so, if less than twice the time of the shape before it is left.
"""

import argparse
import csv
import io
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import generation
import torch
from generation import SHAPES, random_weights
from transformers import AutoTokenizer

import rationem
from rationem import progress
from rationem.cli.main import main as rationem_main
from rationem.engines import models

COLUMNS = ("id", "question", "reference", "answer", "grade")
NAMED = [
    "--prompt-col",
    "question",
    "--reference-col",
    "reference",
    "--response-col",
    "answer",
    "--rating-col",
    "grade",
]
NAMED += ["--id-col", "id", "--group-col", "id", "--scale", "incorrect < correct"]
BARE = ["--evidence-draws", "0", "--wrong-hints", "0", "--difficulty-examples", "0", "--start-examples", "0"]


def graded(path: Path, count: int) -> Path:
    """Write grades of sums."""
    rows = []
    for n in range(count):
        a, b, good = 1 + n % 19, 2 + n // 19, n % 2 == 0
        said = f"It is {a + b + (0 if good else 3)}."
        rows.append((n, f"What is {a} + {b}?", a + b, said, "correct" if good else "incorrect"))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


def write_checkpoint(params: int, folder: Path, device: str) -> Path:
    """Write random weights with the tiny judge's tokenizer, which can encode any text; other ids stand for nothing."""
    tokenizer = AutoTokenizer.from_pretrained(models.resolve("tiny-judge"))
    shape = replace(SHAPES[params], vocabulary=max(SHAPES[params].vocabulary, len(tokenizer)))
    models.save(random_weights(shape, device), tokenizer, folder)
    return folder


def iteration(params: int, options: argparse.Namespace, folder: Path) -> None:
    """Run one iteration, and print what each phase took."""
    checkpoint = write_checkpoint(params, folder / f"{params}M", options.device)
    run, rows = folder / f"run-{params}M", graded(folder / "rows.csv", options.examples + 32)
    command = ["fit", str(rows), *NAMED, *BARE, "--limit", str(options.examples), "--draws", "2"]
    command += ["--validation-share", "0.1", "--test-share", "0", "--scheme", "marginal:4", "--close", "--demos", "4"]
    command += ["--epochs", "1", "--batch-size", "16", "--iterations", "1", "--max-new-tokens", str(options.length)]
    command += ["--model", str(checkpoint), "--device", options.device, "--sampling-batch", str(options.batch)]
    with redirect_stdout(io.StringIO()):  # the report, of which nothing matters here
        code = rationem_main([*command, "--go-on", "--output", str(run)])
    if code:
        sys.exit(f"rationem fit ended with {code}")
    with sqlite3.connect(run / "ledger.sqlite") as db:
        phases = db.execute("SELECT iteration, phase, seconds, record FROM iterations ORDER BY iteration").fetchall()
    for k, phase, seconds, record in phases:
        told = json.loads(record)
        tokens = told.get("generated_tokens") or told.get("trained_tokens")
        rate = f", {tokens} tokens, {tokens / seconds:.0f} per second" if tokens and seconds else ""
        print(f"  iteration {k}, {phase}: {seconds or 0:.1f} s{rate}", flush=True)


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Measure the shapes in turn, while there is time."""
    begun, last = time.monotonic(), 0.0
    for params in options.shapes:
        started = time.monotonic()
        if 60 * options.minutes - (started - begun) < 2 * last:
            print(f"\n{params}M is left out: {started - begun:.0f} of {60 * options.minutes:.0f} s are used.")
            break
        generation.measure(params, options)
        if options.device == "cuda":
            torch.cuda.empty_cache()
        iteration(params, options, folder)
        last = time.monotonic() - started
        print(f"  the whole of this shape: {last:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument(
        "--shapes", default="125,494,3000", help=f"millions, ascending, of {', '.join(map(str, SHAPES))}"
    )
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--small", action="store_true", help="one shape of 1M, few rows: that it runs")
    options = parser.parse_args()
    small = options.small
    options.shapes = [1] if small else [int(one) for one in options.shapes.split(",")]
    options.repeats, options.mean, options.rows = (1, 0, 8) if small else (2, 0, 0)
    options.length, options.batch, options.examples = (8, 8, 12) if small else (60, 256, 256)
    progress.show(progress.Silent())
    where = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    print(f"rationem {rationem.__version__}, torch {torch.__version__}, {where}")
    with tempfile.TemporaryDirectory(prefix="rationem-bench-") as folder:
        measure(options, Path(folder))


if __name__ == "__main__":
    main()
