"""The log-likelihood that the raters' disagreement leaves attainable.

Whatever probabilities a judge gives an item, its mean log-probability of the item's m ratings is at most minus the
entropy of their shares (Gibbs), so on these very ratings minus the mean entropy is a ceiling without exception. For a
*new* rating the ceiling is -E H(rating | x), and the shares of few raters are too certain: the entropy of shares is too
low on average (Jensen), by about (L - 1) / (2 m) nats for L levels that can occur. Miller's correction adds (levels
seen - 1) / (2 m); it takes off most of the bias from about m = 5 on, and less with two or three raters: of a fair coin,
two ratings have .347 nats on average and .472 corrected, of the true .693.

Source: Miller 1955, "Note on the bias of information estimates"; Paninski 2003, Neural Computation 15.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rationem.metrics.distributions import entropy
from rationem.types import Example


@dataclass(frozen=True, slots=True)
class Attainable:
    """Ceilings of the log-likelihood over the items with two ratings or more, nats per rating.

    Args:
        items: their number.
        raters: their mean number of ratings.
        log_likelihood: of these ratings: minus the mean entropy of each item's shares.
        corrected: of new ratings: the same with Miller's correction; still too high with few raters.
    """

    items: int
    raters: float
    log_likelihood: float
    corrected: float


def attainable(examples: Sequence[Example]) -> Attainable | None:
    """Return the ceilings; None if no item has two ratings.

    >>> attainable([Example("a", {}, "1", "g", ("1", "2")), Example("b", {}, "1", "h", ("1", "1"))])
    Attainable(items=2, raters=2.0, log_likelihood=-0.34657359027997264, corrected=-0.47157359027997264)
    """
    rated = [x.ratings for x in examples if len(x.ratings) > 1]
    if not rated:
        return None
    counts = [Counter(ratings) for ratings in rated]
    plain = [entropy([n / len(of) for n in seen.values()]) for seen, of in zip(counts, rated, strict=True)]
    added = [(len(seen) - 1) / (2 * len(of)) for seen, of in zip(counts, rated, strict=True)]
    mean = sum(plain) / len(rated)
    return Attainable(len(rated), sum(map(len, rated)) / len(rated), 0.0 - mean, 0.0 - mean - sum(added) / len(rated))
