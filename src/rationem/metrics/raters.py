"""Agreement between people: the ceiling, the model on the same targets, and whether there is anything to learn.

The target of a left-out rater is the pooled label of the others (:meth:`.Scale.pool` by the mean); if they are tied
and a tie has no label, there is no target and the pair is counted separately. The mean of k raters varies less than
that of k - 1, so scores against the two cannot be compared: model and human are scored on the same targets, by the same
function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rationem.metrics.bootstrap import FEWEST_GROUPS
from rationem.metrics.criteria import criterion, mean, parts
from rationem.metrics.levels import Agreement, agreement
from rationem.metrics.per_item import single_ratings
from rationem.metrics.scores import matched
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction

#: Krippendorff's alpha below which raters agree too little to learn from.
LITTLE_AGREEMENT = 0.4

#: A total-variation distance made by rounding that is worth a warning.
_SHIFT = 0.05


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One rating of item number ``item``, and the others' level (None: they are split) and unrounded mean."""

    item: int
    criterion: str
    rating: str
    target: str | None
    mean: float | None


def human_ceiling(examples: Sequence[Example], scale: Scale) -> Agreement | None:
    """Return how well one human agrees with the others, over all (item, rater) pairs; see :class:`Agreement` for
    criteria.

    ``count`` is the number of pairs, ``untargeted`` of those left out because the others are tied. None if no item has
    two raters, or no pair has a target.
    """
    pairs = left_out(examples, scale)
    return _against_others([pair.rating for pair in pairs], pairs, scale)


def beside_humans(predictions: Iterable[Prediction], examples: Sequence[Example], scale: Scale) -> Agreement | None:
    """Return how well the predictions agree with the targets of :func:`human_ceiling`, once per left-out rater.

    None if no item has two raters, or no pair has a target.
    """
    ordered = matched(predictions, examples)
    pairs = left_out(examples, scale)
    return _against_others([ordered[pair.item].predicted for pair in pairs], pairs, scale)


def alpha(examples: Sequence[Example], scale: Scale) -> float | None:
    """Return Krippendorff's alpha of the single ratings: ordinal over the ranks, nominal without an order.

    1 is perfect agreement, 0 is chance. With several criteria, the mean of :func:`alphas`. None if no item has two
    raters, or all ratings are the same.
    """
    return mean(alphas(examples, scale).values())


def alphas(examples: Sequence[Example], scale: Scale) -> dict[str, float | None]:
    """Return criterion -> Krippendorff's alpha of its own ratings, because chance agreement differs between
    criteria."""
    return {name: _alpha(part, scale.of(name)) for name, part in parts(examples).items()}


def _alpha(examples: Sequence[Example], scale: Scale) -> float | None:
    from krippendorff import alpha as krippendorff_alpha

    rated = [Counter(example.ratings) for example in examples if len(example.ratings) > 1]
    used = [level for level in scale.levels if any(counts[level] for counts in rated)]
    if len(used) < 2:
        return None
    counts_NL = np.array([[counts[level] for level in used] for counts in rated])
    return float(
        krippendorff_alpha(value_counts=counts_NL, level_of_measurement="ordinal" if scale.ordered else "nominal")
    )


def rated_twice(examples: Iterable[Example]) -> int:
    """Return the number of groups of items with several ratings: with few, agreement between people is chance."""
    return len({x.group for x in examples if len(single_ratings(x)) > 1})


def rater_warnings(
    train: Sequence[Example], test: Sequence[Example], scale: Scale, *, each: bool = False, parted: bool = False
) -> list[str]:
    """Return a warning if raters agree too little to learn from, and one if rounding shifted the labels.

    Of several criteria, the one with the least agreement decides and is named. Fewer than ``FEWEST_GROUPS`` groups with
    several ratings say nothing about agreement.

    Args:
        train: training items as rated (:func:`regrouped` if there is one row per rating).
        test: the items that are scored.
        scale: the levels.
        each: whether training already uses single ratings, so that this need not be advised.
        parted: whether some training items lost ratings to a limit, so that their labels are not those given.
    """
    return [*_disagreement(train, test, scale), *([] if parted else _shift(train, test, scale, each))]


