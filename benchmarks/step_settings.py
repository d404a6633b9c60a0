"""Which settings of a training step matter to RS(4) on the judge world? Clipping at 1, and Adam's moments reset.

    python benchmarks/step_settings.py [--seeds 5] [--rate 5e-4]

The questions, steps and evaluator of ``benchmarks/time_to_accuracy.py``; prints the accuracy after each iteration, mean
over the seeds with the lowest and the highest of the last.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import accuracy_arms as arms
import torch

from rationem import Problem, Splits, SupervisedMStep, Training
from rationem.em import begin, em_step
from rationem.sampling.schemes import parse_scheme

SETTINGS = {
    "as it is": {},
    "clipped at 1": {"max_grad_norm": 1.0},
    "moments reset": {"optimizer": "reset"},
    "both": {"max_grad_norm": 1.0, "optimizer": "reset"},
}


def accuracies(settings: dict, rate: float, seed: int) -> list[float]:
    """Return the test accuracy of the base model and after each iteration."""
    setting = arms.embedded()
    with tempfile.TemporaryDirectory(prefix="rationem-bench-") as folder:
        job = arms.Job(setting, rate, seed, False, Path(folder), time.time())
        run = arms.context(setting, job.directory / "run", seed)
        training = Training(
            steps=arms.STEPS, batch_size=arms.QUESTIONS, micro_batch_size=arms.QUESTIONS, learning_rate=rate, **settings
        )
        problem = Problem(
            Splits(setting.train, (), ()), parse_scheme(f"rs:{arms.DRAFTS}"), setting.base, arms.engines(setting),
            SupervisedMStep(training, "cpu"), run,
        )  # fmt: skip
        job.begin()
        state = begin(problem)
        for _ in job.iterations:
            state, _ = em_step(state, problem)
            job.mark(Path(state.theta), 0, 0)
        run.ledger.close()
        return arms.accuracies(job)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=5e-4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[list[float]]] = {name: [] for name in SETTINGS}
    for seed in range(options.seeds):
        for name, settings in SETTINGS.items():
            found[name].append(accuracies(settings, options.rate, seed))
            print(f"seed {seed}, {name}: {' '.join(f'{one:.3f}' for one in found[name][-1])}", flush=True)
    for name, runs in found.items():
        means = " ".join(f"{statistics.fmean(points):.3f}" for points in zip(*runs, strict=True))
        last = [run[-1] for run in runs]
        print(f"{name}: {means} (last: {min(last):.3f} to {max(last):.3f}, {len(runs)} seeds)")


if __name__ == "__main__":
    main()
