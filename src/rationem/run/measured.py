"""The items that a run measures: so few for validation that most drafts of an iteration are for learning."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from rationem.config import FitConfig
from rationem.report.reading import LEFT_OUT, LEFT_OUT_OF_TEST
from rationem.run.prepare import split_seed
from rationem.seeds import seed_for
from rationem.types import Example, Splits

#: With ``--measure lean`` the drafts of an iteration that measure are at most this share of all its drafts ...
SHARE = 0.25
#: ... or belong to this many validation items, if that is more.
FEWEST = 64


def measured(splits: Splits, config: FitConfig) -> Splits:
    """Return the sets with the validation and test items that are measured; the others are used for nothing.

    Every iteration is measured on the same items with the same number of drafts. Items are chosen by the
    seed of the split, which the runs of a comparison share, each with all its orders and criteria.

    Args:
        splits: the sets of the data.
        config: the settings; ``validation_items`` decides, else ``measure``; of the test set ``test_items``.
    """
    wanted = config.validation_items or _wanted(len(splits.train), config)
    validation = _chosen(splits.validation, wanted, split_seed(config))
    test = _chosen(splits.test, config.test_items, split_seed(config))
    left = {
        LEFT_OUT: len(splits.validation) - len(validation),
        LEFT_OUT_OF_TEST: len(splits.test) - len(test),
    }
    notes = {name: count for name, count in left.items() if count}
    return replace(splits, validation=validation, test=test, notes={**splits.notes, **notes}) if notes else splits


def _wanted(train: int, config: FitConfig) -> int | None:
    """Return the number of examples that the budget allows; None for all.

    An E-step makes one draft per training example or more, so the budget is kept whatever the scheme.
    """
    asked = config.measuring
    if asked.everything:
        return None
    drafts = SHARE / (1 - SHARE) * train - asked.wrong_hints
    found = drafts / (asked.draws + asked.evidence_draws)
    if asked.evidence_items is not None:  # hinted drafts on some: more where all would be more than those
        found = max(found, (drafts - asked.evidence_items * asked.evidence_draws) / asked.draws)
    return max(FEWEST, int(found))


def _chosen(examples: tuple[Example, ...], count: int | None, seed: int) -> tuple[Example, ...]:
    """Return whole items, in their order, until there are ``count`` examples; all of them for None."""
    if count is None or count >= len(examples):
        return examples
    ranked = sorted(examples, key=lambda x: (seed_for(seed, "measured", x.item), x.item))
    kept: set[str] = set()
    for _, item in groupby(ranked, key=lambda x: x.item):
        if len(kept) >= count:
            break
        kept |= {x.id for x in item}
    return tuple(x for x in examples if x.id in kept)
