"""Two responses compared: both orders are asked, for a judge that prefers the first whatever it says is no judge.

The first level of a pair's scale says "the first response", the second "the second"; any other (a tie) stays what it is
when the responses change places. The swapped copy of an example has the id of the original with ``~swapped`` behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rationem.scale import Scale
from rationem.types import Example

_SWAPPED = "~swapped"


def swap_level(level: str, scale: Scale) -> str:
    """Return what a level becomes when the two responses change places.

    >>> swap_level("A", Scale.parse("A | B | tie")), swap_level("tie", Scale.parse("A | B | tie"))
    ('B', 'tie')
    """
    first, second = scale.levels[:2]
    return {first: second, second: first}.get(level, level)


def swapped(example: Example, scale: Scale) -> Example:
    """Return the example with its responses, and all that was said of them, in the other order."""
    fields = {**example.fields}
    fields["response_a"], fields["response_b"] = fields["response_b"], fields["response_a"]
    return replace(
        example,
        id=f"{example.id}{_SWAPPED}",
        fields=fields,
        answer=swap_level(example.answer, scale),
        ratings=tuple(swap_level(rating, scale) for rating in example.ratings),
    )


def both_orders(examples: Sequence[Example], scale: Scale) -> tuple[Example, ...]:
    """Return every pair in both orders, the swapped copy behind its original."""
    return tuple(one for x in examples for one in (x, swapped(x, scale)))


def original_id(example_id: str) -> str:
    """Return the id of the pair in its given order."""
    return example_id.removesuffix(_SWAPPED)


def is_swapped(example_id: str) -> bool:
    """Say whether this is the swapped copy."""
    return example_id.endswith(_SWAPPED)
