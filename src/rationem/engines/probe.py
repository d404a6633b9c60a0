"""Verifies that an engine holds the weights it was given, by the log-probabilities of fixed texts.

    e = log pi of the probes' tokens from the engine,   w = the same from transformers on the written checkpoint

A hand-over is correct if e = w up to rounding. Consecutive iterations have similar weights, so a small difference alone
does not distinguish them. With v from the previous weights,

    c = <e - v, w - v> / |w - v|^2

is 1 for the new weights and 0 for the old ones, for any step larger than rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rationem.engines.chat import Chat
from rationem.errors import RunError
from rationem.seeds import generator
from rationem.types import Draft, Engine, Finish, Prompt, TokenQuery

Floats = NDArray[np.float64]

_TEXTS = (
    ("What is 17 + 26?", "17 + 26 is 43, as 7 + 6 is 13 and 10 + 20 + 10 is 40."),
    ("Name a mammal that lays eggs.", "The platypus lays eggs, and so does the echidna.\nFinal rating: 4"),
    ("Is the tone of this letter kind?", "It thanks the reader twice and blames no one, so the tone is kind."),
    ("Summarize: the meeting was moved from Monday to Thursday.", "The meeting is on Thursday now, not on Monday."),
    ("Rate the response on the scale 1 < 2 < 3 < 4 < 5.", "Right, but rude and too long.\nFinal rating: 2"),
    ("Translate into French: good morning", "Bonjour"),
)
_RANDOM, _LENGTH = 2, 64


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Limits of rounding: the largest and the mean difference of a token's log-probability, in nats."""

    largest: float
    mean: float


#: Two implementations in single precision: at most 1e-5 measured, with a margin for other kernels.
SINGLE = Tolerance(largest=1e-2, mean=1e-3)
#: The engine computes in half precision, the reference in single precision.
HALF = Tolerance(largest=1.5, mean=0.1)


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of a probe, in nats per token.

    Args:
        largest: max |e - w|.
        mean: mean |e - w|.
        moved: mean |w - v|, the size of the training step; None without previous weights.
        share: c, the part of that step that the engine has made; None if the step is too small to tell.
    """

    largest: float
    mean: float
    moved: float | None
    share: float | None


def probes(chat: Chat) -> list[TokenQuery]:
    """Return the fixed texts, and some random tokens, which can reveal a stale row of an embedding."""
    written = [TokenQuery(Prompt(prompt), _draft(chat.encode_completion(text))) for prompt, text in _TEXTS]
    vocabulary = np.array(sorted(set(chat.tokenizer.get_vocab().values())))
    drawn = [
        TokenQuery(Prompt(_TEXTS[n][0]), _draft(generator(n, "probe").choice(vocabulary, _LENGTH).tolist()))
        for n in range(_RANDOM)
    ]
    return [*written, *drawn]


def answers(engine: Engine, queries: Sequence[TokenQuery]) -> Floats:
    """Return the log-probability of every token of the probes, one after another, nats."""
    return np.concatenate([np.array(one, dtype=np.float64) for one in engine.score_tokens(queries)])


def compare(said: Floats, wanted: Floats, before: Floats | None, tolerance: Tolerance) -> Probed:
    """Compare the engine's log-probabilities with the reference; see the module.

    Args:
        said: e.
        wanted: w.
        before: v, if the engine held other weights before.
        tolerance: smaller differences and steps count as rounding.
    """
    difference = np.abs(said - wanted)
    largest, mean = float(difference.max()), float(difference.mean())
    if before is None:
        return Probed(largest, mean, None, None)
    step = wanted - before
    # The share's rounding error is about (mean error per token) / |step|, here below a sixth of the threshold 1/2.
    telling = float(np.linalg.norm(step)) > 6 * 2 * tolerance.mean
    share = float((said - before) @ step / (step @ step)) if telling else None
    return Probed(largest, mean, float(np.abs(step).mean()), share)


#: Advice if our own server does not hold the weights it was given.
AGAIN = (
    "Use --handover restart, or another version of the engine; if a fresh start fails too, the engine computes this "
    "model differently from transformers: use --engine transformers."
)


def check(found: Probed, tolerance: Tolerance, checkpoint: str, how: str, advice: str = AGAIN) -> None:
    """Reject an engine that does not hold the weights of a checkpoint.

    Args:
        how: how it got them: "start", "reload", ...
        advice: what the user can do.

    Raises:
        RunError: names the differences and the advice.
    """
    agrees = found.largest <= tolerance.largest and found.mean <= tolerance.mean  # False for a NaN
    if agrees and (found.share is None or found.share > 0.5):
        return
    reading = f"its log-probabilities of the probe texts differ by up to {found.largest:.3g} nats, {found.mean:.3g} on "
    reading += f"average (allowed: {tolerance.largest:g} and {tolerance.mean:g})"
    if found.share is not None:
        reading += f", and show {100 * found.share:.0f} % of the last training step"
    raise RunError(
        f"The engine does not hold the weights of {checkpoint} after a {how}: {reading}. Nothing was sampled with it. "
        f"{advice}"
    )


def _draft(ids: Sequence[int]) -> Draft:
    return Draft("", tuple(ids), Finish.STOP, 0)
