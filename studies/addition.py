"""With and without rationalization: STaR's figure on sums, behind docs/addition-study.md, from one command.

    python studies/addition.py [--output runs/addition] [--seeds 3] [--workers 2] [--page docs/addition-study.md]

Every *arm* (a sampling scheme) trains the same base model on the same mixture of sums of one to five digits, with equal
gradient steps; after every iteration sums of every length, which nobody trained on, are asked once each. An arm that is
finished is not run again; a killed one goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the command line does, before torch is loaded

TRAIN, ASKED = 300, 100
ITERATIONS, STEPS, BATCH, RATE = 8, 10, 16, 3e-4
NEW_TOKENS = 88

#: name -> plan. Rejection sampling has as many tries as STaR, and none of them is shown the answer.
ARMS = {"without hints: RS(2)": "rs:2", "STaR": "star", "PPS": "pps"}


def run(arm: str, seed: int, directory: Path) -> None:
    """Train one arm with one seed, ask it after every iteration and write ``result.json``."""
    import torch

    from rationem import Ledger, Problem, Splits, SupervisedMStep, Training, parse_scheme
    from rationem.em import fit
    from rationem.engines.local import open_transformers
    from rationem.engines.opening import EngineConfig
    from rationem.engines.pool import EnginePool
    from rationem.sampling.trials import SamplingContext
    from rationem.types import Sampling
    from rationem.world.addition import TASK, examples, tiny_adder

    torch.set_num_threads(1)
    started = time.perf_counter()
    train, base = examples(TRAIN, seed=seed), str(tiny_adder())
    ledger = Ledger(directory)
    ledger.start({"arm": arm, "plan": ARMS[arm], "seed": seed, "notes": {}, "config": {}}, {"train": train})
    problem = Problem(
        data=Splits(train, (), ()),
        scheme=parse_scheme(ARMS[arm], "first"),
        base=base,
        engines=EnginePool(partial(open_transformers, EngineConfig(TASK.marker, device="cpu", batch_size=256))),
        m_step=SupervisedMStep(
            Training(steps=STEPS, batch_size=BATCH, micro_batch_size=BATCH, learning_rate=RATE), "cpu"
        ),
        context=SamplingContext(TASK, ledger, seed, Sampling(max_new_tokens=NEW_TOKENS)),
    )
    fit(problem, ITERATIONS)
    held = held_out(train)
    points = [asked(base, held, seed, kinds=("forward", "hinted"))]
    points += [asked(str(ledger.checkpoint(k)), held, seed) for k in range(1, ITERATIONS + 1)]
    result = {
        "arm": arm,
        "seed": seed,
        "points": points,
        "kept": [kept(ledger, k, train) for k in range(1, ITERATIONS + 1)],
        "generated_tokens": [ledger.record(k, "e_step")["generated_tokens"] for k in range(1, ITERATIONS + 1)],
        "seconds": round(time.perf_counter() - started, 1),
    }
    ledger.close()
    (directory / "result.partial").write_text(json.dumps(result, indent=1))
    (directory / "result.partial").rename(directory / "result.json")
    shutil.rmtree(directory / "checkpoints")


def held_out(train: tuple) -> dict[str, list]:
    """Return length -> sums of that length that are not trained on."""
    from rationem.world.addition import DIGITS, examples

    seen = {x.id for x in train}
    found = {}
    for digits in DIGITS:
        several = examples(100 if digits == 1 else 2 * ASKED, (digits,), seed=1)
        found[str(digits)] = [x for x in several if x.id not in seen][:ASKED]
    return found


def asked(theta: str, held: dict[str, list], seed: int, *, kinds: tuple[str, ...] = ("forward",)) -> dict[str, dict]:
    """Return length -> shares of one draw each: right, and right by a true scratchpad, forward or hinted."""
    from rationem.engines import models
    from rationem.engines.transformers import TransformersEngine
    from rationem.seeds import seed_for
    from rationem.types import Request, Sampling
    from rationem.world.addition import TASK, faithful

    engine = TransformersEngine(models.load(theta, device="cpu"), marker=TASK.marker, batch_size=256)
    found: dict[str, dict] = {digits: {"count": len(several)} for digits, several in held.items()}
    everything = [(digits, x) for digits, several in held.items() for x in several]
    for kind in kinds:
        requests = [
            Request(
                TASK.prompt(x.fields) if kind == "forward" else TASK.hint_prompt(x.fields, x.answer),
                Sampling(max_new_tokens=NEW_TOKENS),
                seed_for(seed, "asked", x.id, kind),
            )
            for _, x in everything
        ]
        said = [TASK.parse(draft.text) for draft in engine.sample(requests)]
        for digits, row in found.items():
            pairs = [(x, one) for (n, x), one in zip(everything, said, strict=True) if n == digits]
            right = [x for x, one in pairs if one.answer == x.answer]
            true = [x for x, one in pairs if one.answer == x.answer and faithful(x.fields, one.rationale) is True]
            row[kind], row[f"{kind}_true"] = len(right) / len(pairs), len(true) / len(pairs)
    return found


def kept(ledger, iteration: int, train: tuple) -> dict[str, list[int]]:
    """Return length -> [training examples, of them kept, of these by a true scratchpad]."""
    from rationem.tasks.choices import SUBJECT
    from rationem.types import Purpose
    from rationem.world.addition import faithful

    by_id = {x.id: x for x in train}
    found = {x.fields[SUBJECT][0]: [0, 0, 0] for x in sorted(train, key=lambda x: x.fields[SUBJECT])}
    for x in train:
        found[x.fields[SUBJECT][0]][0] += 1
    trials = {(trial.example_id, trial.attempt): trial for trial in ledger.trials(iteration, Purpose.TRAIN)}
    for one in ledger.kept(iteration):
        fields, trial = by_id[one.example_id].fields, trials[one.example_id, one.attempt]
        row = found[fields[SUBJECT][0]]
        row[1] += 1
        row[2] += faithful(fields, trial.parsed.rationale or "") is True
    return found


def main() -> None:
    options = arguments()
    if options.run:
        arm, seed = options.run[0], int(options.run[1])
        run(arm, seed, directory(options.output, arm, seed))
        return
    from rationem.world.addition import tiny_adder

    tiny_adder()
    jobs = [(arm, seed) for seed in range(options.seeds) for arm in ARMS]
    work([job for job in jobs if not (directory(options.output, *job) / "result.json").is_file()], options)
    if options.page:
        from addition_page import write_page

        results = [json.loads((directory(options.output, *job) / "result.json").read_text()) for job in jobs]
        write_page(results, options.page)


def work(jobs: list, options: argparse.Namespace) -> None:
    """Run the jobs in processes of their own, a few at a time."""
    running: list[subprocess.Popen] = []
    for number, (arm, seed) in enumerate(jobs, 1):
        while len(running) >= options.workers:
            time.sleep(0.5)
            for one in [one for one in running if one.poll() is not None]:
                running.remove(one)
                if one.returncode:
                    sys.exit(f"An arm failed with code {one.returncode}; mend it and give the same command again.")
        print(f"{number} of {len(jobs)}: {arm}, seed {seed}", flush=True)
        directory(options.output, arm, seed).parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--output", str(options.output), "--run", arm, str(seed)]
        running.append(subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}))
    for one in running:
        if one.wait():
            sys.exit(f"An arm failed with code {one.returncode}; mend it and give the same command again.")


def directory(output: Path, arm: str, seed: int) -> Path:
    name = "".join(character if character.isalnum() else "-" for character in arm.lower())
    return output / f"{name.strip('-')}-{seed}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/addition"), help="directory of the arms")
    parser.add_argument("--seeds", type=int, default=3, help="runs of every arm (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each (default: %(default)s)")
    parser.add_argument("--page", type=Path, help="write the page (and its figure beside it) here")
    parser.add_argument("--run", nargs=2, metavar=("ARM", "SEED"), help="one arm, in this process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
