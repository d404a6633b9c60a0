"""How far the drafts of ``marginal:M`` support the right answers that are trained on."""

from __future__ import annotations

import math
import sqlite3

from rationem.ledger.reading import read_answers, read_outcomes
from rationem.sampling.marginal import weighable
from rationem.tasks.kinds import Kind
from rationem.types import Purpose

#: A draft supports an answer from this p(y* | x, z) on.
LIKELY = 0.5


def unlikely_share(db: sqlite3.Connection, iteration: int, kind: Kind) -> float | None:
    """Return the share of an E-step's drawn examples with max_m p(y* | x, z_m) below .5; None if nothing was drawn.

    A draft without a marker counts 0.
    """
    answers = read_answers(db, "train")
    scored = weighable(db, iteration)
    drawn = {example_id for example_id, _ in read_outcomes(db, iteration, Purpose.TRAIN)}
    largest = [
        max((math.exp(logps[kind.place(answers[one])]) for logps in scored.get(one, {}).values()), default=0.0)
        for one in drawn
    ]
    return sum(p < LIKELY for p in largest) / len(largest) if largest else None
