"""``--quick``: the settings of a first look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Few training rows, one iteration, little measuring: minutes on a laptop with a small model.
QUICK: Mapping[str, Any] = {
    "limit": 64,
    "iterations": 1,
    "epochs": 2.0,
    "batch_size": 16,
    "micro_batch_size": 16,
    "validation_items": 32,
    "test_items": 64,
    "draws": 2,
    "evidence_draws": 1,
    "wrong_hints": 0,
    "start_examples": 8,
    "difficulty_examples": 0,
}
