"""Compared responses: every order is asked, because a judge that always prefers the first is useless.

Two responses, or k. On levels without an order the first k name the responses by position and any other is a tie. A
pair on an ordered scale runs from "the first is much better" to "the second is", so that level r of L becomes level L -
1 - r when the two change places. For k responses the orders are the k rotations: each response is at each place once.
An example's ``turn`` is its order, from 0, the given one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from string import ascii_lowercase

from rationem.tasks.scale import Scale
from rationem.types import Example, Fields

#: The maximum number of responses: one per letter.
MOST = len(ascii_lowercase)

_PREFIX = "response_"
#: With fewer levels than this, a scale says which is better, but not by how much.
_GRADED = 4


def fields_of(count: int) -> tuple[str, ...]:
    """Return the names of the fields of ``count`` responses, in order; for one it is "response".

    >>> fields_of(2)
    ('response_a', 'response_b')
    """
    return tuple(f"{_PREFIX}{letter}" for letter in ascii_lowercase[:count]) if count > 1 else ("response",)


def candidates(fields: Fields) -> int:
    """Return the number of responses that an item compares; 1 if it compares none."""
    return max(1, sum(name in fields for name in fields_of(MOST)))


def responses(fields: Fields) -> tuple[str, ...]:
    """Return the texts of an item's responses in the shown order; none if it has none.

    >>> responses({"prompt": "x", "response": "y"}), responses({"response_b": "z", "response_a": "y"})
    (('y',), ('y', 'z'))
    """
    return tuple(fields[name] for name in ("response", *fields_of(MOST)) if name in fields)


def wording(scale: Scale, count: int, *, prompted: bool = True) -> str:
    """Return the name of the packaged template that compares ``count`` responses on a scale, or rates one."""
    if count == 1:
        return "judge" if prompted else "text"
    own = "best" if count > 2 else "graded" if scale.ordered else "pair"
    return own if prompted else f"text_{own}"


def turned_level(level: str, scale: Scale, turn: int = 1, count: int = 2) -> str:
    """Return the level that a level becomes when each of ``count`` responses moves on by ``turn`` places, the last to
    the front.

    >>> turned_level("C", Scale.parse("A | B | C | tie"), 1, 3), turned_level("-3", Scale.parse("-3..3"))
    ('A', '3')
    """
    rank = scale.rank(level)
    if scale.ordered:
        return scale.levels[-1 - rank] if turn % 2 else level
    return scale.levels[(rank + turn) % count] if rank < count else level


def swap_level(level: str, scale: Scale) -> str:
    """Return the level that a level becomes when the two responses change places.

    >>> swap_level("A", Scale.parse("A | B | tie")), swap_level("tie", Scale.parse("A | B | tie"))
    ('B', 'tie')
    """
    return turned_level(level, scale)


def ranks_back(scale: Scale, turn: int, count: int) -> list[int]:
    """Return, per level of the given order, its rank in the order ``turn``."""
    return [scale.rank(turned_level(level, scale, turn, count)) for level in scale.levels]


def turned(example: Example, scale: Scale, turn: int = 1) -> Example:
    """Return the example with its responses moved on by ``turn`` places, and its answer and ratings changed
    accordingly.
    """
    count = candidates(example.fields)
    if not turn:
        return replace(example, orders=count)
    names = fields_of(count)
    moved = {names[(at + turn) % count]: example.fields[name] for at, name in enumerate(names)}
    return replace(
        example,
        turn=turn,
        orders=count,
        fields={**example.fields, **moved},
        answer=turned_level(example.answer, scale, turn, count),
        ratings=tuple(turned_level(rating, scale, turn, count) for rating in example.ratings),
    )


def every_order(examples: Sequence[Example], scale: Scale) -> tuple[Example, ...]:
    """Return every pair in both orders and every comparison of k in its k rotations, copies after the original."""
    return tuple(turned(x, scale, turn) for x in examples for turn in range(candidates(x.fields)))


def given_id(example: Example) -> str:
    """Return the key of the same comparison in its given order."""
    return replace(example, turn=0).id


def side(level: str, scale: Scale, count: int = 2) -> int | None:
    """Return the position, from 0, of the response that a level calls best; None for a tie.

    >>> [side(level, Scale.parse("-1..1")) for level in ("-1", "0", "1")]
    [0, None, 1]
    """
    rank, last = scale.rank(level), len(scale.levels) - 1
    if scale.ordered:
        return None if 2 * rank == last else int(2 * rank > last)
    return rank if rank < count else None


def names_of(scale: Scale, count: int) -> tuple[str, ...]:
    """Return the names of the responses in the prompt: those of the levels, otherwise A and B.

    >>> names_of(Scale.parse("1 | 2 | same"), 2), names_of(Scale.parse("-3..3"), 2)
    (('1', '2'), ('A', 'B'))
    >>> names_of(Scale.parse("left is better < same < right is better"), 2)
    ('left', 'right')
    """
    if not scale.ordered:
        return scale.levels[:count]
    (first, *one), (second, *other) = scale.levels[0].split(), scale.levels[-1].split()
    return (first, second) if one and one == other else ("A", "B")


def ends_of(scale: Scale) -> str:
    """Return the words for the ends and the middle of an ordered pair's scale; "" without an order.

    >>> print(ends_of(Scale.parse("-1..1")))
    -1 means that response A is better, 0 that neither is, 1 that response B is better
    """
    if not scale.ordered:
        return ""
    first, second = names_of(scale, 2)
    much = "much better" if len(scale.levels) >= _GRADED else "better"
    middle = f"{scale.levels[len(scale.levels) // 2]} that neither is, " if len(scale.levels) % 2 else ""
    return (
        f"{scale.levels[0]} means that response {first} is {much}, {middle}"
        f"{scale.levels[-1]} that response {second} is {much}"
    )
