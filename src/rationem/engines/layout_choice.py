"""Finds a correct way to compute rows together for a model, by comparing batched rows with single rows.

A few short rows of different lengths are read alone, without padding, mask or state. Their log-probabilities are the
reference. A way is correct if batched rows agree with it: sampled step by step, scored by token, scored by tail. The
architecture's name is not used. A model is rejected if its forward pass itself depends on other rows of the batch or on
later text, because no way can correct that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from rationem import progress
from rationem.engines.cache import can_join, closed_up
from rationem.engines.forward import Forward, log_probs
from rationem.engines.layouts import Even, Ids, Padded, Reread, Way
from rationem.engines.memory import Fitting, ran_out
from rationem.engines.probe import HALF, SINGLE, Tolerance, compare
from rationem.errors import ModelError
from rationem.seeds import generator

#: (prompt tokens, completion tokens): all different, and sorted differently by each.
_LENGTHS = ((9, 4), (4, 7), (6, 5))
#: Rationale tokens of each completion, before the tails: different, so that gaps occur if the way allows them.
_TAKEN = (0, 3, 2)
#: Single precision: at most 3e-5 measured on 50 architectures; 2e-3 if a family's step differs from its forward.
_EXACT = Tolerance(largest=1e-3, mean=2e-4)
#: Errors of a forward pass or a cache that lacks a requested feature.
_UNABLE = (AssertionError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)

#: Configuration, precision, device and candidates -> the way found, which does not depend on the weights. An unmerged
#: adapter has its base's configuration but other candidates.
_found: dict[tuple[str, ...], str] = {}

_Rows = Sequence[tuple[Ids, Ids]]
_Scores = Sequence[Sequence[float]]


def agreed_way(forward: Forward) -> Way:
    """Return the first way that agrees with the model's forward pass on single rows.

    Raises:
        ModelError: even whole rows, padded on the right, depend on each other; or memory ran out.
    """
    # As one item, so that ``Fitting`` reports exhausted memory.
    (way,) = Fitting("trying the model on a few tokens", 1)([forward], lambda _: [_agreed(forward)])
    return way


def _agreed(forward: Forward) -> Way:
    config, model = forward.model.config, forward.model
    with torch.inference_mode():
        ways = _candidates(forward)
        names = (way.name for way in ways)
        setting = (
            config.to_json_string(),
            str(config._attn_implementation),
            str(model.dtype),
            model.device.type,
            *names,
        )
        if setting not in _found:
            rows = _rows(forward)
            alone = _first(forward, rows)
            if not np.isfinite(np.concatenate(alone)).all():
                return ways[0]  # broken weights: the first draw reports them
            chosen = next((way for way in ways if _agrees(forward, way, rows, alone)), None)
            if chosen is None:
                raise ModelError(_refused(forward, rows, alone))
            _found[setting] = chosen.name
            if chosen.name == Reread.name:
                progress.say(
                    f"{type(model).__name__} has no state that works for batches: every new token reads its row from "
                    "the beginning. That is exact but slow."
                )
    return next(way for way in ways if way.name == _found[setting])


def _candidates(forward: Forward) -> list[Way]:
    """Return the ways that the model's state allows, fastest first."""
    try:
        cache = forward(torch.tensor([[1, 2]], device=forward.device), keep=1)[1]
    except _UNABLE as error:
        if ran_out(error):
            raise
        cache = None
    if type(cache) is not DynamicCache:
        return [Reread(forward)]
    even: list[Way] = [Even(forward)] if can_join(cache) else []
    if any(hasattr(layer, "recurrent_states") for layer in cache.layers):
        return [*even, Reread(forward)]
    # A gap among the columns narrows a sliding window, and may change a distance bias: both are tried.
    gaps = [True, False] if all(type(layer) is DynamicLayer for layer in cache.layers) else [False]
    return [*(Padded(forward, gaps=allowed) for allowed in gaps), *even, Reread(forward)]


def _rows(forward: Forward) -> list[tuple[Ids, Ids]]:
    draw = generator(0, "agreement")

    def ids(count: int) -> Ids:
        return tuple(draw.integers(forward.vocabulary, size=count).tolist())

    return [(ids(first), ids(then)) for first, then in _LENGTHS]


