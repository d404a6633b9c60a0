"""The iteration that validation chooses, and what may be computed from the same items afterwards.

A number computed from the items that chose the iteration is too good. So the groups of items are dealt into five folds,
and what belongs to a fold comes from the iteration that the *other* folds choose: every item is used, none twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rationem.metrics.baselines import best_iteration
from rationem.metrics.bootstrap import FEWEST_GROUPS, Resampled, resamples_of
from rationem.metrics.correlation import Floats
from rationem.metrics.criteria import mean
from rationem.seeds import seed_for
from rationem.types import Example, Prediction

Booleans = NDArray[np.bool_]
Integers = NDArray[np.int64]

#: Into how many folds the groups are dealt; fewer groups are a fold each.
FOLDS = 5


def folds(groups: Iterable[str], seed: int) -> dict[str, int]:
    """Return group -> its fold; folds differ by one group at most, and depend on the groups' names and the seed."""
    names = sorted(set(groups), key=lambda group: (seed_for(seed, "fold", group), group))
    return {group: place % FOLDS for place, group in enumerate(names)}


@dataclass(frozen=True, slots=True)
class Selected:
    """What a validation set chooses.

    Args:
        taken: the choice: the earliest iteration that no other beats.
        highest: the iteration with the highest mean score, the first of equal ones.
        within: the standard errors of the rule; 0 where there are too few groups for one.
        unbeaten: the iterations that no other beats. A later iteration can only take some away, so that no other one of
            these can be chosen later.
    """

    taken: int
    highest: int
    within: float
    unbeaten: tuple[int, ...]


def choose(
    scores: Mapping[int, Mapping[str, float]], examples: Sequence[Example], within: float = 0.0
) -> Selected | None:
    """Return the earliest iteration that no other beats; None if no iteration has scores.

    Iteration i beats j if mean_n(s_in - s_jn) > ``within`` * SE, SE the standard error of that mean of paired
    differences over independent groups. With 0 this is the highest score; with 1 the one-standard-error rule.

    Args:
        scores: iteration, from 0 without a gap -> example id -> score; an iteration without scores is never chosen.
        examples: validation items.
        within: standard errors; with fewer than ``FEWEST_GROUPS`` groups none can be estimated, and 0 is used.
    """
    return _choose(scores, examples, _usable(within, examples))


def _usable(within: float, examples: Sequence[Example]) -> float:
    return within if len({x.group for x in examples}) >= FEWEST_GROUPS else 0.0


def _choose(scores: Mapping[int, Mapping[str, float]], examples: Sequence[Example], within: float) -> Selected | None:
    ids = [x.id for x in examples]
    highest = best_iteration([_mean(scores.get(k, {}), ids) for k in range(max(scores, default=0) + 1)])
    table = _Table.of(scores, examples)
    if highest is None or table is None or not within:
        return None if highest is None else Selected(highest, highest, 0.0, (highest,))
    (beaten_K,) = table.beaten(np.ones((1, len(table.names))), within)
    unbeaten = tuple(k for k, beaten in zip(table.ks, beaten_K, strict=True) if not beaten)
    return Selected(unbeaten[0], highest, within, unbeaten)


