"""Difficulty of the training examples for the base model: one measure of acceptance for all schemes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from rationem.ledger.reading import read_examples, read_level_logps, read_outcomes
from rationem.metrics import evidence
from rationem.sampling.draw import draw
from rationem.sampling.schemes import FORWARD
from rationem.sampling.trials import DrawRequest, SamplingContext, fits
from rationem.seeds import seed_for
from rationem.tasks.kinds import Kind
from rationem.types import Engine, Example, Purpose


def measure_difficulty(
    train: Sequence[Example], engine: Engine, run: SamplingContext, *, examples: int, draws: int
) -> None:
    """Draw unhinted rationales of the base model for some training examples, chosen by the run's seed.

    Args:
        engine: on theta_0.
        examples: the maximum number of training examples.
        draws: rationales per example.
    """
    started = time.perf_counter()
    run = run.as_it_is()
    chosen = sorted(train, key=lambda x: seed_for(run.seed, "difficulty", x.id))[:examples]
    fitting = [x for x in chosen if fits(x, (FORWARD,), engine, run)]
    draw(
        [DrawRequest(x, m) for x in fitting for m in range(draws)],
        FORWARD,
        engine,
        run,
        iteration=0,
        purpose=Purpose.PROBE,
        label="base model, difficulty of training examples",
        levels_under=FORWARD,
    )
    run.ledger.finish(
        0, "difficulty", seconds=time.perf_counter() - started, record={"examples": len(fitting), "draws": draws}
    )


def read_difficulty(db: sqlite3.Connection, kind: Kind) -> dict[str, float]:
    """Return example id -> p_hat(y* | x; theta_0), the raw evidence, of the measured training examples.

    Args:
        kind: the kind of the task.
    """
    scored = read_level_logps(db, 0, Purpose.PROBE, whole=True)
    drawn: dict[str, int] = {}
    for example_id, _ in read_outcomes(db, 0, Purpose.PROBE):
        drawn[example_id] = drawn.get(example_id, 0) + 1
    found = {}
    for x in read_examples(db, "train"):
        if x.id in drawn:
            rows = [scored.get(x.id, {}).get(m) for m in range(drawn[x.id])]
            found[x.id] = evidence.raw(*evidence.stack(rows, kind.scores), kind.place(x.answer))
    return found
