"""Which sampling scheme comes close to enumerated EM? The study behind docs/schemes-study.md, from one command.

    python studies/schemes.py [--output runs/study] [--cells 6] [--workers 2] [--page docs/schemes-study.md]

Every *cell* is a pretrained base model, a hidden human and a learning rate; in every cell every *arm* (scheme and
selector) trains with the same data, gradient steps and seeds. What is measured is computed, not sampled: the rationales
of held-out questions are enumerated, so evidence has certified bounds. An arm that is finished is not run again; a
killed one goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the command line does, before torch is loaded

TRAIN, HELD_OUT, DIVERGENCE = 300, 48, 12
ITERATIONS, STEPS, BATCH = 6, 40, 16
MEASURED = (1, 3, 6)
RATES = (1e-3, 5e-4)
THRESHOLD, FINE, WIDE = 1e-3, 2e-4, 0.7
NEW_TOKENS = 48

#: name -> (plan, selector). The first three are the paper's; the last is what they approximate.
ARMS = {
    "RS(4)": ("rs:4", "first"),
    "STaR": ("star", "first"),
    "PPS": ("pps", "first"),
    "PPS, frozen base": ("rationalize@base", "first"),
    "PPS, 2 draws, weighted": ("rationalize*2", "weighted"),
    "PPS, frozen base, 2 draws, resampled": ("rationalize@base*2", "resample"),
    "enumerated EM": ("exact", "first"),
}


#: What the paper's schemes accept, as a plan of tables: pi(z, y* | x), and q(z, y* | x, hint).
PLANS = {"RS(4)": lambda p, q: [p] * 4, "STaR": lambda p, q: [p, q], "PPS": lambda p, q: [q]}


@dataclass(frozen=True, slots=True)
class Cell:
    """One base model, one human, one learning rate."""

    base: int
    human: int
    rate: float

    @property
    def name(self) -> str:
        return f"base{self.base}-human{self.human}-rate{self.rate:g}"


def cells() -> list[Cell]:
    """Return all 18 cells, in Latin squares: every three hold each base and each human once, every nine each pair."""
    grid = [(base, shift) for shift in range(3) for base in range(3)]
    return [
        Cell(base, (base + shift) % 3, RATES[(base + shift + half) % 2]) for half in range(2) for base, shift in grid
    ]


def run(cell: Cell, arm: str, directory: Path) -> None:
    """Train one arm in one cell, measure it and write ``result.json``."""
    import torch

    from rationem import Ledger, Problem, Splits, SupervisedMStep, Training, parse_scheme, world
    from rationem.em import fit
    from rationem.engines.local import open_transformers
    from rationem.engines.opening import EngineConfig
    from rationem.engines.pool import EnginePool
    from rationem.sampling.trials import SamplingContext
    from rationem.tasks.scale import MARKER
    from rationem.types import Sampling

    torch.set_num_threads(1)
    started = time.perf_counter()
    human = world.human(cell.human)
    train = world.examples(TRAIN, seed=0, human=human)
    held_out = world.examples(HELD_OUT, seed=0, start=TRAIN, human=human)
    base = str(world.tiny_judge(seed=cell.base))
    plan, selector = ARMS[arm]
    scheme = parse_scheme(plan, selector)
    ledger = Ledger(directory)
    manifest = {"cell": cell.name, "arm": arm, "plan": plan, "selector": selector, "notes": {}, "config": {}}
    ledger.start(manifest, {"train": train})
    problem = Problem(
        data=Splits(train, (), ()),
        scheme=scheme,
        base=base,
        engines=EnginePool(partial(open_transformers, EngineConfig(MARKER, device="cpu", batch_size=256))),
        m_step=SupervisedMStep(
            Training(steps=STEPS, batch_size=BATCH, micro_batch_size=BATCH, learning_rate=cell.rate), "cpu"
        ),
        context=SamplingContext(
            world.TASK, ledger, cell.human, Sampling(max_new_tokens=NEW_TOKENS), enumerate_above=THRESHOLD
        ),
    )
    fit(problem, ITERATIONS)
    points = [{"iteration": 0, **measured(base, base, held_out, directory.parent / "base.json")}]
    points += [{"iteration": k, **measured(str(ledger.checkpoint(k)), base, held_out)} for k in MEASURED]
    records = [ledger.record(k, "e_step") for k in range(1, ITERATIONS + 1)]
    result = {
        "cell": cell.name,
        "arm": arm,
        "points": points,
        "e_steps": [{**record, "kept": len(ledger.kept(k))} for k, record in enumerate(records, 1)],
        "seconds": round(time.perf_counter() - started, 1),
    }
    ledger.close()
    (directory / "result.partial").write_text(json.dumps(result, indent=1))
    (directory / "result.partial").rename(directory / "result.json")
    shutil.rmtree(directory / "checkpoints")


def measured(theta: str, base: str, questions: tuple, cache: Path | None = None) -> dict:
    """Return the exact numbers of one checkpoint on the held-out questions; of the base once per cell."""
    if cache is not None and cache.is_file():
        return json.loads(cache.read_text())
    from rationem.engines import models
    from rationem.engines.transformers import TransformersEngine
    from rationem.tasks.scale import MARKER

    def opened(path: str) -> TransformersEngine:
        return TransformersEngine(models.load(path, device="cpu"), marker=MARKER, batch_size=256)

    engine = opened(theta)
    forward = enumerate_well(engine, questions)
    found = {**evidence_of(forward, questions), **verdicts_of(forward, questions)}
    if theta == base or theta.endswith(f"{ITERATIONS:03d}"):
        some = slice(0, DIVERGENCE)
        for name, sampler in (("sampler", engine), ("sampler@base", opened(base))):
            found[name] = divergence_of(tables_of(engine, sampler, forward[some], questions[some]), PLANS["PPS"])
    if cache is not None:
        draft = cache.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(found))
        draft.rename(cache)
    return found


def enumerate_well(engine, questions: tuple) -> list:
    """Enumerate every question's rationales; those whose bounds stay wide once more, with a finer threshold."""
    from rationem import world
    from rationem.metrics.evidence import bounds

    def once(some: list, threshold: float) -> list:
        prompts = [world.TASK.prompt(x.fields) for x in some]
        return engine.enumerate(prompts, world.TASK.continuations, threshold=threshold, max_new_tokens=NEW_TOKENS)

    found = once(list(questions), THRESHOLD)
    for n, x in enumerate(questions):
        lower, upper = bounds(found[n], world.TASK.levels.index(x.answer))
        if lower == 0 or math.log(upper / lower) > WIDE:
            found[n] = None
    again = [n for n, one in enumerate(found) if one is None]
    if again:
        for n, one in zip(again, once([questions[n] for n in again], FINE), strict=True):
            found[n] = one
    return found


