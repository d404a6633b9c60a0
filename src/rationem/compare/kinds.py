"""The words of a comparison's pages and its leading number, as in ``report.words``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.report import words
from rationem.tasks.kinds import Kind
from rationem.tasks.words import Words


def kind_of(results: Mapping[str, Any]) -> Kind:
    """Return the kind of the compared task."""
    return words.kind_of(_summary(results))


def called(results: Mapping[str, Any]) -> Words:
    """Return the words of a comparison's task."""
    return words.words(_summary(results))


def leading(results: Mapping[str, Any]) -> str:
    """Return the name of the test number that measures how good an arm is."""
    return words.leading(_summary(results))


def _summary(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"config": results["config"], "scale": results.get("scale"), "reward": results.get("rule")}
