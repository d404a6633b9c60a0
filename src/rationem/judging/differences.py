"""Describes the differences between the job that began a file and the requested one (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SETTINGS = {
    "criteria": "the criteria",
    "columns": "the columns",
    "preset": "the preset",
    "draws": "the number of draws",
    "fast": "--fast",
    "seed": "the seed",
    "coverage": "--coverage",
    "temperature": "the temperature of the calibration",
    "batch_size": "the batch size",
    "device": "the device",
    "threads": "the number of threads",
    "engine": "the engine",
}
#: Settings of many parts, told without their values.
_PARTS = {
    "format": "how the file is written (--delimiter, --encoding, --records, ...)",
    "shapes": "which rows are read (--unpivot, --join, --where)",
}


def differences(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Return the differences between two jobs' fingerprints in words, without hashes."""
    names = {name for name in {**found, **asked} if found.get(name) != asked.get(name)}
    told = []
    if "input" in names:
        told.append(f"the input file (was {found.get('input')}, is {asked.get('input')})")
    elif "input_sha256" in names:
        told.append(f"the content of the input file {asked.get('input')}")
    if "model_sha256" in names:
        told.append("the model (other weights)")
    elif "card_sha256" in names:
        told.append("the model's card rationem.json (its prompt, its limits or its calibration)")
    for name, words in _SETTINGS.items():
        if name in names:
            told += _setting(words, found.get(name), asked.get(name))
    told += [words for name, words in _PARTS.items() if name in names]
    if "joined" in names and "shapes" not in names:
        told.append("the content of the joined files")
    return "; ".join(told) or "a setting that this version does not know"


def _setting(words: str, found: object, asked: object) -> list[str]:
    if isinstance(found, Mapping) and isinstance(asked, Mapping):
        roles = [role for role in {**found, **asked} if found.get(role) != asked.get(role)]
        return [
            f"the column of the {role} (was {_said(found.get(role))}, is {_said(asked.get(role))})" for role in roles
        ]
    return [f"{words} (was {_said(found)}, is {_said(asked)})"]


def _said(value: object) -> str:
    """Return a value in words.

    >>> _said(None), _said(True), _said(["tone", "facts"]), _said(8)
    ('not given', 'on', 'tone, facts', '8')
    """
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(_said, value)) if isinstance(value, list | tuple) else str(value)
