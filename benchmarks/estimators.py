"""Bias and variance of E-step estimators of grad log p(y* | x), exactly, by enumeration of a table of rationales.

python benchmarks/estimators.py

Four rationales with pi(z | x) and p(y* | x, z); a hinted sampler that says y* nine times as often and likes some
rationales more than others. The gradient is with respect to the logits of z and of y given z.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rationem.sampling.marginal import rejection_weights, self_normalised_weights

Floats = NDArray[np.float64]
PRIOR = np.array([0.4, 0.3, 0.2, 0.1])
RIGHT = np.array([0.1, 0.3, 0.0, 0.9])
TASTE = np.array([3.0, 1.0, 1.0, 0.5])


def gradients() -> Floats:
    """Return grad log pi(z, y* | x), one row per rationale."""
    of_z = np.eye(4) - PRIOR
    of_y = np.zeros((4, 4, 2))
    for z in range(4):
        of_y[z, z] = (1 - RIGHT[z], -(1 - RIGHT[z]))
    return np.concatenate([of_z, of_y.reshape(4, 8)], axis=1)


G = gradients()
Drawn = Iterator[tuple[float, Floats]]


def sequences(budget: int) -> Iterator[tuple[float, list[int]]]:
    """Yield every sequence of rationales and its probability."""
    for drawn in itertools.product(range(4), repeat=budget):
        yield math.prod(PRIOR[list(drawn)]), list(drawn)


def rejection(budget: int) -> Drawn:
    """Yield rejection sampling: the first accepted draft, if any."""
    for chance, drawn in sequences(budget):
        weights = rejection_weights(RIGHT[drawn].tolist())
        for weight, z in zip(weights, drawn, strict=True):
            yield chance * weight, G[z]
        yield chance * (1 - sum(weights)), np.zeros(12)


def summed(budget: int, rule: str, rows: str) -> Drawn:
    """Yield ``marginal:M`` with a rule and all its rows or one."""
    weigh = rejection_weights if rule == "rejection" else self_normalised_weights
    for chance, drawn in sequences(budget):
        weights = np.array(weigh(RIGHT[drawn].tolist()))
        total = weights.sum()
        if rows == "all" or not total:
            yield chance, weights @ G[drawn]
        else:
            for weight, z in zip(weights, drawn, strict=True):
                yield chance * weight / total, total * G[z]


def hinted() -> tuple[Floats, float]:
    """Return the hinted sampler's probability of (z, y*) per rationale, and of no acceptance."""
    right, wrong = PRIOR * RIGHT * 9 * TASTE, PRIOR * (1 - RIGHT) * TASTE
    scale = right.sum() + wrong.sum()
    return right / scale, float(wrong.sum() / scale)


def pps() -> Drawn:
    """Yield prompt posterior sampling."""
    accepted, lost = hinted()
    yield from zip(accepted.tolist(), G, strict=True)
    yield lost, np.zeros(12)


def star() -> Drawn:
    """Yield STaR: a hint after a failure."""
    failed = 1 - float(PRIOR @ RIGHT)
    yield from zip((PRIOR * RIGHT).tolist(), G, strict=True)
    for chance, g in pps():
        yield failed * chance, g


def report(name: str, drafts: str, drawn: Drawn, target: Floats) -> None:
    """Print one estimator's row."""
    rows = [(chance, g) for chance, g in drawn if chance > 0]
    assert math.isclose(sum(chance for chance, _ in rows), 1, abs_tol=1e-9)
    mean = sum((chance * g for chance, g in rows), np.zeros(12))
    square = sum(chance * float(g @ g) for chance, g in rows)
    norm = float(np.linalg.norm(target))
    cosine = float(mean @ target) / float(np.linalg.norm(mean)) / norm
    spread = math.sqrt(max(0.0, square - float(mean @ mean)))
    scale = float(mean @ target) / norm**2
    print(
        f"| {name} | {drafts} | {scale:.3f} | {cosine:.4f} | {np.linalg.norm(mean - target) / norm:.3f} "
        f"| {spread / norm:.3f} | {spread / norm / scale:.3f} |"
    )


def main() -> None:
    """Print the table."""
    p = float(PRIOR @ RIGHT)
    target = (PRIOR * RIGHT / p) @ G
    print(f"p(y*|x) = {p:.3f}; columns relative to |grad log p|")
    print("| estimator | drafts | scale | cosine of the mean | bias | sd | sd / scale |\n|---|---|---|---|---|---|---|")
    for budget in (2, 4):
        expected = (1 - (1 - p) ** budget) / p
        report(f"RS({budget})", f"{expected:.2f}", rejection(budget), target)
        for rule in ("rejection", "self-normalised"):
            for rows in ("one", "all"):
                report(f"marginal:{budget}, {rule}, {rows}", str(budget), summed(budget, rule, rows), target)
    report("PPS", "1", pps(), target)
    report("STaR", f"{2 - p:.2f}", star(), target)


if __name__ == "__main__":
    main()
