"""The steps of an M-step and their forward passes, all determined by the seed before the first step.

A step holds B examples, each with all its kept samples, whose weights share the example's: an example moves the weights
as much with one kept sample as with many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rationem.seeds import generator

_WINDOW = 50  # most batches sorted by length together


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The samples of one forward pass, as indices into the kept set, and B, the examples of the whole step."""

    places: tuple[int, ...]
    total: int


def training_order(lengths: Sequence[int], draws: int, batch_size: int, seed: int) -> list[int]:
    """Return the kept examples of an iteration in training order: consecutive permutations of them.

    Batches run across the ends of permutations, so every step has the same size under every scheme, however much it
    kept. To reduce padding, the examples of up to fifty batches are sorted by length and these batches are shuffled.
    That window is at most as long as a permutation: a longer one would put copies of an example into one step.

    Args:
        lengths: tokens of each example's longest sample, length N.
        draws: length of the result; example n occurs draws // N times or once more.
        batch_size: examples per optimizer step; only the last batch can be smaller.
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


@dataclass(frozen=True, slots=True)
class Step:
    """The samples of one optimizer step, longest first, as indices into the kept set, and its number of examples."""

    places: tuple[int, ...]
    examples: int


def steps(
    order: Sequence[int], batch_size: int, members: Sequence[Sequence[int]], lengths: Sequence[int]
) -> list[Step]:
    """Return the optimizer steps: B examples each, with all their samples.

    Args:
        order: of the examples, from :func:`training_order`.
        batch_size: B.
        members: the samples of each example.
        lengths: tokens per sample.
    """
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    places = [[place for example in batch for place in members[example]] for batch in batches]
    return [
        Step(tuple(sorted(one, key=lambda place: -lengths[place])), len(batch))
        for one, batch in zip(places, batches, strict=True)
    ]


def accumulation(steps: Sequence[Step], micro_batch_size: int, processes: int) -> int:
    """Return the number of forward passes per process for every step but the last: that of the largest step."""
    return max(_passes(one, micro_batch_size, processes) for one in steps)


def micro_batches(
    steps: Sequence[Step], micro_batch_size: int, *, process: int = 0, processes: int = 1
) -> list[MicroBatch]:
    """Return the forward passes of one process, in order; the same number for every step but the last.

    The samples of a step, sorted by length, are cut into pieces whose sizes differ by at most one. Processes take
    neighbouring pieces at the same time, so none waits long for another. If a step has fewer samples than pieces, some
    pieces are empty, because every process must run the same number of passes; so are the passes of steps with fewer
    samples than the largest one, because the Trainer accumulates over a fixed number. Every sample occurs exactly once.
    """
    most, mine = accumulation(steps, micro_batch_size, processes), []
    for number, step in enumerate(steps, 1):
        passes = _passes(step, micro_batch_size, processes)
        pieces, count = passes * processes, len(step.places)
        for piece in range(process, pieces, processes):
            begin, end = piece * count // pieces, (piece + 1) * count // pieces
            mine.append(MicroBatch(step.places[begin:end], step.examples))
        if number < len(steps):
            mine += [MicroBatch((), step.examples)] * (most - passes)
    return mine


def _passes(step: Step, micro_batch_size: int, processes: int) -> int:
    return -(-len(step.places) // (micro_batch_size * processes))
