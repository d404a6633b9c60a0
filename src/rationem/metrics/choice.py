"""The iteration that validation chooses, and what may be computed from the same items afterwards.

A number computed from the items that chose the iteration is too good. So the groups of items are dealt into five folds,
and what belongs to a fold comes from the iteration that the *other* folds choose: every item is used, none twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rationem.metrics.baselines import best_iteration
from rationem.metrics.bootstrap import Resampled, resamples_of
from rationem.metrics.correlation import Floats
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


@dataclass(frozen=True, slots=True)
class Rechosen:
    """A choice among iterations, made again.

    Args:
        apart: the mean score of every item under the iteration that the other folds choose, with its values in
            resamples of the groups, in each of which the choice is made again.
        shares: iteration -> share of the resamples in which all groups together choose it.
    """

    apart: Resampled
    shares: Mapping[int, float]


def rechosen(
    scores: Mapping[int, Mapping[str, float]],
    examples: Sequence[Example],
    fold_of: Mapping[str, int],
    *,
    seed: int,
    resamples: int = 1000,
) -> Rechosen | None:
    """Return the score of the chosen iteration without the optimism of a maximum; None with one fold or no scores.

    Target: the expected score, on new items, of the iteration that four fifths of the groups choose. Unbiased for it;
    for the one that all groups choose it is a little too low, as more groups choose better. (The score of the chosen
    iteration itself is the largest of several and too high.)

    Args:
        scores: iteration -> example id -> score; iterations that lack an item are not chosen.
        examples: validation items.
        fold_of: group -> fold.
        seed: of the resamples.
        resamples: their number.
    """
    ids = set.intersection(*(set(one) for one in scores.values() if one)) if any(scores.values()) else set()
    known = [x for x in examples if x.id in ids]
    ks = [k for k, one in sorted(scores.items()) if one and all(math.isfinite(one[x.id]) for x in known)]
    if not ks or len({fold_of[x.group] for x in known}) < 2:
        return None
    names, group_N = np.unique([x.group for x in known], return_inverse=True)
    sums_GK = np.zeros((len(names), len(ks)))
    np.add.at(sums_GK, group_N, np.array([[scores[k][x.id] for k in ks] for x in known]))
    items_G = np.bincount(group_N).astype(np.float64)
    fold_G = np.array([fold_of[name] for name in names])

    def apart(counts_RG: Floats) -> Floats:
        total = np.zeros(len(counts_RG))
        for fold in np.unique(fold_G):
            held = counts_RG * (fold_G == fold)
            best_R = ((counts_RG - held) @ sums_GK).argmax(axis=1)  # all iterations have the same items
            total += np.take_along_axis(held @ sums_GK, best_R[:, None], axis=1)[:, 0]
        quotient: Floats = total / (counts_RG @ items_G)
        return quotient

    counts_RG = np.concatenate(list(resamples_of(seed, len(names), resamples, len(ks))))
    chosen_R = (counts_RG @ sums_GK).argmax(axis=1)
    whole = float(apart(np.ones((1, len(names))))[0])
    shares = {k: float((chosen_R == place).mean()) for place, k in enumerate(ks)}
    return Rechosen(Resampled(whole, apart(counts_RG), len(names)), shares)
