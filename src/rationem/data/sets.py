"""Examples -> the sets of a run: one example per rating or per item, split without dividing a group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Literal

from rationem.errors import ConfigError, DataError
from rationem.seeds import seed_for
from rationem.tasks.scale import POOLS
from rationem.types import Example

Examples = tuple[Example, ...]


def expand_raters(examples: Sequence[Example], how: Literal["each", "mean", "median", "majority"]) -> Examples:
    """Turn items with several ratings into one example per rating ("each"), or leave their one label.

    Rounding the mean of 2 raters and of 3 raters gives different label marginals; one example per rating does
    not. The k-th rating's example has ``rater`` k, from 1, and the same item and group; an item with one rating
    stays as it is. Which rule made the one label is the choice of :func:`rationem.data.load`.

    Raises:
        ConfigError: ``how`` is none of these.
    """
    if how not in ("each", *POOLS):
        raise ConfigError(f"Several raters can be used as 'each', 'mean', 'median' or 'majority', not {how!r}.")
    if how != "each":
        return tuple(examples)
    return tuple(
        replace(example, rater=number, answer=rating, ratings=()) if example.ratings else example
        for example in examples
        for number, rating in enumerate(example.ratings or (example.answer,), 1)
    )


def weighed(examples: Sequence[Example]) -> Examples:
    """Return a training set with its weights divided by their mean, so that only relative weights matter."""
    mean = fmean(x.weight for x in examples) if examples else 1.0
    return tuple(x if x.weight == mean == 1 else replace(x, weight=x.weight / mean) for x in examples)


def unweighed(examples: Sequence[Example]) -> Examples:
    """Return the examples with weight 1, because evaluation ignores weights."""
    return tuple(x if x.weight == 1 else replace(x, weight=1.0) for x in examples)


def distinct_ids(train: Sequence[Example], test: Sequence[Example]) -> Examples:
    """Return ``test`` with ``origin`` "test" in every example whose id ``train`` has too: keys are unique in a run."""
    taken = {example.id for example in train}
    return tuple(replace(example, origin="test") if example.id in taken else example for example in test)


def split(
    examples: Sequence[Example], *, seed: int, validation: float = 0.1, test: float = 0.1
) -> tuple[Examples, Examples, Examples]:
    """Split into train, validation and test so that every group stays in one set.

    Groups are sorted by ``seed_for(seed, "split", group)``, independent of the file's order. Test takes groups from the
    front, then validation, each until its share of the *examples* is closest to the requested one. Every set with a
    share above 0 gets at least one group, and so does train. A share of 0 gives an empty set.

    Args:
        examples: in any order, which each set keeps.
        seed: the run's seed.
        validation: share of the examples, in [0, 1).
        test: share of the examples, in [0, 1); the two together below 1.

    Raises:
        ConfigError: the shares are out of range.
        DataError: there are fewer groups than sets to fill.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ConfigError(f"The shares of validation ({validation}) and test ({test}) must be >= 0 and sum below 1.")
    sizes = Counter(example.group for example in examples)
    wanted = 1 + (validation > 0) + (test > 0)
    if len(sizes) < wanted:
        raise DataError(
            f"{len(sizes)} group(s) cannot fill {wanted} sets. A group (by default: one prompt) stays in "
            "one set. Use a column with more different values, such as the response, as the group "
            "(`--group-col NAME`), or request fewer sets."
        )
    order = sorted(sizes, key=lambda group: (seed_for(seed, "split", group), group))
    for_test = _take(order, sizes, test * len(examples), spare=wanted - 1)
    order = order[len(for_test) :]
    for_validation = _take(order, sizes, validation * len(examples), spare=1)
    place = dict.fromkeys(for_test, "test") | dict.fromkeys(for_validation, "validation")
    train, second, third = (
        tuple(example for example in examples if place.get(example.group, "train") == name)
        for name in ("train", "validation", "test")
    )
    return train, second, third


def overlap(train: Sequence[Example], test: Sequence[Example]) -> int:
    """Return the number of test examples whose group also occurs in the training set."""
    groups = {example.group for example in train}
    return sum(example.group in groups for example in test)


def _take(order: Sequence[str], sizes: Counter[str], target: float, spare: int) -> list[str]:
    """Return the first groups that come closest to ``target`` examples, leaving at least ``spare`` groups."""
    taken: list[str] = []
    count = 0
    for group in order[: len(order) - spare] if target > 0 else ():
        if taken and abs(count + sizes[group] - target) >= abs(count - target):
            break
        taken.append(group)
        count += sizes[group]
    return taken