def evidence_of(forward: list, questions: tuple) -> dict:
    """Return the mean of the certified bounds of log p(y* | x); the lower one over questions that have one."""
    from rationem import world
    from rationem.metrics.evidence import bounds

    pairs = [bounds(one, world.TASK.levels.index(x.answer)) for one, x in zip(forward, questions, strict=True)]
    lower = [math.log(low) for low, _ in pairs if low > 0]
    return {
        "lower": sum(lower) / len(pairs) if len(lower) == len(pairs) else None,
        "lower_found": sum(lower) / len(lower),
        "without_lower": len(pairs) - len(lower),
        "upper": sum(math.log(high) for _, high in pairs) / len(pairs),
        "unexplored": sum(one.unexplored for one in forward) / len(pairs),
    }


def verdicts_of(forward: list, questions: tuple) -> dict:
    """Return the accuracy of the most probable level, and the share of rationales with true findings."""
    from rationem import world
    from rationem.metrics.evidence import level_bounds

    right, true, read = 0, 0.0, 0.0
    for one, x in zip(forward, questions, strict=True):
        lower, _ = level_bounds(one, len(world.TASK.levels))
        right += world.TASK.levels[int(lower.argmax())] == x.answer
        for leaf in one.leaves:
            mass = math.exp(leaf.log_prob)
            true += mass * bool(world.faithful(x.fields, leaf.text.partition("\n")[0]))
            read += mass
    return {"accuracy": right / len(questions), "faithful": true / read}


def tables_of(engine, sampler, forward: list, questions: tuple) -> list:
    """Return (pi(z, y* | x), q(z, y* | x, hint)) of every question, over the rationales found under either prompt."""
    from rationem import world
    from rationem.metrics.evidence import RationaleMeasure, table

    hints = [world.TASK.hint_prompt(x.fields, x.answer) for x in questions]
    hinted = sampler.enumerate(hints, world.TASK.continuations, threshold=THRESHOLD, max_new_tokens=NEW_TOKENS)
    pairs = []
    for x, hint, there, here in zip(questions, hints, hinted, forward, strict=True):
        n = world.TASK.levels.index(x.answer)
        p = table(here, n, joint(engine, world.TASK.prompt(x.fields), there.leaves, n))
        q = table(there, n, joint(sampler, hint, here.leaves, n))
        pairs.append((p, RationaleMeasure({ids: q.log_masses[ids] for ids in p.log_masses}, q.rest)))
    return [(p, q) for p, q in pairs if p.known > 0 and q.known > 0]


