"""How fast is ``rationem judge``, and does its memory stay flat?

    python benchmarks/judge.py [--items 200] [--rows 1000 100000] [--threads 2]

Speed: the embedded tiny judge on rows of the embedded world, transformers on this machine, after one row to warm up.
Memory: peak resident set of a process that rates so many rows with a scripted engine (no weights, no torch), so that
what grows is ours: reading, asking, writing, the job's notes.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the command line does, before torch is loaded

import rationem
from rationem import Judge, JudgeTask, Scale, ScriptedEngine, rate_file
from rationem.run.card import Card, write_card


def card(scale: Scale) -> Card:
    even = (1 / len(scale.levels),) * len(scale.levels)
    return Card(JudgeTask(scale).describe(), None, None, even, 8, 512, 48, False, 0, None)


def speed(folder: Path, items: int, threads: int) -> None:
    import shutil

    from rationem import data, world
    from rationem.engines import models

    model = folder / "tiny" / "model"
    shutil.copytree(models.resolve(models.TINY_JUDGE), model)
    write_card(card(world.SCALE), model)
    data.write_csv(folder / "items.csv", world.examples(items, seed=1))
    print(f"tiny-judge, cpu, {threads} threads, {items} rows of the world")
    print(f"{'':12} {'rows/s':>8} {'draws/s':>8} {'seconds':>8}")
    with Judge.load(model, device="cpu", threads=threads) as judge:
        judge.rate([{"prompt": "x", "response": "y"}], draws=1)
        for name, more in (("8 draws", {"draws": 8}), ("--fast", {"fast": True})):
            started = time.perf_counter()
            totals = rate_file(judge, folder / "items.csv", folder / f"{name}.csv", **more)
            seconds, count = time.perf_counter() - started, totals.counts[""]
            print(f"{name:12} {items / seconds:8.1f} {count.draws / seconds:8.1f} {seconds:8.1f}", flush=True)


def memory(folder: Path, rows: list[int]) -> None:
    model = folder / "scripted" / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").touch()
    write_card(card(Scale.parse("1-5")), model)
    print("\nscripted engine, 8 draws, csv to csv, one process each")
    print(f"{'rows':>8} {'input MB':>9} {'peak MB':>8} {'rows/s':>8}")
    for count in rows:
        path = folder / f"{count}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("id", "prompt", "response"))
            writer.writerows((n, f"what is {n} ?", f"{n} of course, and kindly so. " * 10) for n in range(count))
        command = [sys.executable, __file__, "--child", str(model), str(path)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="", flush=True)


def peak_megabytes() -> float:
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def child(model: str, path: str) -> None:
    engine = ScriptedEngine(lambda request: f"some words of a rationale\nFinal rating: {request.seed % 5 + 1}")
    started = time.perf_counter()
    totals = rate_file(Judge.load(model, engine=engine), path, f"{path}.out.csv")
    seconds = time.perf_counter() - started
    peak = peak_megabytes()
    size = Path(path).stat().st_size / 2**20
    print(f"{totals.rows:8} {size:9.1f} {peak:8.1f} {totals.rows / seconds:8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200, help="rows for the speed; 0 leaves it out")
    parser.add_argument("--rows", type=int, nargs="*", default=[1000, 100_000], help="rows for the memory")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    print(f"rationem {rationem.__version__}")
    with tempfile.TemporaryDirectory() as name:
        if options.items:
            speed(Path(name), options.items, options.threads)
        if options.rows:
            memory(Path(name), options.rows)


if __name__ == "__main__":
    main()
