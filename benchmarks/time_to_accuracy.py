"""How long until a judge is accurate? rationem against a loop written by hand with TRL, and TRL's GRPO and RLOO.

    python benchmarks/time_to_accuracy.py [--seeds 5] [--arms RS(4) GRPO ...] [--page docs/time-to-accuracy.md]
    python benchmarks/time_to_accuracy.py --config run.toml --rates 5e-5 1e-4 2e-4 --results FILE     # another task

TRL belongs into an environment of its own. Once, from the repository's root:

    python3.11 -m venv /tmp/bench && /tmp/bench/bin/pip install -c constraints.txt -e . -r benchmarks/requirements.txt

Every arm trains the embedded judge on the same questions, with the same prompts, parser and reward, in a process of its
own with one thread; every checkpoint is measured by one evaluator on the same held-out questions. First the search:
each arm tries the same three learning rates in half a training with a seed of its own, on validation questions, and
the rate with the highest mean accuracy over the checkpoints is taken. Then seed after seed, every arm once, the first
one rotating. A finished training is not run again; its numbers go to ``benchmarks/results/time-to-accuracy.json`` as
soon as it ends.

RS(4)                  rejection sampling with four drafts at most, the first right one kept
frozen PPS resampled   two hinted drafts of the base model, one kept by its posterior weight: our best scheme
generate + SFTTrainer  the loop written by hand: transformers' generate, four drafts at once, the first right one kept,
                       TRL's SFTTrainer, save, load again
GRPO, RLOO             TRL's trainers, four drafts per question, reward 1 for the right verdict
best of 4              of four drafts the rationale with the highest p(y* | x, z), then y*

reached and held       the first checkpoint at or above an accuracy that all later ones are at, too; there must be one
                       later one
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accuracy_page import OURS, SEARCH_SEED, write_page

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the command line does, before torch is loaded

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "time-to-accuracy.json"
ARMS = (OURS, "frozen PPS resampled", "generate + SFTTrainer", "GRPO", "RLOO", "best of 4")
#: The rates of the search on the embedded judge.
RATES = (5e-4, 1e-3, 2e-3)


def key(arm: str, rate: float, seed: int) -> str:
    return f"{arm}, rate {rate:g}, seed {seed}"


def chosen_rate(arm: str, runs: dict[str, Any], rates: Sequence[float] = RATES) -> float | None:
    """Return the rate with the highest mean accuracy over the checkpoints of the search; None before it has ended."""
    found = {rate: runs.get(key(arm, rate, SEARCH_SEED)) for rate in rates}
    if not all(found.values()):
        return None

    def mean(rate: float) -> float:
        points = found[rate]["points"]
        return sum(one["accuracy"] for one in points) / len(points)

    return max(rates, key=mean)


def owed(
    arms: list[str], seeds: int, runs: dict[str, Any], rates: Sequence[float] = RATES
) -> tuple[str, float, int] | None:
    """Return the next training that has not run: the search first, then seed after seed; None at the end."""
    plan = [(arm, rate, SEARCH_SEED) for rate in rates for arm in arms]
    if not any(key(*one) not in runs for one in plan):
        plan = []
        for seed in range(seeds):
            turn = seed % len(arms)
            plan += [(arm, chosen_rate(arm, runs, rates) or 0.0, seed) for arm in (*arms[turn:], *arms[:turn])]
    return next((one for one in plan if key(*one) not in runs), None)


def apart(arm: str, rate: float, seed: int, config: Path | None) -> dict[str, Any]:
    """Train and measure in a process of its own; return its numbers."""
    with tempfile.TemporaryDirectory(prefix="rationem-bench-") as folder:
        command = [
            sys.executable,
            __file__,
            "--one",
            arm,
            str(rate),
            str(seed),
            folder,
            str(time.time()),
            str(config or ""),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{key(arm, rate, seed)} failed; what has ended is in the results.\n{done.stderr[-4000:]}")
        return dict(json.loads((Path(folder) / "numbers.json").read_text(encoding="utf-8")))


def one(arm: str, rate: float, seed: int, folder: Path, spawned: float, config: Path | None) -> None:
    """Train one arm in this process, measure its checkpoints, and write ``numbers.json``."""
    import accuracy_arms as arms
    import torch

    torch.set_num_threads(1)
    setting = arms.configured(config, folder) if config else arms.embedded()
    job = arms.Job(setting, rate, seed, seed == SEARCH_SEED, folder, spawned)
    arms.ARMS[arm](job)
    base, *found = arms.accuracies(job)
    points = [
        {name: value for name, value in asdict(point).items() if name != "checkpoint"} | {"accuracy": accuracy}
        for point, accuracy in zip(job.points, found, strict=True)
    ]
    numbers = {"arm": arm, "rate": rate, "seed": seed, "base": base, "start_up": list(job.start_up), "points": points}
    (folder / "numbers.json").write_text(json.dumps(numbers), encoding="utf-8")


def measure(options: argparse.Namespace) -> None:
    """Run what is owed; write the numbers after every training."""
    runs = read(options.results)
    while (job := owed(options.arms, options.seeds, runs, options.rates)) is not None:
        runs[key(*job)] = found = apart(*job, options.config)
        last = found["points"][-1]
        print(
            f"[{time.strftime('%H:%M:%S')}] {key(*job)}: {last['seconds']:.0f} s ({last['cpu']:.0f} s CPU), "
            f"{last['generated'] / 1000:.0f}k tokens, " + " ".join(f"{p['accuracy']:.2f}" for p in found["points"]),
            flush=True,
        )
        write(options.results, runs)


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))["runs"]) if path.is_file() else {}


def write(path: Path, runs: dict[str, Any]) -> None:
    """Write the numbers whole or not at all, with the versions that they were measured with."""
    names = ("rationem", "torch", "transformers", "trl")
    found = {"versions": {name: version(name) for name in names}, "runs": dict(sorted(runs.items()))}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    partial.rename(path)


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        arm, rate, seed, folder, spawned, config = sys.argv[2:]
        one(arm, float(rate), int(seed), Path(folder), float(spawned), Path(config) if config else None)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="of the search")
    parser.add_argument("--config", type=Path, help="train on this configuration's data, task and model instead")
    parser.add_argument("--page", type=Path, help="write the page from the numbers that are there")
    parser.add_argument("--no-run", action="store_true", help="only write the page")
    options = parser.parse_args()
    if options.config and options.results == RESULTS:
        parser.error("--config needs its own --results: the numbers of the embedded judge are kept apart.")
    if not options.no_run:
        measure(options)
    if options.page:
        write_page(json.loads(options.results.read_text(encoding="utf-8")), options.page)


if __name__ == "__main__":
    main()
