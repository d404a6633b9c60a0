"""Rotary embeddings that depend on the longest text of a batch, made to depend on one number of the run.

LongRoPE (Phi-3 and -4) has other factors above ``original_max_position_embeddings``; dynamic NTK scaling grows with the
longest text. Both use the largest position of a *batch*: a row's probabilities would depend on its neighbours, and keys
in a cache would have other factors than later ones. So every text of a run is read like a text of N tokens, where N is
the longest that the run allows: in sampling, scoring and training. vLLM also decides by N.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rationem.engines.checkpoint import read_by_library

_KINDS = ("longrope", "dynamic")


def switches(settings: Any) -> int | None:
    """Return the length up to which a model uses its short factors; None if its factors do not depend on length."""
    found = [
        int(rope["original_max_position_embeddings"])
        for rope in _parameters(settings)
        if rope.get("rope_type") == "longrope" and rope.get("original_max_position_embeddings")
    ]
    return min(found, default=None)


def reach(checkpoint: str, longest: int, positions: int | None) -> int | None:
    """Return the longest text that has the same factors as the run's own texts; None if all lengths have.

    Args:
        checkpoint: where the model's configuration is.
        longest: tokens of the run's longest text.
        positions: the model's context length.
    """
    from transformers import AutoConfig

    with read_by_library(checkpoint):
        settings = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
    if not any(rope.get("rope_type") in _KINDS for rope in _parameters(settings)):
        return None
    boundary = switches(settings)
    return positions if boundary is None or longest > boundary else boundary


def read_as(model: Any, length: int | None) -> None:
    """Make a model read every text like one of ``length`` tokens; None leaves it unchanged."""
    if length is None:
        return
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        named = kinds.values() if isinstance(kinds, Mapping) else [kinds]
        if any(kind in _KINDS for kind in named):
            module.register_forward_pre_hook(_Longer(length), with_kwargs=True)
            module.register_forward_hook(_cut)


class _Longer:
    """Adds the last position of a text of ``length`` tokens, by which the module chooses its factors."""

    def __init__(self, length: int) -> None:
        self._last = length - 1

    def __call__(self, _module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if "position_ids" in named:
            return given, {**named, "position_ids": self._with_last(named["position_ids"])}
        return (given[0], self._with_last(given[1]), *given[2:]), named

    def _with_last(self, positions: torch.Tensor) -> torch.Tensor:
        return torch.cat([positions, positions.new_full((*positions.shape[:-1], 1), self._last)], dim=-1)


def _cut(_module: Any, _given: Any, output: Any) -> Any:
    """Drop the output for the added position."""
    return output[..., :-1, :] if isinstance(output, torch.Tensor) else tuple(one[..., :-1, :] for one in output)


def _parameters(settings: Any) -> list[Mapping[str, Any]]:
    """Return the parameters of every kind of layer; most models have one kind."""
    rope = getattr(settings.get_text_config(), "rope_parameters", None)
    if not isinstance(rope, Mapping):
        return []
    nested = [one for one in rope.values() if isinstance(one, Mapping)]
    return nested or [rope]