def divergence_of(pairs: list, plan: Callable) -> dict:
    """Return KL(what a plan accepts || posterior): the certified lower bound, and of what was enumerated."""
    from rationem.metrics.evidence import accepted, divergence

    found = [divergence(accepted(plan(p, q)), p) for p, q in pairs]
    return {
        "lower": sum(one.lower for one in found) / len(found),
        "enumerated": sum(one.enumerated for one in found) / len(found),
        "questions": len(found),
    }


def divergences(cell: Cell, cache: Path) -> dict:
    """Return the divergence of the paper's schemes from the posterior, at the cell's base model."""
    if cache.is_file():
        return json.loads(cache.read_text())
    from rationem import world
    from rationem.engines import models
    from rationem.engines.transformers import TransformersEngine
    from rationem.tasks.scale import MARKER

    questions = world.examples(DIVERGENCE, seed=0, start=TRAIN, human=world.human(cell.human))
    base = str(world.tiny_judge(seed=cell.base))
    engine = TransformersEngine(models.load(base, device="cpu"), marker=MARKER, batch_size=256)
    pairs = tables_of(engine, engine, enumerate_well(engine, questions), questions)
    found = {name: divergence_of(pairs, plan) for name, plan in PLANS.items()}
    cache.write_text(json.dumps(found))
    return found


def joint(engine, prompt, leaves: tuple, n: int) -> dict:
    """Return token ids of z -> log pi(z, y* | prompt) of rationales found under another prompt."""
    from rationem import world
    from rationem.types import Draft, Finish, TokenQuery

    verdict = world.TASK.continuations[n]
    tail = engine.encode_completion(verdict)
    drafts = [Draft(f"{leaf.text}{verdict}", (*leaf.token_ids, *tail), Finish.STOP, 0) for leaf in leaves]
    scored = engine.score_tokens([TokenQuery(prompt, draft) for draft in drafts])
    return {leaf.token_ids: sum(logps) for leaf, logps in zip(leaves, scored, strict=True)}


def main() -> None:
    options = arguments()
    if options.run:
        base, human, rate, arm = options.run
        cell = Cell(int(base), int(human), float(rate))
        run(cell, arm, options.output / cell.name / slug(arm))
        return
    from rationem import world

    for seed in range(3):
        world.tiny_judge(seed=seed)
    chosen = cells()[: options.cells]
    arms = [arm for arm in ARMS if not options.arms or arm in options.arms]
    jobs = [(cell, arm) for cell in chosen for arm in arms]
    work([(cell, arm) for cell, arm in jobs if not result(options.output, cell, arm).is_file()], options)
    if options.page:
        from page import write_page

        results = [json.loads(result(options.output, cell, arm).read_text()) for cell, arm in jobs]
        apart = [divergences(cell, options.output / cell.name / "divergences.json") for cell in chosen]
        write_page(results, arms, apart, options.page)


def work(jobs: list, options: argparse.Namespace) -> None:
    """Run the jobs in processes of their own, a few at a time."""
    running: list[subprocess.Popen] = []
    for number, (cell, arm) in enumerate(jobs, 1):
        while len(running) >= options.workers:
            time.sleep(0.5)
            for one in [one for one in running if one.poll() is not None]:
                running.remove(one)
                if one.returncode:
                    sys.exit(f"An arm failed with code {one.returncode}; mend it and give the same command again.")
        print(f"{number} of {len(jobs)}: {cell.name}, {arm}", flush=True)
        (options.output / cell.name).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--output", str(options.output), "--run"]
        command += [str(cell.base), str(cell.human), str(cell.rate), arm]
        running.append(subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}))
    for one in running:
        if one.wait():
            sys.exit(f"An arm failed with code {one.returncode}; mend it and give the same command again.")


def result(output: Path, cell: Cell, arm: str) -> Path:
    return output / cell.name / slug(arm) / "result.json"


def slug(arm: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in arm.lower()).strip("-")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/study"), help="directory of the arms")
    parser.add_argument("--cells", type=int, default=6, help="how many of the 18 cells (default: %(default)s)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, help="only these arms")
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each (default: %(default)s)")
    parser.add_argument("--page", type=Path, help="write the page (and its figure beside it) here")
    parser.add_argument("--run", nargs=4, metavar=("BASE", "HUMAN", "RATE", "ARM"), help="one arm, in this process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
