"""The choice of the iteration, made again: in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rationem.metrics import FEWEST_GROUPS
from rationem.report.tables import number

#: Iterations that a smaller share of the resamples choose are not told.
_RARE = 0.05


def again(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the choice is worth: the score on folds that did not choose, and what resamples choose."""
    choice = summary.get("choice")
    if not choice:
        return
    yield (
        f"Where each fifth of the groups is scored by the iteration that the other four fifths choose, the "
        f"{summary['chosen_by']} is {number(choice['score'])} ({_interval(choice['interval'])})."
    )
    often = sorted(((share, -int(k)) for k, share in choice["shares"].items() if share >= _RARE), reverse=True)
    chosen = ", ".join(f"{-k} in {100 * share:.0f} %" for share, k in often)
    yield f"Resamples of the groups choose iteration {chosen}."
    if choice["lower_bound_95"] is not None:
        yield (
            "For the best, chosen by these draws, the truth is at least "
            f"{number(choice['lower_bound_95'])} (95 % sure, for all iterations together)."
        )


def _interval(ends: Sequence[float] | None) -> str:
    if ends is None:
        return f"no interval: it takes {FEWEST_GROUPS} groups"
    return f"95 % interval {number(ends[0])} to {number(ends[1])}, with the choice made again in every resample"
