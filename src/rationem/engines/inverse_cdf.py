"""Samples the next token of every row from the row's own uniform number, by the inverse distribution function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad
from transformers import TopKLogitsWarper, TopPLogitsWarper

from rationem.seeds import uniforms
from rationem.types import Request

#: Neighbouring tokens whose probabilities are summed in single precision; the sums are added in double.
_BLOCK = 128


class InverseCdf:
    """Samples for each row the token that the row's uniform selects.

    token = min{v : F(v) > u} with F the distribution function of softmax(logits / temperature) after top-k and
    top-p. One uniform per row and step: cheaper than Gumbel noise over the vocabulary, the same distribution.

    Raises:
        ValueError: the requests do not share one ``Sampling``.
    """

    def __init__(self, requests: Sequence[Request], device: Any = "cpu") -> None:
        (self._sampling,) = {request.sampling for request in requests}
        self.length = self._sampling.max_new_tokens
        numbers = np.stack([uniforms(request.seed, self.length) for request in requests])
        self._uniforms = torch.from_numpy(numbers).to(device)

    def __call__(self, logits: torch.Tensor, held: Sequence[int], step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a token and its log q for each row of logits; row i belongs to request ``held[i]``."""
        sampling = self._sampling
        if sampling.temperature == 0:
            best, token = logits.max(dim=1)
            return token, best - best  # log 1; nan if the best is nan
        warped: Any = logits.float()
        if sampling.temperature != 1:
            warped = warped / sampling.temperature
        if sampling.top_k:
            warped = TopKLogitsWarper(sampling.top_k)(None, warped)
        if sampling.top_p < 1:
            warped = TopPLogitsWarper(sampling.top_p)(None, warped)
        probabilities = warped.softmax(dim=1)
        token = inverse_cdf(probabilities, self._uniforms[list(held), step])
        return token, probabilities.gather(1, token.unsqueeze(1)).squeeze(1).log()


def inverse_cdf(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Return min{v : F(v) > u F(last)}, shapes (rows, V) and (rows,) -> (rows,): first the block, then the token.

    A running sum over 150,000 tokens needs double precision, which is slow. So blocks are summed in single precision,
    and only the running sums, over the blocks and within the selected block, are double.
    """
    blocks = pad(probabilities, (0, -probabilities.shape[1] % _BLOCK)).view(len(probabilities), -1, _BLOCK)
    cumulative = blocks.sum(dim=2).cumsum(dim=1, dtype=torch.float64)
    target = uniform * cumulative[:, -1]
    block = _first_beyond(cumulative, target)
    before = pad(cumulative, (1, 0)).gather(1, block).squeeze(1)
    within = blocks.gather(1, block.unsqueeze(2).expand(-1, -1, _BLOCK)).squeeze(1).cumsum(dim=1, dtype=torch.float64)
    token = block * _BLOCK + _first_beyond(within, target - before)
    return token.clamp(max=probabilities.shape[1] - 1).squeeze(1)


def _first_beyond(cumulative: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    # Rounding may raise a target to the total; below the total, the entry found has mass.
    total = cumulative[:, -1]
    below = target.minimum(torch.nextafter(total, torch.zeros_like(total))).unsqueeze(1)
    return torch.searchsorted(cumulative, below, right=True).clamp(max=cumulative.shape[1] - 1)
