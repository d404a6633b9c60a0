"""Rotary embeddings that depend on the length of the longest text beside them, made to depend on one number of the run.

LongRoPE (Phi-3 and -4) has other factors above ``original_max_position_embeddings``, dynamic NTK scaling grows with the
longest text. Both look at the largest position of a *batch*: a row's probabilities would depend on its neighbours, and
keys in a cache would have other factors than those behind them. So every text of a run is read as the model reads a
text of N tokens, N the longest that the run allows: drawn, scored and trained on alike. vLLM decides by N, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rationem.engines.checkpoint import read_by_library

_KINDS = ("longrope", "dynamic")


def switches(settings: Any) -> int | None:
    """Return up to which length a model has its short factors; None where it has one kind for all lengths."""
    found = [
        int(rope["original_max_position_embeddings"])
        for rope in _parameters(settings)
        if rope.get("rope_type") == "longrope" and rope.get("original_max_position_embeddings")
    ]
    return min(found, default=None)


def reach(checkpoint: str, longest: int, positions: int | None) -> int | None:
    """Return how long a text may become without being read otherwise than the run's own; None if it never is.

    Args:
        checkpoint: where the model's configuration is.
        longest: tokens of the run's longest text.
        positions: how many the model can hold.
    """
    from transformers import AutoConfig

    with read_by_library(checkpoint):
        settings = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
    if not any(rope.get("rope_type") in _KINDS for rope in _parameters(settings)):
        return None
    boundary = switches(settings)
    return positions if boundary is None or longest > boundary else boundary


def read_as(model: Any, length: int | None) -> None:
    """Have a model read every text as it reads one of ``length`` tokens; None leaves it as it is."""
    if length is None:
        return
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        named = kinds.values() if isinstance(kinds, Mapping) else [kinds]
        if any(kind in _KINDS for kind in named):
            module.register_forward_pre_hook(_Longer(length), with_kwargs=True)
            module.register_forward_hook(_cut)


class _Longer:
    """Adds the last position of a text of so many tokens, by which the module chooses its factors."""

    def __init__(self, length: int) -> None:
        self._last = length - 1

    def __call__(self, _module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if "position_ids" in named:
            return given, {**named, "position_ids": self._with_last(named["position_ids"])}
        return (given[0], self._with_last(given[1]), *given[2:]), named

    def _with_last(self, positions: torch.Tensor) -> torch.Tensor:
        return torch.cat([positions, positions.new_full((*positions.shape[:-1], 1), self._last)], dim=-1)


def _cut(_module: Any, _given: Any, output: Any) -> Any:
    """Drop what was computed for the added position."""
    return output[..., :-1, :] if isinstance(output, torch.Tensor) else tuple(one[..., :-1, :] for one in output)


def _parameters(settings: Any) -> list[Mapping[str, Any]]:
    """Return the parameters of every kind of layer; most models have one kind."""
    rope = getattr(settings.get_text_config(), "rope_parameters", None)
    if not isinstance(rope, Mapping):
        return []
    nested = [one for one in rope.values() if isinstance(one, Mapping)]
    return nested or [rope]
