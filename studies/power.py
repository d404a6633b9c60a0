"""What a comparison's intervals hold, how wide they are, and which difference they find: the table of docs/compare.md.

    python studies/power.py

A paired difference of two arms has effects of groups (standard deviation 1), of seeds and of cells (both together,
standard deviation 1). ``ratio`` is the seeds' share of the variance of the mean over the groups' share. The intervals
are those of the product (``metrics.Crossed``).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from rationem.metrics import Crossed

SEEDS, GROUPS, RATIOS = (3, 5, 10), (30, 100, 500), (0.0, 0.3, 1.0)
CELLS = 1.0


@dataclass(frozen=True, slots=True)
class Power:
    """One cell of the table.

    Args:
        coverage: share of 95 % intervals that hold the truth.
        width: mean width over that of the t interval with the true variances.
        detected: the smallest true difference that a test at .05 finds in 80 of 100 repetitions, in standard deviations
            of the groups' effects.
    """

    coverage: float
    width: float
    detected: float


def power(seeds: int, groups: int, ratio: float, *, runs: int = 1000, resamples: int = 1000) -> Power:
    """Return one cell by simulation."""
    rng = np.random.default_rng((seeds, groups, round(10 * ratio)))
    counts_RG = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples) / groups
    of_seed = (ratio * seeds / groups) ** 0.5
    means, halves = np.empty(runs), np.empty(runs)
    for n in range(runs):
        effects_GS = rng.normal(0, 1, (groups, 1)) + rng.normal(0, of_seed, (1, seeds))
        cells_GS = effects_GS + rng.normal(0, CELLS, (groups, seeds))
        low, high = Crossed(cells_GS.mean(axis=0), (counts_RG @ cells_GS).T, groups).interval()
        means[n], halves[n] = (low + high) / 2, (high - low) / 2
    return Power(
        float((abs(means) <= halves).mean()),
        float(halves.mean()) / known(seeds, groups, ratio),
        found_by(means, halves),
    )


def known(seeds: int, groups: int, ratio: float) -> float:
    """Return half the width of the t interval with the true variances and Satterthwaite's degrees of freedom."""
    cells = CELLS**2 / groups / seeds
    items, between = 1 / groups + cells, ratio / groups + cells
    variance = items + between - cells
    parts = ((items, groups - 1), (between, seeds - 1), (cells, (groups - 1) * (seeds - 1)))
    freedom = variance**2 / sum(part**2 / one for part, one in parts)
    return float(t.ppf(0.975, freedom)) * variance**0.5


def found_by(means: np.ndarray, halves: np.ndarray, share: float = 0.8) -> float:
    """Return the shift at which this share of the intervals leaves 0 outside, by bisection."""
    low, high = 0.0, 20 * float(halves.max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if (abs(means + middle) > halves).mean() >= share else (middle, high)
    return high


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="data sets per cell")
    runs = parser.parse_args().runs
    print("| seeds | groups | " + " | ".join(f"ratio {ratio:g}" for ratio in RATIOS) + " |")
    print("|---|---|" + "---|" * len(RATIOS))
    for seeds in SEEDS:
        for groups in GROUPS:
            cells = [power(seeds, groups, ratio, runs=runs) for ratio in RATIOS]
            shown = [f"{one.coverage:.3f}, {one.width:.2f}, {one.detected:.3f}" for one in cells]
            print(f"| {seeds} | {groups} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
