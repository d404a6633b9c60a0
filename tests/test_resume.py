"""SIGKILL at any moment, start again, and the run ends bitwise as one that was never killed.

Children are forked from a clean server process that has torch loaded, so that a kill costs no import.
"""

import csv
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
KILLS = 24
#: Every sixth moment in `make test`, all of them in `make test-all`.
PARTS = [pytest.param(part, marks=[pytest.mark.acceptance] if part % 6 else []) for part in range(KILLS)]

server = multiprocessing.get_context("forkserver")
#: What a run imports on its way; otherwise every child spends five seconds on it.
LATE = ["rationem.run.stages", "rationem.sft.m_step", "rationem.sft.trainer", "transformers.trainer", "peft"]
LATE += ["transformers.models.llama.modeling_llama", "transformers.generation.continuous_batching", "matplotlib.figure"]
LATE += ["matplotlib.backends.backend_svg", "scipy.optimize", "scipy.stats", "krippendorff", "rationem.sft.launcher"]
server.set_forkserver_preload(
    ["rationem.run.launch", "rationem.em", "rationem.sft", "rationem.engines.transformers", *LATE, __name__]
)


def config(folder):
    from rationem import FitConfig

    return FitConfig(
        data=(str(folder / "ratings.csv"),), scale="1-5", model=str(folder / "model" / "grader"), scheme="star",
        iterations=2, steps=4, batch_size=8, micro_batch_size=4, max_new_tokens=24, max_prompt_tokens=600,
        learning_rate=1e-3, draws=2, sampling_batch=16, threads=1, validation_share=0.2, test_share=0.2,
        evidence_draws=1, wrong_hints=4, difficulty_examples=8,
    )  # fmt: skip


class Ticks:
    """Counts the moments at which a process can die, and dies at one of them."""

    def __init__(self, die_at):
        self.die_at, self.names = die_at, []

    def __call__(self, name):
        self.names.append(name)
        if len(self.names) == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner, name):
        original = getattr(owner, name)

        def wrapped(*args, **kwargs):
            self(f"before {name}")
            result = original(*args, **kwargs)
            self(f"after {name}")
            return result

        setattr(owner, name, wrapped)


def child(folder, output, die_at, told=None):
    import shutil
    from contextlib import contextmanager

    from rationem.engines import models
    from rationem.engines import transformers as engine
    from rationem.ledger import Ledger
    from rationem.run import launch as launch_module
    from rationem.sft.trainer import WeightedTrainer

    ticks = Ticks(die_at)
    for owner, name in (
        (Ledger, "append"), (Ledger, "finish"), (engine.TransformersEngine, "sample"), (engine.InverseCdf, "__call__"),
        (engine.TransformersEngine, "score_levels"), (engine.TransformersEngine, "score_tokens"),
        (Ledger, "add_likelihoods"), (WeightedTrainer, "compute_loss"), (models, "save"),
        (Path, "rename"), (Path, "replace"), (shutil, "copytree"),
    ):  # fmt: skip
        ticks.around(owner, name)
    transaction = Ledger.transaction

    @contextmanager
    def dying(self):
        with transaction(self) as db:
            yield db
            ticks("before commit")

    Ledger.transaction = dying
    launch_module.start(config(folder), output)
    if told is not None:
        told.put(ticks.names)


def run(folder, output, die_at=None, after=None):
    told = server.Queue() if die_at is None and after is None else None
    process = server.Process(target=child, args=(folder, output, die_at, told))
    process.start()
    names = told.get(timeout=120) if told is not None else None
    if after is not None:
        time.sleep(after)
        process.kill()
    process.join(120)
    return process.exitcode, names


def untimed(value):
    """The same without any "seconds", at whatever depth."""
    if isinstance(value, dict):
        return {key: untimed(inner) for key, inner in value.items() if key != "seconds"}
    return [untimed(inner) for inner in value] if isinstance(value, list) else value


def digest(output):
    """Everything a run wrote but the seconds, bit by bit."""
    with sqlite3.connect(output / "ledger.sqlite") as db:
        tables = {
            table: db.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()
            for table, columns, order in (
                ("manifest", "*", "key"), ("examples", "*", "id"), ("kept", "*", "iteration, position"),
                ("trials", "*", "iteration, purpose, example_id, attempt, retry"),
                ("states", "*", "iteration, example_id"),
                ("scores", "*", "iteration, purpose, example_id, attempt"),
                ("likelihoods", "*", "iteration, purpose, example_id, drawn, attempt, under"),
                ("predictions", "*", "iteration, split, example_id"),
                ("iterations", "iteration, phase, record", "iteration, phase"),
            )
        }  # fmt: skip
    tables["iterations"] = [(k, phase, untimed(json.loads(record))) for k, phase, record in tables["iterations"]]
    files = {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for part in ("checkpoints", "model")
        for path in sorted((output / part).rglob("*"))
        if path.is_file() and path.name != "training_args.bin"
    }
    metrics = untimed(json.loads((output / "metrics.json").read_text()))
    leftovers = [path.name for path in output.rglob("*.partial")]
    return {"tables": tables, "files": files, "metrics": metrics, "leftovers": leftovers}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import checkpoints

    folder = tmp_path_factory.mktemp("resume")
    checkpoints.grader(folder / "model")
    with (folder / "ratings.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "response", "rating"])
        rows.writerows([f"what is {n} ?", f"{n} kind", random.Random(n).randint(1, 5)] for n in range(50))
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    """A run that was never killed, and the names of all moments at which it could have been."""
    code, names = run(folder, folder / "whole")
    assert code == 0
    return digest(folder / "whole"), names


def test_the_reference_run_learns_from_hints_and_failures_alike(whole):
    reference, names = whole
    proposals = {row[5] for row in reference["tables"]["trials"]}
    outcomes = {row[16] for row in reference["tables"]["trials"]}
    assert proposals == {"forward", "rationalize"}
    assert {"accepted", "wrong"} <= outcomes
    assert len(reference["tables"]["kept"]) > 10
    assert len(set(names)) >= 12


@pytest.mark.parametrize("part", PARTS)
def test_killed_anywhere_and_started_again_ends_bitwise_the_same(folder, whole, part):
    reference, names = whole
    kinds = sorted({name: place for place, name in enumerate(names, 1)}.values())
    spread = [1 + round(n * (len(names) - 1) / (KILLS - 1)) for n in range(KILLS)]
    die_at = kinds[part] if part < len(kinds) else spread[part]
    output = folder / f"killed-{part}"
    code, _ = run(folder, output, die_at=die_at)
    assert code == -signal.SIGKILL
    code, _ = run(folder, output)
    assert code == 0
    assert digest(output) == reference


def test_killed_again_and_again_it_still_ends_the_same(folder, whole):
    output = folder / "often"
    for attempt in range(8):
        code, _ = run(folder, output, after=0.3 + 0.25 * attempt)
        if code == 0:
            break
    code, _ = run(folder, output)
    assert code == 0
    assert digest(output) == whole[0]
