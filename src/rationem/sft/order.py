"""The samples, order and processes of an M-step, all determined by the seed before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rationem.seeds import generator

_WINDOW = 50  # most batches sorted by length together


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The samples of one forward pass, as indices into the kept set, and N, the number of samples of the whole step."""

    places: tuple[int, ...]
    total: int


def training_order(lengths: Sequence[int], draws: int, batch_size: int, seed: int) -> list[int]:
    """Return the samples of an iteration in training order: consecutive permutations of the kept set.

    Batches run across the ends of permutations, so every step has the same size under every scheme, however much it
    kept. To reduce padding, the samples of up to fifty batches are sorted by length and these batches are shuffled.
    That window is at most as long as a permutation: a longer one would put copies of a sample into one step.

    Args:
        lengths: tokens per sample, length N.
        draws: length of the result; sample n occurs draws // N times or once more.
        batch_size: samples per optimizer step; only the last batch can be smaller.
        seed: determines the order.
    """
    rng = generator(seed, "order")
    places: list[int] = []
    while len(places) < draws:
        places += rng.permutation(len(lengths)).tolist()
    order: list[int] = []
    width = batch_size * max(1, min(_WINDOW, len(lengths) // batch_size))
    for start in range(0, draws, width):
        window = sorted(places[start : min(start + width, draws)], key=lambda place: -lengths[place])
        batches = [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
        whole = len(window) // batch_size
        order += [
            place for i in (*rng.permutation(whole).tolist(), *range(whole, len(batches))) for place in batches[i]
        ]
    return order


def accumulation(count: int, micro_batch_size: int, processes: int) -> int:
    """Return the number of forward passes per process for a step of ``count`` samples."""
    return -(-count // (micro_batch_size * processes))


def micro_batches(
    order: Sequence[int], batch_size: int, micro_batch_size: int, *, process: int = 0, processes: int = 1
) -> list[MicroBatch]:
    """Return the forward passes of one process, in order.

    The samples of a step, sorted by length, are cut into pieces whose sizes differ by at most one. Processes take
    neighbouring pieces at the same time, so none waits long for another. If a step has fewer samples than pieces, some
    pieces are empty, because every process must run the same number of passes. Every sample occurs exactly once.
    """
    mine: list[MicroBatch] = []
    for start in range(0, len(order), batch_size):
        step = order[start : start + batch_size]
        pieces = accumulation(len(step), micro_batch_size, processes) * processes
        for piece in range(process, pieces, processes):
            begin, end = piece * len(step) // pieces, (piece + 1) * len(step) // pieces
            mine.append(MicroBatch(tuple(step[begin:end]), len(step)))
    return mine
