"""``--close``: a verdict for a draft that ends, or is cut, without its verdict line.

The draft keeps its text up to its end, or, if it was cut, up to its last line break. The marker is put behind it, the
levels are scored, and one is drawn from their probabilities by the trial's seed. The result is a draw from another
model than pi: it has no likelihood, no exactness claim covers it, and in raw evidence it counts 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from rationem.seeds import seed_for, uniforms
from rationem.tasks.parse import THINK, THOUGHT, cut_line
from rationem.tasks.protocol import Task
from rationem.types import Draft, Engine, Fields, Finish, LevelQuery, Request


@dataclass(frozen=True, slots=True)
class Closing:
    """A draft that is to be closed: it ends with the marker.

    Args:
        query: its levels, under the prompt that it was drawn from; no levels if the answers are open.
        offered: which of them the item offers.
        drawn: the number of tokens that were drawn.
    """

    query: LevelQuery
    offered: tuple[bool, ...]
    drawn: int


def closing_of(draft: Draft, request: Request, fields: Fields, engine: Engine, task: Task) -> Closing | None:
    """Return how to close a draft; None if it has a marker, was not served, or ends inside a thinking block."""
    if draft.finish is Finish.FAILED or task.parse(draft.text).marker_end is not None or _thinks(draft.text):
        return None
    head = draft.text.rstrip() if draft.finish is Finish.STOP else cut_line(draft.text).rstrip()
    stem = f"{head}\n{task.marker}" if head else task.marker
    ids = draft.token_ids[: engine.tokens_within(draft, len(head))]
    begun = replace(draft, text=stem, token_ids=ids, token_logps=())
    (whole,) = engine.completions(LevelQuery(request.prompt, begun, len(stem), ("",)))
    ended = replace(begun, token_ids=whole[:-1], finish=Finish.STOP)  # without the end of turn
    mask = task.kind.mask(fields)
    levels = task.continuations
    return Closing(
        LevelQuery(request.prompt, ended, len(stem), levels), mask or (True,) * len(levels), len(draft.token_ids)
    )


def closed(one: Closing, logps: Sequence[float], request: Request, engine: Engine) -> Draft:
    """Return the closed draft, its level drawn by the request's seed; at temperature 0 the most probable one.

    Args:
        one: from :func:`closing_of`.
        logps: log pi(level | x, z) of its levels; none if the answers are open: it then ends with the marker.
        request: the draft's.
        engine: gives the tokens.
    """
    stem = one.query.draft
    if not logps:
        return replace(stem, closed=one.drawn)
    offered = [logp if there else -math.inf for logp, there in zip(logps, one.offered, strict=True)]
    level = _drawn(offered, request)
    text = f"{stem.text}{one.query.continuations[level]}"
    return replace(stem, text=text, token_ids=engine.completions(one.query)[level], closed=one.drawn)


def close_all(
    drafts: Sequence[Draft], requests: Sequence[Request], fields: Sequence[Fields], engine: Engine, task: Task
) -> list[Draft]:
    """Return the drafts of a batch, those without a verdict line closed."""
    found = list(drafts)
    closings = {
        n: one
        for n, (draft, request, x) in enumerate(zip(drafts, requests, fields, strict=True))
        if (one := closing_of(draft, request, x, engine, task)) is not None
    }
    scored = engine.score_levels([one.query for one in closings.values()]) if task.continuations and closings else []
    for (n, one), logps in zip(closings.items(), scored or [()] * len(closings), strict=True):
        found[n] = closed(one, logps, requests[n], engine)
    return found


def _drawn(logps: Sequence[float], request: Request) -> int:
    top = max(logps)
    if request.sampling.temperature == 0:
        return list(logps).index(top)
    cumulative = list(accumulate(math.exp(logp - top) for logp in logps))
    uniform = float(uniforms(seed_for(request.seed, "close"), 1)[0]) * cumulative[-1]
    last = cumulative.index(cumulative[-1])  # the product may round up to the total
    return next((n for n, mass in enumerate(cumulative) if uniform < mass), last)


def _thinks(text: str) -> bool:
    """Return whether a completion ends inside its thinking block, where a marker counts nothing."""
    return text.lstrip().startswith(THINK) and THOUGHT not in text
