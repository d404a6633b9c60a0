"""Merge training rows of single ratings back into the items that people rated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rationem.metrics.criteria import criterion
from rationem.tasks.scale import Scale
from rationem.types import Example


def regrouped(examples: Sequence[Example], scale: Scale) -> tuple[Example, ...]:
    """Return one example per item, undoing ``rationem.data.expand_raters``; other examples are unchanged.

    The rows of an item's single ratings (``rater``) become one item, at the position of the first row. Its label is
    their mean by :meth:`.Scale.pool`, or the first rating if a tie has no label.

    >>> rows = [Example("a", {"prompt": "p"}, level, "g", rater=k) for k, level in ((1, "2"), (2, "4"))]
    >>> [(x.id, x.answer, x.ratings) for x in regrouped(rows, Scale.parse("1-5"))]
    [('a', '3', ('2', '4'))]
    """
    rows: dict[str, list[Example]] = {}
    for example in examples:
        rows.setdefault(replace(example, rater=0).id, []).append(example)
    return tuple(_together(part, scale) if len(part) > 1 else part[0] for part in rows.values())


def _together(rows: Sequence[Example], scale: Scale) -> Example:
    ratings = tuple(row.answer for row in rows)
    answer = scale.of(criterion(rows[0])).pool(ratings, "mean") or ratings[0]
    return replace(rows[0], rater=0, answer=answer, ratings=ratings)
