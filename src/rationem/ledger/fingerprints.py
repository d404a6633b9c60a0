"""Fingerprints of a run's data: its content, and the set of each example."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from rationem.types import Example

Sets = Mapping[str, Sequence[Example]]
_KEY: Callable[[Example], str] = attrgetter("id")


def data_sha256(sets: Sets, key: Callable[[Example], str] = _KEY) -> str:
    """Return the hash of keys, fields, answers, ratings, and weights that are not 1."""
    return _sha256(
        [
            [key(x), dict(x.fields), x.answer, x.ratings, *([] if x.weight == 1 else [x.weight])]
            for part in sets.values()
            for x in part
        ]
    )


def splits_sha256(sets: Sets, key: Callable[[Example], str] = _KEY) -> str:
    """Return the hash of the set and group of every example."""
    return _sha256([[split, key(x), x.group] for split, part in sets.items() for x in part])


def _sha256(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
