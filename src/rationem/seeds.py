"""Same coordinates, same seed: a draw's randomness depends on its coordinates, never on order.

seed = first 63 bits of BLAKE2b(run seed, iteration, example, attempt, purpose). No global generator is used, so batch
order, resuming and batch membership cannot change a draw. The example is named by the key that ``example_key``
makes of its own coordinates: item, criterion, rater, turn.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DIGITS = "0123456789"


def seed_for(run_seed: int, *coordinates: int | str) -> int:
    """Return a 63-bit seed for named coordinates, e.g. ``(iteration, example_id, attempt, purpose)``.

    >>> seed_for(0, 1, "a", 2, "train") == seed_for(0, 1, "a", 2, "train")
    True
    >>> seed_for(0, 1, "a", 2, "train") == seed_for(0, 1, "a", 2, "eval")
    False
    """
    name = json.dumps([run_seed, *coordinates], ensure_ascii=True).encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1


def example_key(
    item: str, criterion: str = "", rater: int = 0, turn: int = 0, orders: int = 1, origin: str = ""
) -> str:
    """Return the key of an example: its coordinates in one text, which nothing takes apart again.

    Examples that differ in a coordinate have different keys, if all of a run have a criterion or none has. An id that
    could be read as another example's key is quoted.

    Args:
        item: the user's own id.
        criterion: what was rated.
        rater: the number of the rating, from 1; 0 is all of them.
        turn: by how many places the responses were moved on.
        orders: in how many orders they are shown; the other order of a pair has a mark of its own.
        origin: "test" for the test file's item where the training file has one of this id too.

    >>> example_key("x", rater=2, turn=1, orders=2), example_key("x#2", turn=1, orders=2), example_key("x#2~swapped")
    ('x#2~swapped', '"x#2"~swapped', '"x#2~swapped"')
    """
    named = f"/{_quoted(criterion.replace('%', '%25').replace('/', '%2F'))}" if criterion else ""
    rated = f"#{rater}" if rater else ""
    turned = ("~swapped" if orders == 2 else f"~turned{turn}") if turn else ""
    return f"{origin}{':' if origin else ''}{_quoted(item)}{named}{rated}{turned}"


def _quoted(name: str) -> str:
    """Return a name in quotes where it begins or ends as keys and quoted names do."""
    stem = name.rstrip(_DIGITS)
    is_marked = name.endswith("~swapped") or (stem != name and stem.endswith(("#", "~turned")))
    return f'"{name}"' if is_marked or name.startswith(('"', "test:")) else name


def generator(run_seed: int, *coordinates: int | str) -> np.random.Generator:
    """Return a new numpy generator for named coordinates (Philox, counter-based)."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=seed_for(run_seed, *coordinates)))


def uniforms(seed: int, count: int) -> NDArray[np.float64]:
    """Return ``count`` uniforms in [0, 1) for one request, shape (count,): token t of the request uses number t."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=seed)).random(count)
