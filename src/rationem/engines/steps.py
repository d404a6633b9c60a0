"""Rows that grow by one token per step: from a carried state, or by reading each whole row again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from rationem.engines.cache import Ahead, Read, is_plain, keep, rows_of
from rationem.engines.forward import Forward

#: Ended rows leave the batch when at most this share still grows, if leaving costs more than moving a row.
_STILL_GROWING = 0.75


class Steps(Protocol):
    """Rows, each of which has read all tokens except its newest."""

    @property
    def share(self) -> float:
        """The largest share of growing rows at which removing ended rows is worth its cost."""

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one token per row, shape (rows,); return the next logits, shape (rows, vocabulary)."""

    def keep(self, rows: Sequence[int]) -> None:
        """Continue with these rows, in this order; rows may be omitted or repeated."""


class Carried:
    """Steps on a cache.

    Args:
        read: what the rows have read.
        length: the largest number of steps.
    """

    def __init__(self, forward: Forward, read: Read, length: int) -> None:
        self._forward, self._read, self._count = forward, read, 0
        config = forward.model.config
        # Models with alibi build their biases from the mask of columns, and do not accept a finished mask.
        made = config._attn_implementation == "sdpa" and not getattr(config, "alibi", False)
        self._ahead = Ahead(read, length, forward.model.dtype if is_plain(read) and made else None)

    @property
    def share(self) -> float:
        """1 if the cache can drop rows in place; less on a GPU, where a step hardly gets cheaper with fewer rows."""
        return 1.0 if is_plain(self._read) and self._forward.device.type == "cpu" else _STILL_GROWING

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See ``Steps``."""
        mask, position = self._ahead.at(self._count)
        logits, _ = self._forward(tokens.unsqueeze(1), mask=mask, position=position, cache=self._read.cache, keep=1)
        self._count += 1
        return logits[:, -1]

    def keep(self, rows: Sequence[int]) -> None:
        """See ``Steps``."""
        chosen = torch.tensor(rows, device=self._forward.device)
        if all(row == place or row >= len(rows) for place, row in enumerate(rows)):
            keep(self._read.cache, rows, chosen)
        else:
            self._read = Read(rows_of(self._read, chosen).cache, self._read.mask)
        self._ahead.keep(chosen)


class Again:
    """Steps without a cache: every step reads every row from its beginning. Slow, but correct for any causal model.

    Args:
        rows: the tokens that each row has read.
    """

    share = 1.0

    def __init__(self, forward: Forward, rows: Sequence[Sequence[int]]) -> None:
        self._forward, self._rows = forward, [list(row) for row in rows]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See ``Steps``."""
        for row, token in zip(self._rows, tokens.tolist(), strict=True):
            row.append(token)
        lengths = torch.tensor([len(row) for row in self._rows], device=self._forward.device)
        columns, place = torch.unique(lengths - 1, return_inverse=True)
        logits = self._forward.alone(self._rows, columns)
        return logits[torch.arange(len(place), device=place.device), place]

    def keep(self, rows: Sequence[int]) -> None:
        """See ``Steps``."""
        self._rows = [list(self._rows[row]) for row in rows]