def _first(forward: Forward, rows: _Rows) -> list[tuple[float, ...]]:
    """Return the reference of single rows, in the first call of a model.

    Raises:
        ModelError: the model does not run.
    """
    try:
        return _alone(forward, rows)
    except _UNABLE as error:
        if ran_out(error):
            raise
        raise ModelError(f"{type(forward.model).__name__} fails on a few tokens: {error}") from error


def _alone(forward: Forward, rows: _Rows) -> list[tuple[float, ...]]:
    """Return the log-probabilities of each completion's tokens, each row read alone."""
    return [Reread(forward).tokens([row], 1, 1)[0] for row in rows]


def _agrees(forward: Forward, way: Way, rows: _Rows, alone: _Scores) -> bool:
    """Say whether a way agrees with single rows in all its functions."""
    # The last resort can differ only by rounding: only gross differences reject a model.
    single = SINGLE if way.name == Reread.name else _EXACT
    try:
        return all(_close(forward, said, wanted, single) for said, wanted in _asked(forward, way, rows, alone))
    except _UNABLE as error:
        if ran_out(error):
            raise
        return False


def _close(forward: Forward, said: _Scores, wanted: _Scores, single: Tolerance = SINGLE) -> bool:
    tolerance = single if forward.model.dtype == torch.float32 else HALF
    found = compare(np.concatenate(said), np.concatenate(wanted), None, tolerance)
    return found.largest <= tolerance.largest and found.mean <= tolerance.mean  # False for nan


def _asked(forward: Forward, way: Way, rows: _Rows, alone: _Scores) -> Iterator[tuple[_Scores, _Scores]]:
    """Yield (a way's log-probabilities, the reference): scored by token, as sampled, scored by tail."""
    yield way.tokens(rows, len(rows), len(rows) * forward.vocabulary * 4), alone  # in pieces of four positions
    yield _drawn(forward, way, rows), alone
    begun = [(prompt, rest[:taken]) for taken, (prompt, rest) in zip(_TAKEN, rows, strict=True)]
    tails = [(rest[taken:], rest[taken:-1]) for taken, (_, rest) in zip(_TAKEN, rows, strict=True)]
    wanted = [(sum(one[taken:]), sum(one[taken:-1])) for taken, one in zip(_TAKEN, alone, strict=True)]
    yield way.tails(begun, tails), wanted


def _drawn(forward: Forward, way: Way, rows: _Rows) -> list[list[float]]:
    """Return the completions' log-probabilities as in sampling: step by step, dropping rows as they end."""
    scores: list[list[float]] = [[] for _ in rows]
    steps, held = way.steps([prompt for prompt, _ in rows], max(then for _, then in _LENGTHS)), list(range(len(rows)))
    tokens = [prompt[-1] for prompt, _ in rows]
    while held:
        logits = steps.step(torch.tensor(tokens, device=forward.device))
        wanted = torch.tensor([rows[n][1][len(scores[n])] for n in held], device=forward.device)
        for n, logp in zip(held, log_probs(logits[:, None], wanted[:, None])[:, 0].tolist(), strict=True):
            scores[n].append(logp)
        stay = closed_up([len(scores[n]) < len(rows[n][1]) for n in held])
        held = [held[place] for place in stay]
        if held:
            steps.keep(stay)
        tokens = [rows[n][1][len(scores[n]) - 1] for n in held]
    return scores


def _refused(forward: Forward, rows: _Rows, alone: _Scores) -> str:
    """Return why no way is correct: the model sees later tokens, or rows affect each other."""
    name = type(forward.model).__name__
    longer = _alone(forward, [(prompt, (*rest, *prompt)) for prompt, rest in rows])
    if not _close(forward, [one[: len(rest)] for one, (_, rest) in zip(longer, rows, strict=True)], alone):
        return (
            f"{name} is not causal: a token's probability changes with the tokens after it, so "
            "it cannot write a rationale. Give a causal language model as --model."
        )
    return (
        f"{name} gives a text other probabilities in a batch than alone, even without padding or a cache, so numbers "
        "computed with it would be meaningless. Give another --model."
    )
