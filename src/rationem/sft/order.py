"""Which samples an M-step trains on, in which order, in which process: decided before the first step, by the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rationem.seeds import generator

_WINDOW = 50  # batches sorted by length together, at most


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The samples of one forward pass, by their places in the kept set, and N, the samples of the whole step."""

    places: tuple[int, ...]
    total: int


def training_order(lengths: Sequence[int], draws: int, batch_size: int, seed: int) -> list[int]:
    """Return which samples an iteration trains on, in order: permutation after permutation, without a gap.

    Batches are full wherever an epoch ends, so a step is worth the same under every scheme, however much it kept. Of
    every fifty batches the samples are sorted by length, so that those of a batch are alike and padding is small; the
    batches are then shuffled. Never of more than a permutation: copies of a sample would come together in one step.

    Args:
        lengths: tokens per sample, length N.
        draws: how many places to fill; sample n comes up draws // N times or once more.
        batch_size: samples per optimizer step; only the last batch can be smaller.
        seed: the order depends on it alone.
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
    """Return how many forward passes every process makes for a step of ``count`` samples."""
    return -(-count // (micro_batch_size * processes))


def micro_batches(
    order: Sequence[int], batch_size: int, micro_batch_size: int, *, process: int = 0, processes: int = 1
) -> list[MicroBatch]:
    """Return what one process computes, forward pass by forward pass.

    The samples of a step, which are sorted by length, are cut into pieces that differ by at most one sample; the
    processes take neighbouring pieces at the same time, so that none waits long for another. Where a step has fewer
    samples than pieces, some are empty: every process makes as many passes. Nothing is repeated, nothing left out.
    """
    mine: list[MicroBatch] = []
    for start in range(0, len(order), batch_size):
        step = order[start : start + batch_size]
        pieces = accumulation(len(step), micro_batch_size, processes) * processes
        for piece in range(process, pieces, processes):
            begin, end = piece * len(step) // pieces, (piece + 1) * len(step) // pieces
            mine.append(MicroBatch(tuple(step[begin:end]), len(step)))
    return mine
