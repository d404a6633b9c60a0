"""Key-value caches: joined from pieces, with room to grow, and with rows selected and removed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad
from transformers import DynamicCache, cache_utils
from transformers.cache_utils import DynamicLayer

#: Layer classes whose contents are known: only the attributes below have rows.
_JOINED = tuple(
    getattr(cache_utils, name)
    for name in (
        "DynamicLayer",
        "DynamicSlidingWindowLayer",
        "LinearAttentionLayer",
        "LinearAttentionAndFullAttentionLayer",
        "LinearAttentionAndSlidingWindowAttentionLayer",
        "DummyLayer",
    )
    if hasattr(cache_utils, name)  # newer classes are not in every release
)
_KEYS, _STATES = ("keys", "values"), ("conv_states", "recurrent_states")


class Read(NamedTuple):
    """What a model has read: keys and values, and the mask of real (unpadded) columns, shape (rows, T)."""

    cache: Any
    mask: torch.Tensor


def is_plain(read: Read) -> bool:
    """Say whether every layer keeps all keys and values and no other state (sliding windows do not)."""
    return all(type(layer) in (DynamicLayer, _Roomy) for layer in read.cache.layers)


def can_join(cache: Any) -> bool:
    """Say whether caches of this kind can be joined row by row for prompts of different lengths."""
    return type(cache) is DynamicCache and all(type(layer) in _JOINED for layer in cache.layers)


def has_keys(cache: Any) -> bool:
    """Say whether any layer has attention; a purely recurrent model has no columns to mask."""
    return any(getattr(layer, "keys", None) is not None for layer in cache.layers)


def rows_of(read: Read, rows: torch.Tensor) -> Read:
    """Return copies of the given rows, in a new cache."""
    cache = copy.copy(read.cache)
    cache.layers = [_chosen(layer, rows) for layer in read.cache.layers]
    return Read(cache, read.mask[rows])


def _chosen(layer: Any, rows: torch.Tensor) -> Any:
    """Return a layer with copies of the given rows of its keys and values or of its states."""
    layer = copy.copy(layer)
    if type(layer) not in (*_JOINED, _Roomy):
        layer.batch_select_indices(rows)
        return layer
    for name in _KEYS:
        held = getattr(layer, name, None)
        if held is not None and held.numel():
            setattr(layer, name, held[rows])
    for name in _STATES:
        if hasattr(layer, name):
            states = getattr(layer, name).items()
            setattr(layer, name, {place: None if held is None else held[rows] for place, held in states})
    return layer


def assembled(pieces: Sequence[Read], rows: torch.Tensor, room: int) -> Read:
    """Return rows of several pieces as one, each padded on the left, with room for further columns.

    Args:
        pieces: separately read prompts, with layers that ``can_join``. They are consumed, layer by layer, to save
            memory.
        rows: for each row of the result its index among the rows of all pieces, shape (rows,).
        room: columns that can be written before the next copy; 0 for transformers' own layers.
    """
    widths, counts = ([piece.mask.shape[axis] for piece in pieces] for axis in (1, 0))
    mask = torch.cat([pad(piece.mask, (max(widths) - width, 0)) for piece, width in zip(pieces, widths, strict=True)])
    bounds = [(sum(counts[:n]), sum(counts[: n + 1])) for n in range(len(pieces))]
    chosen = [((rows >= start) & (rows < end)).nonzero().squeeze(1) for start, end in bounds]
    places = [(to, rows[to] - start) for to, (start, _) in zip(chosen, bounds, strict=True)]
    cache = copy.copy(pieces[0].cache)
    cache.layers = [
        _together([piece.cache.layers[n] for piece in pieces], places, len(rows), max(widths), room)
        for n in range(len(cache.layers))
    ]
    return Read(cache, mask[rows])


_Places = Sequence[tuple[torch.Tensor, torch.Tensor]]


def _together(held: Sequence[Any], places: _Places, rows: int, width: int, room: int) -> Any:
    """Return one layer of the pieces' rows; frees the pieces' own keys and values."""
    layer = copy.copy(held[0])
    for name in _STATES:
        if hasattr(layer, name):
            states = {place: [getattr(one, name)[place] for one in held] for place in getattr(layer, name)}
            setattr(layer, name, {place: _stacked(parts, places, rows) for place, parts in states.items()})
    if getattr(layer, "keys", None) is None or not layer.keys.numel():
        return layer
    if hasattr(layer, "sliding_window"):
        layer.cumulative_length = width
        width = max(one.keys.shape[2] for one in held)
    spare = room if type(layer) is DynamicLayer else 0
    keys, values = (_joined([getattr(one, kind) for one in held], places, rows, width, spare) for kind in _KEYS)
    for one in held:
        one.keys = one.values = None
    if spare:
        return _Roomy(layer, room, (keys, values), width)
    layer.keys, layer.values = keys, values
    return layer


def _stacked(parts: Sequence[torch.Tensor | None], places: _Places, rows: int) -> torch.Tensor | None:
    """Return the pieces' states as one, shape (rows, ...); a state has no length, so it needs no padding."""
    if parts[0] is None:
        return None
    whole = parts[0].new_empty(rows, *parts[0].shape[1:])
    for part, (to, source) in zip(parts, places, strict=True):
        assert part is not None
        whole[to] = part[source]
    return whole


