"""What a comparison's pages call things, and which number says how good an arm is: as ``report.words`` has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.report import words
from rationem.tasks.words import Words


def called(results: Mapping[str, Any]) -> Words:
    """Return the nouns of a comparison's task."""
    return words.words(_summary(results))


def leading(results: Mapping[str, Any]) -> str:
    """Return the name of the number on the test set that says how good an arm is."""
    return words.leading(_summary(results))


def is_open(results: Mapping[str, Any]) -> bool:
    """Say whether any text may be an answer."""
    return words.is_open(_summary(results))


def is_graded(results: Mapping[str, Any]) -> bool:
    """Say whether open answers can be nearly right."""
    return words.is_graded(_summary(results))


def _summary(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"config": results["config"], "scale": results.get("scale"), "reward": results.get("rule")}
