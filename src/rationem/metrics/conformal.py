"""Conformal sets: levels that hold a new rating with a stated probability, however good the judge's probabilities are.

The score of a rating is 1 - p_T(rating | x). A set holds the levels whose score is at most the threshold t, and the
most probable one. The unit is the group: of G groups, each has weight 1 / (G + 1), shared evenly by its items, and that
of an item by its ratings; the last 1 / (G + 1) lies at infinity. t is the weighted quantile of the scores at the
coverage c. Then one rating of one item of a new group is in the set with probability at least c, if groups are
exchangeable. t is finite from G = c / (1 - c) groups on.

The theorem needs scores of items that neither chose the iteration nor fitted the temperature. So each fold is scored by
the iteration and the temperature of the *other* folds (:mod:`.choice`). The judge itself has those of all folds, so its
coverage is not covered by the theorem; simulated, it is as stated (docs/decisions/043-conformal-sets.md).

Source: Lee, Barber, Willett 2023, "Distribution-free inference with hierarchical data", arXiv 2306.06342.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rationem.metrics.bootstrap import FEWEST_GROUPS, Interval, interval, resampled_mean
from rationem.metrics.calibration import asked, fit_temperature, tempered
from rationem.metrics.correlation import Floats
from rationem.metrics.per_item import single_ratings, stacked
from rationem.tasks.kinds import Kind
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction

#: Thresholds are kept at coverages 1 / 200, 2 / 200, ...; others are rounded up.
RESOLUTION = 200
_DIGITS = 1e6
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of a judge.

    Args:
        groups: G.
        at: the threshold at coverage (n + 1) / 200, as far as it is finite.
    """

    groups: int
    at: tuple[float, ...]


def needed(coverage: float) -> int:
    """Return the fewest groups for sets of this coverage.

    >>> needed(0.9), needed(0.95), needed(0.5)
    (10, 19, 10)
    """
    return max(FEWEST_GROUPS, math.ceil(coverage / (1 - coverage) - 1e-9))


def threshold(thresholds: Sequence[float], coverage: float) -> float:
    """Return the threshold of a coverage, rounded up to a multiple of 1 / 200.

    Raises:
        IndexError: it is not finite; see :func:`needed`.
    """
    return thresholds[math.ceil(coverage * RESOLUTION - 1e-9) - 1]


def quantiles(scores: Mapping[str, Sequence[Sequence[float]]]) -> Thresholds:
    """Return the thresholds from group -> scores of the ratings of each of its items.

    >>> quantiles({"a": [[0.1]], "b": [[0.2, 0.4]], "c": [[0.3]]}).at[99]
    0.3
    """
    weighted = sorted(
        (score, 1 / (len(items) * len(ratings))) for items in scores.values() for ratings in items for score in ratings
    )
    reached = np.cumsum([weight for _, weight in weighted]) / (len(scores) + 1)
    levels = np.arange(1, RESOLUTION + 1) / RESOLUTION
    places = np.searchsorted(reached, levels - 1e-9)
    return Thresholds(
        len(scores),
        tuple(math.ceil(weighted[at][0] * _DIGITS - 1e-6) / _DIGITS for at in places.tolist() if at < len(weighted)),
    )


def conformal(
    predictions: Mapping[int, Sequence[Prediction]],
    examples: Sequence[Example],
    scale: Scale,
    fold_of: Mapping[str, int],
    chosen: Mapping[int, int],
    best: int,
) -> Thresholds | None:
    """Return the thresholds from validation; None with one fold.

    Items without a verdict or too long are left out, as a judge gives them no set.

    Args:
        predictions: iteration -> one prediction per example.
        examples: validation items.
        scale: the levels.
        fold_of: group -> fold.
        chosen: fold -> the iteration that the other folds choose.
        best: the iteration for folds without one.
    """
    scores: dict[str, list[list[float]]] = {}
    for fold in sorted(set(fold_of.values())):
        said, of = asked(predictions[chosen.get(fold, best)], examples, scale)
        ratings = [[scale.rank(rating) for rating in single_ratings(x)] for x in of]
        others = [n for n, x in enumerate(of) if fold_of[x.group] != fold]
        if not others:
            return None
        temperature = fit_temperature(stacked([said[n] for n in others]), [ratings[n] for n in others])
        for n, x in enumerate(of):
            if fold_of[x.group] == fold and said[n].predicted is not None:
                probabilities_L = tempered(said[n].probabilities, temperature)
                scores.setdefault(x.group, []).append([float(1 - probabilities_L[rank]) for rank in ratings[n]])
    return quantiles(scores) if scores else None


def level_set(
    probabilities_L: Floats, threshold: float, levels: Sequence[str], offered: Sequence[bool] | None = None
) -> tuple[str, ...]:
    """Return the levels whose probability is at least 1 - threshold, and the most probable one, in their order.

    >>> level_set(np.array([0.1, 0.6, 0.3]), 0.75, "abc")
    ('b', 'c')
    """
    inside = 1 - probabilities_L <= threshold + 1e-12
    inside[int(probabilities_L.argmax())] = True
    return tuple(level for n, level in enumerate(levels) if inside[n] and (offered is None or offered[n]))


@dataclass(frozen=True, slots=True)
class Covered:
    """What conformal sets do on items that neither made the judge nor their threshold.

    Args:
        coverage: probability that one rating of one item of a group is in the item's set, the mean over groups.
        interval: its 95 % interval over groups; None with too few.
        size: mean number of levels in a set, over the same groups.
        items: items with a set.
        groups: their groups.
        without: items without a verdict or too long, which get no set.
    """

    coverage: float
    interval: Interval | None
    size: float
    items: int
    groups: int
    without: int


def covered(
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    kind: Kind,
    temperature: float,
    threshold: float,
    seed: int,
) -> Covered | None:
    """Return the coverage of single ratings by conformal sets, and their size; None if no item gets a set.

    Target and unit are those of the sets: a group counts once, within it each item, within the item each rating.
    Unbiased over new groups for this judge and threshold.

    Args:
        predictions: of the shipped iteration, one per example.
        examples: items that neither chose nor fitted anything.
        kind: the kind of the task.
        temperature: T of the judge.
        threshold: see :func:`threshold`.
        seed: of the resamples of the groups.
    """
    said, of = asked(predictions, examples, kind.scale)
    inside: dict[str, list[tuple[float, int]]] = {}
    for one, x in zip(said, of, strict=True):
        if one.predicted is not None:
            levels = kind.scale.levels
            found = level_set(tempered(one.probabilities, temperature), threshold, levels, kind.mask(x.fields))
            ratings = single_ratings(x)
            inside.setdefault(x.group, []).append((sum(r in found for r in ratings) / len(ratings), len(found)))
    if not inside:
        return None
    held, size = ({g: float(np.mean([one[n] for one in several])) for g, several in inside.items()} for n in (0, 1))
    drawn = resampled_mean(held, {group: group for group in held}, seed=seed, resamples=_RESAMPLES)
    items, given = sum(map(len, inside.values())), sum(not x.turn for x in examples)
    return Covered(
        float(np.mean(list(held.values()))),
        interval(drawn) if drawn else None,
        float(np.mean(list(size.values()))),
        items,
        len(held),
        given - items,
    )