def _disagreement(train: Sequence[Example], test: Sequence[Example], scale: Scale) -> list[str]:
    rated = (*train, *test)
    of_each = parts(rated)
    enough = [name for name, part in of_each.items() if rated_twice(part) >= FEWEST_GROUPS]
    each = {name: value for name, value in alphas(rated, scale).items() if value is not None and name in enough}
    if not each or min(each.values()) >= LITTLE_AGREEMENT:
        return []
    name, found = min(each.items(), key=lambda one: one[1])
    where = f" on {name!r}" if len(of_each) > 1 else ""
    where += f", where they agree least of {len(each)} criteria" if len(each) > 1 else ""
    how = "do not agree beyond chance" if found < 0 else "show little agreement"
    return [
        f"The raters {how}{where}: Krippendorff's alpha is {found:.2f} (1 is agreement, 0 is chance). A judge can "
        "hardly learn what people disagree on. Describe the levels more clearly, train the raters or use more of "
        "them per item, and compare the model with the human ceiling."
    ]


def _shift(train: Sequence[Example], test: Sequence[Example], scale: Scale, each: bool) -> list[str]:
    if not train or not test:
        return []
    raters = [sum(len(single_ratings(x)) for x in examples) / len(examples) for examples in (train, test)]
    labels = _variation(_labels(train, scale), _labels(test, scale))
    single = _variation(*([rating for x in examples for rating in single_ratings(x)] for examples in (train, test)))
    if raters[0] == raters[1] or labels - single <= _SHIFT:
        return []
    return [
        f"Pooling the raters shifts the labels: training items have {raters[0]:.3g} ratings on average and test items "
        f"{raters[1]:.3g}, so the pooled labels differ by {labels:.2f} between the two sets (total variation), the "
        f"single ratings by only {single:.2f}. {_advice(train, each)}"
    ]


def _labels(examples: Sequence[Example], scale: Scale) -> list[str]:
    """Return the pooled labels; only those of items that have one, as they are scored."""
    own = {name: scale.of(name) for name in map(criterion, examples)}
    return [
        x.answer
        for x in examples
        if (of := own[criterion(x)]).always_pools or of.majority(single_ratings(x)) is not None
    ]


def _advice(train: Sequence[Example], each: bool) -> str:
    compare = "ompare log-likelihoods, which are means over single ratings; accuracy is against the pooled labels."
    if each or not any(len(x.ratings) > 1 for x in train):
        return f"C{compare}"
    return f"Train on single ratings (--raters each), and c{compare}"


def _variation(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the total-variation distance of two samples: half the sum of |share - share| over levels, or 0."""
    if not one or not other:
        return 0.0
    first, second = Counter(one), Counter(other)
    return sum(abs(first[level] / len(one) - second[level] / len(other)) for level in {*first, *second}) / 2


def left_out(examples: Sequence[Example], scale: Scale) -> list[LeftOut]:
    """Return every (item, rater) pair with its target, over the items with two raters or more."""
    said = [
        (at, criterion(example), rating, example.ratings[:rater] + example.ratings[rater + 1 :])
        for at, example in enumerate(examples)
        if len(example.ratings) > 1
        for rater, rating in enumerate(example.ratings)
    ]
    different = dict.fromkeys((name, others) for _, name, _, others in said)
    pooled = {(name, others): scale.of(name).pool(others, "mean") for name, others in different}
    means = {one: scale.mean_value(one[1]) if scale.ordered else None for one in different}
    return [LeftOut(at, name, rating, pooled[name, others], means[name, others]) for at, name, rating, others in said]


def _against_others(said: Sequence[str | None], pairs: Sequence[LeftOut], scale: Scale) -> Agreement | None:
    targeted = [(verdict, pair) for verdict, pair in zip(said, pairs, strict=True) if pair.target]
    if not targeted:
        return None
    means = [pair.mean for _, pair in targeted if pair.mean is not None]
    met = agreement(
        [verdict for verdict, _ in targeted],
        [pair.target for _, pair in targeted if pair.target],
        scale,
        unrounded=means if scale.ordered else None,
        criteria=[pair.criterion for _, pair in targeted],
    )
    return replace(met, untargeted=len(pairs) - len(targeted))
