r"""Certified bounds of log p(y* | x) under theta_k, by enumerating the rationales of test examples: for small models.

    lower = sum_{z found} pi(z | x) pi(y* | x, z)  <=  p(y* | x)  <=  lower + unexplored      (``evidence.exact``)

The enumerated rationales are not stored, only the bounds of each example. Like a loss, they are read back instead of
computed again.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from rationem import progress
from rationem.ledger.phases import read_record
from rationem.metrics.evidence import bounds
from rationem.sampling.posterior import enumerator
from rationem.sampling.schemes import FORWARD
from rationem.sampling.trials import SamplingContext, fits
from rationem.types import Engine, Example

#: Prompts enumerated between two steps of the progress bar.
_TOGETHER = 16

#: Test examples enumerated by default if the scheme draws from enumerations.
UNASKED = 32


def measure_bounds(examples: Sequence[Example], engine: Engine, run: SamplingContext, *, iteration: int) -> None:
    """Enumerate the rationales of examples and record the bounds of each; over-long examples are left out.

    Args:
        engine: on theta_k; it can enumerate.
        iteration: k.

    Raises:
        ConfigError: the engine cannot enumerate.
    """
    started, able = time.perf_counter(), enumerator(engine, "--exact-items")
    fitting = [x for x in examples if fits(x, (FORWARD,), engine, run)]
    found: dict[str, tuple[float, float]] = {}
    with progress.track(f"iteration {iteration}, evidence by enumeration", len(fitting)) as advance:
        for start in range(0, len(fitting), _TOGETHER):
            some = fitting[start : start + _TOGETHER]
            enumerated = able.enumerate(
                [run.task.prompt(x.fields) for x in some],
                run.task.continuations,
                threshold=run.enumerate_above,
                max_new_tokens=run.sampling.max_new_tokens,
            )
            for x, one in zip(some, enumerated, strict=True):
                found[x.id] = bounds(one, run.task.levels.index(x.answer))
            advance(len(some))
    record = {"threshold": run.enumerate_above, "bounds": found}
    run.ledger.finish(iteration, "exact", seconds=time.perf_counter() - started, record=record)


def read_bounds(db: sqlite3.Connection, iteration: int) -> dict[str, tuple[float, float]] | None:
    """Return example id -> (lower, upper) of p(y* | x) under theta_k; None if nothing was enumerated."""
    record = read_record(db, iteration, "exact")
    return None if record is None else {name: (low, high) for name, (low, high) in record["bounds"].items()}


def bounds_record(db: sqlite3.Connection, iteration: int) -> dict[str, Any] | None:
    """Return the means over the examples; None if nothing was enumerated.

    ``items``          test examples enumerated
    ``lower``          mean log of the lower bounds, over the examples that have one above 0; nats
    ``without_lower``  examples without a rationale that leads to y*; they are not in ``lower``
    ``upper``          mean log of the upper bounds, over all examples
    ``missing``        mean of 1 - lower / upper: at most this share of an example's posterior is on rationales that
                       were not followed
    """
    found = read_bounds(db, iteration)
    if not found:
        return None
    lower = [math.log(low) for low, _ in found.values() if low > 0]
    return {
        "items": len(found),
        "lower": math.fsum(lower) / len(lower) if lower else None,
        "without_lower": len(found) - len(lower),
        "upper": math.fsum(math.log(high) for _, high in found.values()) / len(found),
        "missing": math.fsum(1 - low / high for low, high in found.values()) / len(found),
    }
