"""Rows of single ratings -> the items that people rated: the way back from one training row per rating."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from rationem.tasks.scale import Scale
from rationem.types import Example


def regrouped(examples: Sequence[Example], scale: Scale) -> tuple[Example, ...]:
    """Return one example per item where ``rationem.data.expand_raters`` made one per rating; others stay as they are.

    Rows ``item#1``, ``item#2``, ... of the same group and with the same fields are one item, at the place of its first
    row. Its label is their mean as :meth:`.Scale.pool` has it, the first rating where a tie has none.

    >>> rows = [Example(f"a#{k}", {"prompt": "p"}, level, "g") for k, level in ((1, "2"), (2, "4"))]
    >>> [(x.id, x.answer, x.ratings) for x in regrouped(rows, Scale.parse("1-5"))]
    [('a', '3', ('2', '4'))]
    """
    if scale.is_open:
        return tuple(examples)
    rows: dict[Hashable, list[Example]] = {}
    for example in examples:
        rows.setdefault(_item(example), []).append(example)
    return tuple(_together(part, scale) if len(part) > 1 else part[0] for part in rows.values())


def _item(example: Example) -> Hashable:
    """Return what the rows of one item share; an example that is no such row shares it with no other."""
    name, mark, number = example.id.rpartition("#")
    if example.ratings or not (mark and number.isdecimal()):
        return example.id
    return name, example.group, tuple(sorted(example.fields.items()))


def _together(rows: Sequence[Example], scale: Scale) -> Example:
    ratings = tuple(row.answer for row in rows)
    answer = scale.pool(ratings, "mean") or ratings[0]
    return replace(rows[0], id=rows[0].id.rpartition("#")[0], answer=answer, ratings=ratings)
