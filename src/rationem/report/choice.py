"""The choice of the iteration, made again: in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rationem.metrics import FEWEST_GROUPS
from rationem.report.tables import number

#: Iterations that a smaller share of the resamples choose are not told.
_RARE = 0.05


def reason(summary: Mapping[str, Any]) -> str:
    """Return why the chosen iteration was, as the rest of a sentence about it."""
    by, choice = summary["chosen_by"], summary.get("choice")
    if not choice or not choice["within"]:
        few = f"; --choose-within takes {FEWEST_GROUPS} groups" if summary["config"].get("choose_within") else ""
        return f"has the best {by}{few}"
    errors = f"{choice['within']:g} standard error{'s' * (choice['within'] != 1)}"
    if choice["highest"] == summary["best_iteration"]:
        return f"has the best {by}; each earlier one is beaten by more than {errors} (--choose-within)"
    return (
        f"is the earliest that no other iteration beats by more than {errors} of the paired difference "
        f"(--choose-within); iteration {choice['highest']} has the best {by}"
    )


def _equals(choice: Mapping[str, Any], best: int) -> Iterator[str]:
    """Yield which iterations the one-standard-error rule calls equal, if it does not choose already."""
    if choice["within"] or len(choice["equal"]) < 2:
        return
    named = ", ".join(map(str, choice["equal"]))
    rule = "" if choice["equal"][0] == best else f" --choose-within 1 takes the earliest, {choice['equal'][0]}."
    yield f"No iteration beats {named} by more than one standard error of the paired difference.{rule}"


def again(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the choice is worth: the score on folds that did not choose, and what resamples choose."""
    choice = summary.get("choice")
    if not choice:
        return
    yield (
        f"Where each fifth of the groups is scored by the iteration that the other four fifths choose, the "
        f"{summary['chosen_by']} is {number(choice['score'])} ({_interval(choice['interval'])})."
    )
    yield from _equals(choice, summary["best_iteration"])
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
