"""The iteration that validation chooses, and what may be computed from the same items afterwards.

A number computed from the items that chose the iteration is too good. So the groups of items are dealt into five folds,
and what belongs to a fold comes from the iteration that the *other* folds choose: every item is used, none twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rationem.metrics.baselines import best_iteration
from rationem.metrics.criteria import mean
from rationem.seeds import seed_for
from rationem.types import Example, Prediction

#: Into how many folds the groups are dealt; fewer groups are a fold each.
FOLDS = 5


def folds(groups: Iterable[str], seed: int) -> dict[str, int]:
    """Return group -> its fold; folds differ by one group at most, and depend on the groups' names and the seed."""
    names = sorted(set(groups), key=lambda group: (seed_for(seed, "fold", group), group))
    return {group: place % FOLDS for place, group in enumerate(names)}


def chosen_without(
    scores: Mapping[int, Mapping[str, float]], examples: Sequence[Example], fold_of: Mapping[str, int]
) -> dict[int, int]:
    """Return fold -> the iteration with the best mean score of the items in other folds, the first of equal ones.

    Args:
        scores: iteration, from 0 without a gap -> example id -> score; an iteration without scores is never chosen.
        examples: validation items.
        fold_of: group -> fold.

    Returns:
        Empty if there is one fold only, or no iteration has scores.
    """
    found = {}
    for fold in sorted(set(fold_of.values())):
        others = [x.id for x in examples if fold_of[x.group] != fold]
        best = best_iteration([_mean(scores.get(k, {}), others) for k in range(max(scores, default=0) + 1)])
        if others and best is not None:
            found[fold] = best
    return found


def crossfitted(
    predictions: Mapping[int, Sequence[Prediction]],
    examples: Sequence[Example],
    fold_of: Mapping[str, int],
    chosen: Mapping[int, int],
    best: int,
) -> list[Prediction]:
    """Return one prediction per example, of the iteration that the other folds chose.

    Args:
        predictions: iteration -> one prediction per example.
        examples: validation items.
        fold_of: group -> fold.
        chosen: see :func:`chosen_without`.
        best: the iteration for folds without one.
    """
    by_id = {k: {one.example_id: one for one in several} for k, several in predictions.items()}
    return [by_id[chosen.get(fold_of[x.group], best)][x.id] for x in examples]


def _mean(scores: Mapping[str, float], ids: Sequence[str]) -> float | None:
    found = mean([scores[name] for name in ids if name in scores])
    return found if found is not None and math.isfinite(found) else None
