"""Rows that grow by one token at a time: on a state that is carried along, or read again as a whole at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from rationem.engines.cache import Ahead, Read, is_plain, keep, rows_of
from rationem.engines.forward import Forward

#: Ended rows leave the batch when no more than this share still grows, where leaving costs more than a row's move.
_STILL_GROWING = 0.75


class Steps(Protocol):
    """Some rows, each of which has read all but its newest token."""

    @property
    def share(self) -> float:
        """Ended rows are worth leaving out when no larger share of the rows still grows."""

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one token per row, shape (rows,); return the logits behind it, shape (rows, vocabulary)."""

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; some may be left out, some repeated."""


class Carried:
    """Steps on a cache.

    Args:
        read: what the rows have read.
        length: how many steps there will be at most.
    """

    def __init__(self, forward: Forward, read: Read, length: int) -> None:
        self._forward, self._read, self._count = forward, read, 0
        config = forward.model.config
        # Models with alibi build their biases from the mask of columns, and cannot take one that is made for them.
        made = config._attn_implementation == "sdpa" and not getattr(config, "alibi", False)
        self._ahead = Ahead(read, length, forward.model.dtype if is_plain(read) and made else None)

    @property
    def share(self) -> float:
        """Where the cache closes up in place, a row leaves at once; a GPU's step hardly costs less without it."""
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
    """Steps without a cache: every step reads every row from its beginning. Slow, and right for any causal model.

    Args:
        rows: what each row has read.
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
