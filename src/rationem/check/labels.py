"""The labels: how often each level occurs, the baselines without inputs, and the sets that a fit would make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rationem import metrics
from rationem.check.findings import Finding, error, note, warning
from rationem.report.plain import counted
from rationem.run.prepare import labelled
from rationem.tasks.scale import Scale
from rationem.types import Example, Splits

_CONSTANT = 0.9
#: Sets below these sizes: nothing to learn, a coin toss for the iteration, a test that tells little.
_SMALL = {"train": 50, "validation": 20, "test": 100}
_FEW_GROUPS = metrics.FEWEST_GROUPS


def pooled(examples: Sequence[Example], scale: Scale) -> dict[str, int]:
    """Return the number of items with each level as the label."""
    counts = Counter(x.answer for x in examples)
    return {level: counts[level] for level in scale.levels}


def ratings(examples: Sequence[Example], scale: Scale) -> dict[str, int]:
    """Return the number of single ratings of each level."""
    counts = Counter(rating for x in examples for rating in (x.ratings or (x.answer,)))
    return {level: counts[level] for level in scale.levels}


def baselines(train: Sequence[Example], test: Sequence[Example], scale: Scale) -> dict[str, Any]:
    """Return the scores on ``test`` without reading the inputs, as in a run's report.

    Returns:
        ``constant`` (a :class:`rationem.metrics.Constant`: the best single level for these very labels),
        ``marginal_log_likelihood`` of the shares among the ratings of ``train`` per single rating, and
        ``marginal_log_likelihood_pooled``, of the shares among its labels per label, in nats.
    """
    bare = [[_without_ratings(x) for x in part] for part in (train, test)]
    return {
        "constant": asdict(metrics.best_constant(test, scale)),
        "marginal_log_likelihood": metrics.training_marginal(train, test, scale).log_likelihood,
        "marginal_log_likelihood_pooled": metrics.training_marginal(bare[0], bare[1], scale).log_likelihood,
    }


def sets(splits: Splits, scale: Scale, *, orders: int = 1) -> dict[str, Any]:
    """Return each set's rows, pairs (None without comparisons; a pair has a row per order), groups and labels (None
    if criteria have their own scales).
    """
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        name: {
            "rows": len(part),
            "pairs": len(part) // orders if orders > 1 else None,
            "groups": len({x.group for x in part}),
            "labels": None if scale.parts else shares(part, scale),
        }
        for name, part in parts.items()
    }


def shares(examples: Sequence[Example], scale: Scale) -> dict[str, float] | None:
    """Return the share of each level among the labels; None without examples."""
    if not examples:
        return None
    counts = Counter(x.answer for x in examples)
    return {level: counts[level] / len(examples) for level in scale.levels}


def constant(examples: Sequence[Example], scale: Scale) -> list[Finding]:
    """Find labels of one criterion that hardly vary, and levels that never occur."""
    single, examples = ratings(examples, scale), labelled(tuple(examples), scale)
    counts = pooled(examples, scale)
    level, most = max(counts.items(), key=lambda item: item[1])
    if most == len(examples):
        return [error("one_label", f"Every item has the label {level!r}: there is nothing to learn.", most)]
    found = []
    if most >= _CONSTANT * len(examples):
        text = (
            f"{most / len(examples):.0%} of the items have the label {level!r}: a judge that always gives it is "
            "right as often."
        )
        found.append(warning("near_constant_label", text, most))
    if unused := [level for level in scale.levels if not single[level]]:
        text = (
            f"No rating uses {', '.join(map(repr, unused))}, so a judge cannot learn when to give it. Is the "
            "scale correct?"
        )
        found.append(note("unused_levels", text, len(unused)))
    return found


def tiny(sizes: Mapping[str, int], unit: tuple[str, str] = ("row", "rows")) -> list[Finding]:
    """Find sets that are too small for their purpose; ``unit`` is the singular and plural of the counted thing."""
    why = {
        "train": "this is little to learn from",
        "validation": "the choice of the iteration is largely chance",
        "test": "an accuracy of one half has a standard error of {:.0%}",
    }
    return [
        warning(
            "tiny_set",
            f"The {name} set has {counted(sizes[name], *unit)}: {why[name].format(0.5 / max(sizes[name], 1) ** 0.5)}.",
            sizes[name],
        )
        for name, least in _SMALL.items()
        if 0 < sizes[name] < least
    ]


def few_groups(groups: Mapping[str, int]) -> list[Finding]:
    """Find validation and test sets with few groups, whose items are not independent evidence."""
    return [
        warning(
            "few_groups",
            f"The {name} set has {counted(groups[name], 'group', 'groups')} (by default: different prompts): its "
            "numbers depend on very few and have no 95 % intervals.",
            groups[name],
        )
        for name in ("validation", "test")
        if 0 < groups[name] < _FEW_GROUPS
    ]


def overlapping(count: int, test: int) -> list[Finding]:
    """Find test items whose group is in the training set."""
    if not count:
        return []
    belong = "belongs" if count == 1 else "belong"
    text = (
        f"{count} of {counted(test, 'test item', 'test items')} {belong} to a group (by default: the items with the "
        "same prompt) that also has training items: the test numbers are too optimistic."
    )
    return [warning("group_overlap", text, count)]


def _without_ratings(x: Example) -> Example:
    return Example(x.item, x.fields, x.answer, x.group, source=x.source, criterion=x.criterion)
