"""Reasons not to use a judge yet: sentences for the report, and for the judge card beside the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rationem.metrics.calibration import HIGHEST, LOWEST
from rationem.report.words import kind_of, leading, words

#: The share of drafts without a level from which a judge gets a warning.
MANY_UNPARSED = 0.2

#: With fewer groups of items than this, no interval is given and no number is reliable.
FEW_GROUPS = 30


def doubts(summary: Mapping[str, Any]) -> list[str]:
    """Return one sentence per reason not to use this judge yet, the most serious first; none for an unfinished run.

    Args:
        summary: the result of :func:`rationem.report.summarize`.
    """
    split, before, after = compared(summary)
    if not summary["finished"] or not before or not after:
        return []
    return [
        *_quick(summary),
        *_few(summary, split, after),
        *_untrained(summary),
        *_unparsed(summary, after),
        *_constant(summary, split, after),
        *_unclear(summary, split, before, after),
        *_marginal(summary, split, after),
        *_temperature(summary),
    ]


def compared(summary: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """Return the split that measures the judge, and its scores before training and of the best iteration."""
    split = "test" if summary["examples"]["test"] else "validation"
    by_iteration = {entry["iteration"]: entry for entry in summary["iterations"]}
    return split, by_iteration.get(0, {}).get(split), by_iteration.get(summary["best_iteration"], {}).get(split)


def shown(summary: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """Return the split to show, with the scores before training and of the best iteration, or None.

    It is the split that measures the judge; for a run without a test so far, the validation set.
    """
    split, before, after = compared(summary)
    if after or split == "validation":
        return split, before, after
    entries = {entry["iteration"]: entry.get("validation") for entry in summary["iterations"]}
    return "validation", entries.get(0), entries.get(summary["best_iteration"])


def start_name(summary: Mapping[str, Any]) -> str:
    """Return the name of iteration 0: the base model, or the weights that a refit starts from."""
    return "start of the refit" if summary["refit"] else "base model"


def iteration_name(summary: Mapping[str, Any], k: int) -> str:
    """Return the name of an iteration in a table; the chosen one is marked."""
    mark = " (best)" if k == summary["best_iteration"] else ""
    return (start_name(summary) if k == 0 else f"iteration {k}") + mark


def edge(temperature: float) -> str | None:
    """Return the meaning of a temperature at the edge of the searched range for the probabilities; None within it.

    >>> edge(1.3) is None, edge(20.0)
    (True, 'carry next to nothing')
    """
    if math.isclose(temperature, HIGHEST, rel_tol=1e-3):
        return "carry next to nothing"
    return "are near certain" if math.isclose(temperature, LOWEST, rel_tol=1e-3) else None


def not_found(temperature: float) -> str | None:
    """Return the sentence about a temperature at the edge of the searched range; None within it."""
    meaning = edge(temperature)
    return meaning and f"The calibration found no temperature in {LOWEST:g}..{HIGHEST:g}: the probabilities {meaning}."


def _quick(summary: Mapping[str, Any]) -> Iterator[str]:
    origin = summary["refit"] or {}
    if summary["config"].get("quick") or origin.get("quick"):
        which = "refit of a quick look" if origin else "quick look"
        yield (
            f"This is a {which} (--quick) with {summary['examples']['train']} training examples and little "
            "measuring: run it without --quick, in another directory, before you rely on a number."
        )


def _few(summary: Mapping[str, Any], split: str, after: Mapping[str, Any]) -> Iterator[str]:
    groups = summary["groups"][split]
    if groups >= FEW_GROUPS:
        return
    items, unit = (after["pairs"]["pairs"], "comparison") if after["pairs"] else (after["count"], "item")
    who = words(summary).who
    if items == groups:
        yield f"Only {items} {split} {unit}{'s' * (items != 1)}: no number about this {who} is to be relied on."
    else:
        yield (
            f"The {items} {split} {unit}s belong to only {groups} group{'s' * (groups != 1)} (such as prompts): no "
            f"number about this {who} is to be relied on for other groups."
        )


def _untrained(summary: Mapping[str, Any]) -> Iterator[str]:
    if summary["best_iteration"] == 0:
        yield f"No iteration was better on validation than the {start_name(summary)}: training did not help."


def _unparsed(summary: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    share, called = after["unparsed_draws"] or 0, words(summary)
    if share <= MANY_UNPARSED:
        return
    named = f"{100 * share:.0f} % of the {called.who}'s draws name no {called.said}"
    yield f"{named}{called.unparsed}"


def _constant(summary: Mapping[str, Any], split: str, after: Mapping[str, Any]) -> Iterator[str]:
    key, called = leading(summary), words(summary)
    same = summary["baselines"][split]["constant"][key]
    if same is None or after[key] > same:
        return
    yield _NO_BETTER[kind_of(summary).page].format(
        who=called.who, constant=called.constant, one=_one(summary), same=same, share=100 * same
    )


def _unclear(
    summary: Mapping[str, Any], split: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    """Say what the interval of a trained model includes: the untrained one, or the constant that it seems to beat."""
    key, page = leading(summary), kind_of(summary).page
    ends, score = ends_of(after, summary["groups"][split], key), words(summary).score
    if not ends or summary["best_iteration"] == 0:
        return
    constant = summary["baselines"][split]["constant"][key]
    always = f"always saying {_ALWAYS[page].format(one=_one(summary), constant=words(summary).constant)}"
    beside = {f"the {start_name(summary)}": before[key]}
    if constant is not None and after[key] > constant:  # else said already
        beside[always] = constant
    within = [name for name, value in beside.items() if ends[0] <= value <= ends[1]]
    if within:
        yield f"The interval of the {score} includes {' and '.join(within)}: no clear gain."
    if before[key] > ends[1]:
        yield f"The {start_name(summary)} is better than the trained model: its {score} is above the interval."


def verdict(summary: Mapping[str, Any]) -> str:
    """Return in words what the numbers of a finished run allow to say; nothing where they show a gain."""
    split, before, after = compared(summary)
    if none := no_verdict(summary["groups"][split], split):
        return none
    if summary["best_iteration"] == 0:
        return "Training did not help. "
    return "No clear gain. " if any(_unclear(summary, split, before, after)) else ""


def no_verdict(groups: int, split: str) -> str:
    """Return that a set has too few groups of items to say which is better; nothing where it has enough."""
    return f"Too few groups of {split} items for a verdict. " if groups < FEW_GROUPS else ""


def ends_of(scores: Mapping[str, Any], groups: int, key: str) -> tuple[float, float] | None:
    """Return the 95 % interval of a number; None where resampling so few groups, or no spread, would mislead."""
    found = (scores.get("intervals") or {}).get(key)
    if not found or groups < FEW_GROUPS or found[0] == found[1]:
        return None
    return found[0], found[1]


_ALWAYS = {"levels": "{one}", "answers": "the {constant}", "rewards": "the {constant}"}


def _one(summary: Mapping[str, Any]) -> str:
    """Return what a constant is made of."""
    of_each = {"criterion": "one level of each criterion"} if summary["criteria"] else {}
    return of_each.get(kind_of(summary).parts, f"one {words(summary).said}")


_NO_BETTER = {
    "levels": "The {who} is right no more often than always saying {one} ({share:.1f} %).",
    "answers": "The model is right no more often than always saying the {constant} ({share:.1f} %).",
    "rewards": "The model earns no more than always saying the {constant} ({same:.3f}).",
}


def _marginal(summary: Mapping[str, Any], split: str, after: Mapping[str, Any]) -> Iterator[str]:
    """Compare the judge, calibrated if possible, with the training marginal; None is infinite."""
    forecast = summary["baselines"][split]["training_marginal"]
    if forecast is None:
        return
    marginal = _finite(forecast["log_likelihood"])
    raw, calibrated = _finite(after["log_likelihood"]), ((summary["calibration"] or {}).get(split) or {}).get("after")
    said = _finite(calibrated["log_likelihood"]) if calibrated else raw
    if said >= marginal:
        return
    also = "also " if raw < marginal else ""
    yield (
        f"Its probabilities say less than the training marginal ({_nats(said)} against {_nats(marginal)} nats)"
        f"{f', {also}after calibration' if calibrated else ''}."
    )


def _temperature(summary: Mapping[str, Any]) -> Iterator[str]:
    if summary["calibration"] and (sentence := not_found(summary["calibration"]["temperature"])):
        yield sentence


def _finite(value: float | None) -> float:
    return -math.inf if value is None else value


def _nats(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "minus infinity"
