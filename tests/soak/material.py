"""What the commands work on, small enough that a run takes a second; and the commands."""

import csv
import json
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from soak import child

_SETTINGS = (
    "--scale 1-5 --iterations 2 --steps 3 --batch-size 8 --micro-batch-size 4 --max-new-tokens 16 "
    "--max-prompt-tokens 600 --learning-rate 1e-3 --draws 2 --sampling-batch 32 --threads 1 --validation-share 0.2 "
    "--test-share 0.2 --evidence-draws 1 --wrong-hints 4 --difficulty-examples 4"
).split()


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Args:
        argv: words; run in the folder of the case.
        output: what it writes, relative to the folder.
        takes: directories of the material that are copied into the folder first.
        exact: names that are compared to the byte, though they could hold seconds.
        weight: how often it is drawn beside the others.
    """

    name: str
    argv: tuple[str, ...]
    output: str
    takes: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    weight: int = 1


@dataclass(frozen=True)
class Material:
    folder: Path

    @property
    def ratings(self):
        return self.folder / "ratings.csv"

    @property
    def items(self):
        return self.folder / "items.csv"

    @property
    def model(self):
        return self.folder / "model" / "grader"

    def fit(self, output="out", *more):
        return ("fit", str(self.ratings), "--model", str(self.model), "--output", output, *_SETTINGS, *more)

    def judge(self, run, output, *more):
        return (
            "judge",
            run,
            str(self.items),
            "-o",
            output,
            "--draws",
            "2",
            "--threads",
            "1",
            "--batch-size",
            "8",
            *more,
        )

    def commands(self):
        run, lora = str(self.folder / "run"), str(self.folder / "lora")
        page = ("metrics.json", "report.md", "report.html")
        return (
            Command("fit", self.fit(), "out", weight=4),
            Command("fit --lora-rank", self.fit("out", "--lora-rank", "2", "--iterations", "1"), "out", weight=2),
            Command("refit", ("refit", run, "--output", "out", "--selector", "all"), "out", weight=2),
            Command("compare", ("compare", *self.fit("out", "--iterations", "1", "--schemes", "rs:1,star", "--seeds",
                                                     "1", "--no-control")[1:]), "out"),
            Command("judge", self.judge(run, "out.csv"), "out.csv", weight=4),
            Command("judge jsonl", self.judge(lora, "out.jsonl"), "out.jsonl", weight=2),
            Command("report", ("report", "run"), "run", takes=("run",), exact=page, weight=2),
            Command("export trl", ("export", run, "--to", "trl", "-o", "out.jsonl", "--iteration", "last"),
                    "out.jsonl"),
            Command("export parquet", ("export", run, "--to", "parquet", "-o", "out.parquet", "--iteration", "last"),
                    "out.parquet"),
            Command("push", ("push", run, "--directory", "out"), "out", exact=("README.md",), weight=2),
            Command("push --merged", ("push", lora, "--merged", "--directory", "out"), "out", weight=2),
            Command("world", ("world", "--examples", "2000", "--output", "out.csv"), "out.csv"),
            Command("task new", ("task", "new", "out.py"), "out.py"),
        )  # fmt: skip


def make(folder):
    """Train the grader and the runs that other commands read."""
    material = Material(Path(folder))
    material.folder.mkdir(parents=True, exist_ok=True)
    with material.ratings.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "response", "rating"])
        rows.writerows([f"what is {n} ?", f"{n} kind", random.Random(n).randint(1, 5)] for n in range(50))
    with material.items.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "response"])
        rows.writerows([f"what is {n} ?", f"{n} right"] for n in range(24))
    if not (material.model / "model.safetensors").is_file():
        _forked(_grader, material.folder / "model")
    for name, argv in (
        ("run", material.fit("run")),
        ("lora", material.fit("lora", "--lora-rank", "2", "--iterations", "1")),
    ):
        ended = child.call(argv, material.folder)
        if ended.code != 0:
            raise SystemExit(f"The soak cannot make its material: {name}: {ended}")
        if not json.loads((material.folder / name / "metrics.json").read_text())["iterations"]:
            raise SystemExit(f"The soak's {name} has no iterations.")
    shutil.rmtree(material.folder / "tmp")
    return material


def _grader(folder):
    import checkpoints

    shutil.rmtree(folder, ignore_errors=True)
    checkpoints.grader(folder, steps=60)


def _forked(function, *given):
    """Call a function in a child: this process loads no weights and starts no threads."""
    if (pid := os.fork()) == 0:
        try:
            function(*given)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit(f"The soak cannot make its material: {function.__name__} failed.")
