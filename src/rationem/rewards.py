"""Rewards r(y_hat, y*) in [0, 1]: pure functions of two answers that both parsed.

Text that could not be parsed never gets here: it has an outcome of its own, and no reward is earned by it.
"""

from __future__ import annotations


def exact(predicted: str, answer: str) -> float:
    """Return 1[y_hat = y*], the reward of the paper.

    >>> exact("4", "4"), exact("3", "4")
    (1.0, 0.0)
    """
    return float(predicted == answer)