def _joined(parts: Sequence[torch.Tensor], places: _Places, rows: int, width: int, room: int) -> torch.Tensor:
    """Return a buffer (rows, heads, width + room, size) with the parts right-aligned in its first ``width`` columns."""
    heads, size = parts[0].shape[1], parts[0].shape[3]
    buffer = parts[0].new_empty(rows, heads, width + room, size)
    for part, (to, source) in zip(parts, places, strict=True):
        gap = width - part.shape[2]
        buffer[to, :, gap:width] = part[source]
        buffer[to, :, :gap] = 0  # masked, but 0 times uninitialised memory may be nan
    return buffer


def with_room(read: Read, room: int) -> Read:
    """Return what was read with room for further tokens; other kinds of layers (sliding windows) stay unchanged."""
    layers = read.cache.layers
    read.cache.layers = [_Roomy(layer, room) if type(layer) is DynamicLayer else layer for layer in layers]
    return read


def keep(cache: Any, stay: Sequence[int], chosen: torch.Tensor) -> None:
    """Keep the given rows of a cache, in that order, and drop the others; ``chosen`` is ``stay`` as a tensor.

    A layer with room moves only rows whose index changes. No row may move onto a row that moves later, so ``stay[i]``
    is i or at least ``len(stay)``; see ``closed_up``.
    """
    moved = [i for i, row in enumerate(stay) if row != i]
    to = torch.tensor(moved, device=chosen.device)
    for n, layer in enumerate(cache.layers):
        if isinstance(layer, _Roomy):
            layer.close_up(to, chosen[to] if moved else to, len(stay))
        else:
            cache.layers[n] = _chosen(layer, chosen)


def closed_up(alive: Sequence[bool]) -> list[int]:
    """Return the row at each index after the last living rows moved to the indices of dead ones.

    >>> closed_up([True, False, True, False, True])
    [0, 4, 2]
    """
    count = sum(alive)
    movers = iter([row for row in range(count, len(alive)) if alive[row]])
    return [row if alive[row] else next(movers) for row in range(count)]


class Ahead:
    """Masks and positions of future tokens, one token per row and step, computed once for all steps.

    Args:
        read: what all rows have read.
        steps: the largest number of future tokens.
        additive: the dtype of an additive attention mask, for models that use such a mask unchanged (plain layers under
            SDPA); None for a mask of columns, from which the model builds its own at every step.
    """

    def __init__(self, read: Read, steps: int, additive: torch.dtype | None) -> None:
        self._start = read.mask.shape[1] + 1
        self._positions = read.mask.sum(dim=1, keepdim=True)
        self._mask: torch.Tensor | None = pad(read.mask, (0, steps), value=1)
        if bool(read.mask.all()) or not has_keys(read.cache):
            self._mask = None
        elif additive is not None:
            hidden = self._mask[:, None, None] == 0
            least = torch.finfo(additive).min
            self._mask = hidden.new_zeros(hidden.shape, dtype=additive).masked_fill_(hidden, least)

    def at(self, step: int) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Return the mask over all columns up to a step's token (None if nothing is masked), and its positions."""
        mask = None if self._mask is None else self._mask[..., : self._start + step]
        return mask, self._positions + step

    def keep(self, rows: torch.Tensor) -> None:
        """Keep the given rows, in that order."""
        self._positions = self._positions[rows]
        self._mask = None if self._mask is None else self._mask[rows]


class _Roomy(DynamicLayer):  # type: ignore[misc]
    """A layer that copies its contents once per ``room`` tokens; the stock layer copies them at every token."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(
        self, layer: DynamicLayer, room: int, buffers: tuple[torch.Tensor, torch.Tensor] | None = None, length: int = 0
    ) -> None:
        self.__dict__.update(vars(layer))
        self._room = room
        self._given: Any = None
        self._buffers = buffers
        if buffers is not None:
            self._give(length)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, and return all of them, shapes (rows, heads, T, width)."""
        if not self.get_seq_length():
            super().update(key_states, value_states, *args, **kwargs)
            return self.keys, self.values
        start = self.keys.shape[2]
        end = start + key_states.shape[2]
        # If rows were selected or cropped since the last call, the views were replaced by other tensors.
        if self._buffers is None or self._given is not self.keys or self._buffers[0].shape[2] < end:
            self._buffers = (self._buffer(self.keys, end), self._buffer(self.values, end))
        keys, values = self._buffers
        keys[:, :, start:end], values[:, :, start:end] = key_states, value_states
        return self._give(end)

    def close_up(self, to: torch.Tensor, source: torch.Tensor, count: int) -> None:
        """Move the rows ``source`` to the indices ``to``, all below ``count``, and keep the first ``count`` rows."""
        length = self.keys.shape[2]
        if self._buffers is None or self._given is not self.keys:
            self._buffers = (self.keys, self.values)
        for buffer in self._buffers:
            if len(to):
                buffer[to, :, :length] = buffer[source, :, :length]
        self._buffers = (self._buffers[0][:count], self._buffers[1][:count])
        self._give(length)

    def _give(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._buffers is not None
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)
        self._given = self.keys
        return self.keys, self.values

    def _buffer(self, held: torch.Tensor, end: int) -> torch.Tensor:
        rows, heads, length, width = held.shape
        buffer = held.new_empty(rows, heads, end + self._room, width)
        buffer[:, :, :length] = held
        return buffer