@dataclass(frozen=True, slots=True)
class _Table:
    """The scores of the iterations that have one for every item, summed over the items of a group.

    Args:
        names: the groups.
        ks: the iterations.
        sums_GK: sums of scores, nats.
        items_G: number of items.
    """

    names: tuple[str, ...]
    ks: tuple[int, ...]
    sums_GK: Floats
    items_G: Floats

    @classmethod
    def of(cls, scores: Mapping[int, Mapping[str, float]], examples: Sequence[Example]) -> _Table | None:
        """Return the table; None if no iteration has a finite score for every item."""
        ids = set.intersection(*(set(one) for one in scores.values() if one)) if any(scores.values()) else set()
        known = [x for x in examples if x.id in ids]
        ks = [k for k, one in sorted(scores.items()) if one and all(math.isfinite(one[x.id]) for x in known)]
        if not ks or not known:
            return None
        names, group_N = np.unique([x.group for x in known], return_inverse=True)
        sums_GK = np.zeros((len(names), len(ks)))
        np.add.at(sums_GK, group_N, np.array([[scores[k][x.id] for k in ks] for x in known]))
        return cls(tuple(map(str, names)), tuple(ks), sums_GK, np.bincount(group_N).astype(np.float64))

    def beaten(self, counts_RG: Floats, within: float) -> Booleans:
        """Return whether another iteration beats this one, shape (R, K), where every group counts so many times."""
        apart_GKK = self.sums_GK[:, :, None] - self.sums_GK[:, None, :]
        shape = (len(counts_RG), len(self.ks), len(self.ks))

        def total(values_GKK: Floats) -> Floats:
            summed: Floats = (counts_RG @ values_GKK.reshape(len(self.names), -1)).reshape(shape)
            return summed

        items_R, groups_R = counts_RG @ self.items_G, counts_RG.sum(axis=1)
        mean_RKK = total(apart_GKK) / items_R[:, None, None]
        squares_RKK = (  # of the sum of a group minus what the mean over all items expects of it
            total(apart_GKK**2)
            - 2 * mean_RKK * total(apart_GKK * self.items_G[:, None, None])
            + mean_RKK**2 * (counts_RG @ self.items_G**2)[:, None, None]
        )
        factor_R = np.sqrt(groups_R / np.maximum(groups_R - 1, 1)) / items_R
        error_RKK = np.sqrt(np.maximum(squares_RKK, 0)) * factor_R[:, None, None]
        beaten: Booleans = (mean_RKK > within * error_RKK).any(axis=1)
        return beaten

    def chosen(self, counts_RG: Floats, within: float) -> Integers:
        """Return the place of the choice of every resample, shape (R,)."""
        chosen: Integers = (counts_RG @ self.sums_GK).argmax(axis=1)  # all iterations have the same items
        if within:
            chosen = (~self.beaten(counts_RG, within)).argmax(axis=1)
        return chosen


def chosen_without(
    scores: Mapping[int, Mapping[str, float]],
    examples: Sequence[Example],
    fold_of: Mapping[str, int],
    within: float = 0.0,
) -> dict[int, int]:
    """Return fold -> the iteration that the items of the other folds choose; see :func:`choose`.

    Args:
        scores: iteration, from 0 without a gap -> example id -> score; an iteration without scores is never chosen.
        examples: validation items.
        fold_of: group -> fold.
        within: standard errors.

    Returns:
        Empty if there is one fold only, or no iteration has scores.
    """
    found = {}
    within = _usable(within, examples)  # in every fold as in all together
    for fold in sorted(set(fold_of.values())):
        others = [x for x in examples if fold_of[x.group] != fold]
        chosen = _choose(scores, others, within) if others else None
        if chosen is not None:
            found[fold] = chosen.taken
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
    within: float = 0.0,
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
        within: standard errors, see :func:`choose`; the rule is applied in every resample.
        resamples: their number.
    """
    table = _Table.of(scores, examples)
    if table is None or len({fold_of[name] for name in table.names}) < 2:
        return None
    fold_G = np.array([fold_of[name] for name in table.names])
    within = _usable(within, examples)

    def apart(counts_RG: Floats) -> Floats:
        total = np.zeros(len(counts_RG))
        for fold in np.unique(fold_G):
            held = counts_RG * (fold_G == fold)
            best_R = table.chosen(counts_RG - held, within)
            total += np.take_along_axis(held @ table.sums_GK, best_R[:, None], axis=1)[:, 0]
        quotient: Floats = total / (counts_RG @ table.items_G)
        return quotient

    counts_RG = np.concatenate(list(resamples_of(seed, len(table.names), resamples, len(table.ks))))
    chosen_R = table.chosen(counts_RG, within)
    whole = float(apart(np.ones((1, len(table.names))))[0])
    shares = {k: float((chosen_R == place).mean()) for place, k in enumerate(table.ks)}
    return Rechosen(Resampled(whole, apart(counts_RG), len(table.names)), shares)
