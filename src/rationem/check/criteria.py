"""Several criteria: counts, baselines, ceiling and agreement of each one, on its own scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rationem.check import labels, raters
from rationem.check.findings import Finding, Severity
from rationem.metrics.criteria import rated_parts
from rationem.report.plain import counted, plain, short
from rationem.run.prepare import labelled
from rationem.tasks.scale import Scale
from rationem.types import Example

#: Returns examples as a fit scores them.
_Asked = Callable[[tuple[Example, ...]], tuple[Example, ...]]


def criteria(
    parts: Mapping[str, Sequence[Example]], scale: Scale, asked: _Asked
) -> dict[str, dict[str, dict[str, Any]]] | None:
    """Return set -> criterion -> its numbers; None with one criterion.

    Args:
        parts: the items of DATA as "data", and of a test set as "test".
        scale: the levels.
        asked: see ``Task.every_order``.

    Returns:
        Of each criterion ``items``, ``without_label``, ``levels``, ``pooled`` and ``ratings`` (level -> count),
        ``baselines`` and ``raters``, as in the sections of these names.
    """
    named = {name: rated_parts(part) for name, part in parts.items()}
    if len(named["data"]) < 2:
        return None
    return {
        name: {one: _numbers(items, named["data"].get(one, items), scale.of(one), asked) for one, items in each.items()}
        for name, each in named.items()
    }


def _numbers(examples: Sequence[Example], data: Sequence[Example], own: Scale, asked: _Asked) -> dict[str, Any]:
    scored, known = (labelled(tuple(part), own) for part in (examples, data))
    return {
        "items": len(examples),
        "without_label": len(examples) - len(scored),
        "levels": list(own.levels),
        "pooled": labels.pooled(scored, own),
        "ratings": labels.ratings(examples, own),
        "baselines": labels.baselines(asked(known), asked(scored), own) if scored and known else None,
        "raters": raters.raters(examples, own),
    }


def each(
    examples: Sequence[Example], scale: Scale, look: Callable[[Sequence[Example], Scale], list[Finding]]
) -> list[Finding]:
    """Return what one look finds of every criterion on its own scale, naming the criterion if there are several."""
    parts = rated_parts(examples)
    if len(parts) == 1:
        return look(examples, scale.of(next(iter(parts))))
    return [named(name, one) for name, part in parts.items() for one in look(part, scale.of(name))]


def named(criterion: str, one: Finding) -> Finding:
    """Return a finding that names its criterion."""
    return replace(one, message=f"Criterion {plain(criterion)!r}: {one.message[0].lower()}{one.message[1:]}")


def constant(examples: Sequence[Example], scale: Scale) -> list[Finding]:
    """Return :func:`.labels.constant` of each criterion: an error only if every one has a single label."""
    found = each(examples, scale, labels.constant)
    if sum(one.code == "one_label" for one in found) == len(rated_parts(examples)):
        return found
    return [replace(one, severity=Severity.WARNING) if one.severity is Severity.ERROR else one for one in found]


def shown(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines on each criterion of DATA, and of a test set."""
    lines: list[str] = []
    for name, several in found.items():
        lines += [f"{name}:"] if len(found) > 1 else []
        for one, numbers in several.items():
            lines += [f"{short(one)}: {', '.join(_told(numbers))}", f"  {_counts(numbers)}"]
    return lines


def _told(numbers: Mapping[str, Any]) -> list[str]:
    told = [counted(numbers["items"], "item", "items")]
    if numbers["baselines"] is not None:
        constant = numbers["baselines"]["constant"]
        level = constant["levels"]["accuracy"]
        told.append(f"best single level {constant['accuracy']:.3f} ({short(level, 18)})")
    if numbers["raters"]["ceiling"] is not None:
        told.append(f"one person against the others {numbers['raters']['ceiling']['accuracy']:.3f}")
    if numbers["raters"]["alpha"] is not None:
        told.append(f"alpha {numbers['raters']['alpha']:.3f}")
    return told


def _counts(numbers: Mapping[str, Any]) -> str:
    pooled = ", ".join(f"{plain(level)} ({count})" for level, count in numbers["pooled"].items())
    if numbers["pooled"] == numbers["ratings"]:
        return pooled
    single = ", ".join(f"{plain(level)} ({count})" for level, count in numbers["ratings"].items())
    return f"{pooled}; single ratings: {single}"
