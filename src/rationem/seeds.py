"""Same coordinates, same seed: a draw's randomness depends on its coordinates, never on order.

seed = first 63 bits of BLAKE2b(run seed, iteration, example id, attempt, purpose). No global generator is used, so
batch order, resuming and batch membership cannot change a draw.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray


def seed_for(run_seed: int, *coordinates: int | str) -> int:
    """Return a 63-bit seed for named coordinates, e.g. ``(iteration, example_id, attempt, purpose)``.

    >>> seed_for(0, 1, "a", 2, "train") == seed_for(0, 1, "a", 2, "train")
    True
    >>> seed_for(0, 1, "a", 2, "train") == seed_for(0, 1, "a", 2, "eval")
    False
    """
    name = json.dumps([run_seed, *coordinates], ensure_ascii=True).encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1


def generator(run_seed: int, *coordinates: int | str) -> np.random.Generator:
    """Return a new numpy generator for named coordinates (Philox, counter-based)."""
    return np.random.Generator(np.random.Philox(key=seed_for(run_seed, *coordinates)))


def uniforms(seed: int, count: int) -> NDArray[np.float64]:
    """Return ``count`` uniforms in [0, 1) for one request, shape (count,): token t of the request uses number t."""
    return np.random.Generator(np.random.Philox(key=seed)).random(count)
