"""A judge minus the human ceiling, on the same targets and the same resamples of the groups.

Judge and left-out rater answer the same (item, rater) pairs (:mod:`.raters`), so most of what makes pairs easy or hard
cancels in the difference. Its interval is often far narrower than those of its two terms; whether *they* overlap says
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rationem.metrics.bootstrap import GroupedCounts, Resampled, of_tables, resamples_of, table_of, tables_by_criterion
from rationem.metrics.correlation import Floats
from rationem.metrics.levels import ranks
from rationem.metrics.raters import LeftOut, left_out
from rationem.metrics.scores import group_numbers, matched
from rationem.metrics.table import titles
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction


def minus_human(
    predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale, *, seed: int, resamples: int = 1000
) -> dict[str, Resampled]:
    """Return name -> the judge's number minus that of one rater, with its values in resamples of the groups.

    Equal seeds draw the same groups for any predictions. Numbers that either lacks are left out; without an item with
    two raters there are none.

    Args:
        predictions: one per example.
        examples: their groups are resampled.
        scale: the levels.
        seed: see :func:`.bootstrap.resampled`.
        resamples: the number of resamples.

    Raises:
        ValueError: predictions that are not one per example.
    """
    ordered = matched(predictions, examples)
    pairs = [pair for pair in left_out(examples, scale) if pair.target is not None]
    if not pairs:
        return {}
    group_N = group_numbers(examples)
    group_P, groups = group_N[[pair.item for pair in pairs]], int(group_N.max()) + 1
    judge = _against([ordered[pair.item].predicted for pair in pairs], pairs, group_P, groups, scale)
    human = _against([pair.rating for pair in pairs], pairs, group_P, groups, scale)

    def difference(counts_RG: Floats) -> dict[str, Floats]:
        with np.errstate(invalid="ignore"):  # a resample without any pair has no number
            one, other = (of_tables(counts_RG, *tables, scale) for tables in (judge, human))
            return {name: one[name] - other[name] for name in one}

    whole = difference(np.ones((1, groups)))
    width = len(scale.levels) * (len(scale.levels) + 1)
    parts = [difference(counts_RG) for counts_RG in resamples_of(seed, groups, resamples, width)]
    return {
        name: Resampled(float(value[0]), np.concatenate([part[name] for part in parts]), groups)
        for name, value in whole.items()
        if name in titles("people") and np.isfinite(value[0])
    }


def _against(
    said_P: Sequence[str | None], pairs: Sequence[LeftOut], group_P: NDArray[np.int64], groups: int, scale: Scale
) -> tuple[GroupedCounts, tuple[GroupedCounts, ...]]:
    """Return the tables of what one side said of each pair, of all pairs and by criterion."""
    cell_P = ranks([pair.target for pair in pairs], scale) * (len(scale.levels) + 1) + ranks(said_P, scale)
    by_criterion = tables_by_criterion([pair.criterion for pair in pairs], cell_P, group_P, groups)
    return table_of(cell_P, group_P, groups), by_criterion
