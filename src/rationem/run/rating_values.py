"""How rating cells are read: from the settings to the readers, and back into the settings that a run records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rationem import data
from rationem.config import FitConfig
from rationem.types import Splits

#: The note with the mapping of rating cells and the bins.
_READ_AS = "read_as"
#: Most cells in a mapping that ``config.toml`` lists; bins and rounding say the rest.
_MOST_MAPPED = 200


def values_of(config: FitConfig, like: data.LoadedData | None) -> data.Values:
    """Return what the settings say about rating cells; a test set has the bins of DATA."""
    values = data.Values.parse(
        config.missing, config.map, round=config.round, bins=config.bins, verdict_from=config.verdict_from
    )
    return replace(values, bins=like.values.bins) if like is not None and like.values.bins else values


def shapes_of(config: FitConfig) -> data.Shapes:
    """Return what the settings say about rows."""
    where = tuple(map(data.Condition.parse, config.where))
    return data.Shapes(where, config.latest_by, config.merge_equal, config.join, config.on, config.unpivot)


def with_values(config: FitConfig, splits: Splits) -> FitConfig:
    """Return the settings with the mapping of rating cells and the bins that DATA and the test set were read with."""
    found = splits.notes.get(_READ_AS)
    if found is None:
        return config
    pairs = tuple(f"{cell}={level}" for cell, level in found["cells"].items())
    return config.replace(map=pairs or config.map, bins=",".join(found["edges"]) or config.bins)


def read_as(loaded: data.LoadedData, tested: data.LoadedData | None) -> dict[str, Any]:
    """Return the note on how rating cells were read; none if all are levels as they are."""
    mapped = {**loaded.values.mapped, **(tested.values.mapped if tested is not None else {})}
    if not mapped:
        return {}
    short = {} if loaded.values.bins or len(mapped) > _MOST_MAPPED else mapped
    return {_READ_AS: {"cells": short, "edges": list(loaded.values.bins)}}
