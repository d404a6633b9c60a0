"""Keys and values of what a model has read: rows copied out of a cache, and a cache with room to grow."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from transformers.cache_utils import DynamicLayer


class Read(NamedTuple):
    """What a model has read: the keys and values, and which columns of them are real, shape (rows, T)."""

    cache: Any
    mask: torch.Tensor


def rows_of(read: Read, rows: torch.Tensor) -> Read:
    """Return copies of some rows of what was read, in a cache of their own."""
    cache = copy.copy(read.cache)
    cache.layers = [copy.copy(layer) for layer in read.cache.layers]
    cache.batch_select_indices(rows)
    return Read(cache, read.mask[rows])


def with_room(read: Read, room: int) -> Read:
    """Return what was read, ready for token after token; layers of another kind (sliding windows) stay as they are."""
    layers = read.cache.layers
    read.cache.layers = [_Roomy(layer, room) if type(layer) is DynamicLayer else layer for layer in layers]
    return read


class _Roomy(DynamicLayer):  # type: ignore[misc]
    """A layer that copies what it holds once in ``room`` tokens; the stock layer copies all of it at every token."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, layer: DynamicLayer, room: int) -> None:
        self.__dict__.update(vars(layer))
        self._room = room
        self._given: Any = None
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write behind what is held, and return all of it, shapes (rows, heads, T, width)."""
        if not self.get_seq_length():
            super().update(key_states, value_states, *args, **kwargs)
            return self.keys, self.values
        start = self.keys.shape[2]
        end = start + key_states.shape[2]
        # Whoever selected or cropped rows since then has put other tensors in place of the views given out.
        if self._buffers is None or self._given is not self.keys or self._buffers[0].shape[2] < end:
            self._buffers = (self._buffer(self.keys, end), self._buffer(self.values, end))
        keys, values = self._buffers
        keys[:, :, start:end], values[:, :, start:end] = key_states, value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        self._given = self.keys
        return self.keys, self.values

    def _buffer(self, held: torch.Tensor, end: int) -> torch.Tensor:
        rows, heads, length, width = held.shape
        buffer = held.new_empty(rows, heads, end + self._room, width)
        buffer[:, :, :length] = held
        return buffer
