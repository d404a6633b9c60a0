"""One way to call every causal model of transformers, whatever its forward calls its state or omits."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

#: Names of the state that a forward returns and takes, by model family.
_STATES = ("past_key_values", "cache_params")


class Forward:
    """A model's forward pass: ids in, logits of the last tokens out, with or without a cached state.

    Args:
        model: the model, in evaluation mode, on its device.
        pad: a token for padding; no row's result may depend on it.
    """

    def __init__(self, model: Any, pad: int) -> None:
        self.model = model
        self._pad = pad
        self._takes = inspect.signature(type(model).forward).parameters.keys()
        self._state = next((name for name in _STATES if name in self._takes), None)

    @property
    def device(self) -> Any:
        """The model's device."""
        return self.model.device

    @property
    def vocabulary(self) -> int:
        """The number of logits per token."""
        return int(self.model.config.get_text_config().vocab_size)

    def __call__(
        self,
        ids: torch.Tensor,
        *,
        keep: int | torch.Tensor,
        mask: torch.Tensor | None = None,
        position: torch.Tensor | None = None,
        cache: Any = None,
        cached: bool = True,
    ) -> tuple[torch.Tensor, Any]:
        """Return the logits of the last ``keep`` tokens (or of the given columns), and the state after them."""
        asked = {
            "attention_mask": mask,
            "position_ids": position,
            "logits_to_keep": keep,
            self._state: cache,
        }
        given = {name: value for name, value in asked.items() if name in self._takes and value is not None}
        output = self.model(input_ids=ids, use_cache=cached, **given)
        logits: torch.Tensor = output.logits
        if "logits_to_keep" not in self._takes:
            logits = logits[:, -keep:] if isinstance(keep, int) else logits[:, keep]
        return logits, getattr(output, self._state, None) if self._state and cached else None

    def alone(self, rows: Sequence[Sequence[int]], keep: int | torch.Tensor) -> torch.Tensor:
        """Return the last logits of whole rows, read without a state, padded on the right and not masked.

        In causal attention and in recurrent layers no token sees later ones.
        """
        return self(self.right_padded(rows), keep=keep, cached=False)[0]

    def right_padded(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the rows as a tensor (rows, longest)."""
        width = max(len(row) for row in rows)
        return torch.tensor([[*row, *[self._pad] * (width - len(row))] for row in rows], device=self.device)

    def left_padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rows as a tensor (rows, longest), and the mask of real tokens."""
        width = max(len(row) for row in rows)
        ids = torch.tensor([[self._pad] * (width - len(row)) + list(row) for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self.device), mask.to(self.device)


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Return each token's position in its own row, whatever the padding to its left."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def log_probs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return log softmax(logits)[target] in single precision, shapes (rows, T, V) and (rows, T) -> (rows, T)."""
    picked: torch.Tensor = logits.gather(2, targets.unsqueeze(2)).squeeze(2).float()
    return picked - torch.logsumexp(logits.float(), dim=2)
