r"""Raw and predictive evidence: the probability of the correct answer from sampled rationales (pure numpy).

With draws z_1..z_M ~ pi(. | x) and the exact log pi(level, end of turn | x, z_m) of every level:

    raw         p_hat(y* | x) = 1/M sum_m pi(y* | x, z_m)                    an unscored draw counts 0
    predictive  p~(y | x)     = 1/M sum_m pi(y | x, z_m) / sum_y' pi(y' | x, z_m)
                                                        an unparsed draw contributes the training marginal

Raw is an unbiased estimate of p(y* | x), so its logarithm is a lower bound in expectation. Predictive is what a judge
reports. The two are never mixed. A draft that states no offered level is *unparsed*; one without a verdict marker is
also *unscored*: no level can be scored after it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rationem.types import Prediction

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Log-probabilities come from float32 sums and may exceed 0 by rounding, but by no more than this.
_ROUNDING = 1e-3


def stack(rows: Sequence[Sequence[float] | None], levels: int) -> tuple[Floats, Flags]:
    """Stack the draws' level log-probabilities; None stands for a draw that could not be scored.

    Args:
        rows: one per draw, each of length ``levels``, or None.
        levels: the number of levels L.

    Returns:
        ``level_logps_ML`` of shape (M, L), -inf in unscored rows, and the mask ``scored_M`` of shape (M,).
    """
    scored_M = np.array([row is not None for row in rows], dtype=np.bool_)
    unscored = [-math.inf] * levels
    level_logps_ML = np.array([unscored if row is None else row for row in rows], dtype=np.float64)
    return _checked(level_logps_ML.reshape(len(rows), levels), scored_M)


def restricted(
    level_logps_ML: ArrayLike, marginal_L: ArrayLike, offered_L: Sequence[bool] | None
) -> tuple[Floats, Floats]:
    """Return scores and marginal restricted to the levels that an item offers: the others are impossible.

    Args:
        level_logps_ML: as in :func:`raw`, a row of -inf for a draw that could not be scored.
        marginal_L: as in :func:`predictive`.
        offered_L: which levels are offered, at least one; None for all, which changes nothing.
    """
    logps_ML, marginal = np.asarray(level_logps_ML, dtype=np.float64), np.asarray(marginal_L, dtype=np.float64)
    if offered_L is None:
        return logps_ML, marginal
    is_offered_L = np.asarray(offered_L, dtype=np.bool_)
    kept_L = np.where(is_offered_L, marginal, 0.0)
    return np.where(is_offered_L, logps_ML, -math.inf), kept_L / kept_L.sum()


def raw(level_logps_ML: ArrayLike, scored_M: ArrayLike, answer_index: int) -> float:
    """Return p_hat(y* | x) = mean over ALL drafts of pi(y* | x, z_m); an unscored draft counts 0.

    Args:
        level_logps_ML: log pi(level, end of turn | x, z_m), shape (M, L), nats; rows of unscored draws are
            ignored.
        scored_M: which drafts could be scored, shape (M,).
        answer_index: the rank of y*.

    Raises:
        ValueError: no draw, or scored rows that are not log-probabilities.
    """
    logps_ML, scored = _checked(level_logps_ML, scored_M)
    if len(scored) == 0:
        raise ValueError("Evidence needs at least one draw.")
    return float(np.exp(logps_ML[scored, answer_index]).sum() / len(scored))


def predictive(level_logps_ML: ArrayLike, scored_M: ArrayLike, marginal_L: ArrayLike) -> Floats:
    """Return p~(level | x), shape (L,), summing to 1.

    Args:
        level_logps_ML: as in :func:`raw`.
        scored_M: as in :func:`raw`.
        marginal_L: the training marginal over the levels, which every masked draw contributes, shape (L,).

    Raises:
        ValueError: no draw, scored rows that are not log-probabilities, or a marginal that is not a
        distribution.
    """
    logps_ML, scored = _checked(level_logps_ML, scored_M)
    marginal = np.asarray(marginal_L, dtype=np.float64)
    if len(scored) == 0:
        raise ValueError("Evidence needs at least one draw.")
    if marginal.shape != logps_ML.shape[1:] or (marginal < 0).any() or not math.isclose(marginal.sum(), 1):
        raise ValueError(f"The marginal must be a distribution over {logps_ML.shape[1]} levels; found {marginal}.")
    drawn_ML = logps_ML[scored]
    probs_ML = np.exp(drawn_ML - drawn_ML.max(axis=1, keepdims=True))
    probs_ML /= probs_ML.sum(axis=1, keepdims=True)
    total_L: Floats = probs_ML.sum(axis=0) + (~scored).sum() * marginal
    normalised_L: Floats = total_L / total_L.sum()
    return normalised_L


def predict(
    example_id: str,
    level_logps_ML: ArrayLike,
    scored_M: ArrayLike,
    parsed_M: ArrayLike,
    whole_M: ArrayLike | None = None,
    *,
    answer_index: int,
    marginal_L: ArrayLike,
    levels: Sequence[str],
) -> Prediction:
    """Return the prediction of M sampled rationales for one example: p~, p_hat and the most probable level.

    A draft is *scored* if it reached the verdict marker (then z is complete and enters p_hat, whatever follows), and
    *parsed* if it states an offered level (only then it enters p~; any other contributes the marginal). A scored draft
    that is not *whole* (by default all are: see ``LevelScores``) counts 0 in p_hat. Ties go to the lower rank. If no
    draft could be parsed, ``predicted`` is None: the marginal is not a verdict.

    Raises:
        ValueError: see :func:`raw` and :func:`predictive`.
    """
    whole = scored_M if whole_M is None else np.asarray(whole_M, dtype=np.bool_) & np.asarray(scored_M, dtype=np.bool_)
    parsed = np.asarray(parsed_M, dtype=np.bool_) & np.asarray(scored_M, dtype=np.bool_)
    probs_L = predictive(level_logps_ML, parsed, marginal_L)
    return Prediction(
        example_id=example_id,
        predicted=levels[int(probs_L.argmax())] if parsed.any() else None,
        probabilities=tuple(probs_L.tolist()),
        raw=raw(level_logps_ML, whole, answer_index),
        draws=len(parsed),
        unparsed=int((~parsed).sum()),
    )


def too_long(example_id: str, marginal_L: Sequence[float]) -> Prediction:
    """Return the prediction for an example whose prompt is too long: the marginal, and no verdict."""
    return Prediction(example_id, None, tuple(marginal_L), raw=0.0, draws=0, unparsed=0, too_long=True)


def consensus(said_M: Sequence[str | None], reward: Callable[[str, str], float]) -> tuple[str | None, float]:
    """Return the answer that agrees most with the drafts' answers, argmax_y sum_m r(y_m, y), and that sum / M.

    Of equals the first is returned; without any answer the result is None and 0. With r = 1[y_m = y] it is the
    plurality vote, with a graded reward the minimum Bayes risk choice.

    Args:
        said_M: each draft's answer, None for an unparsed one; at least one draft.
        reward: r(y_hat, y*) in [0, 1].

    Source: Kumar and Byrne, "Minimum Bayes-Risk Decoding for Statistical Machine Translation", 2004.
    """
    counted = Counter(said for said in said_M if said is not None)
    agreed = {one: sum(n * reward(other, one) for other, n in counted.items()) / len(said_M) for one in counted}
    best = max(agreed, key=agreed.__getitem__, default=None)
    return best, 0.0 if best is None else agreed[best]


def predict_open(
    example_id: str,
    answer: str,
    said_M: Sequence[str | None],
    logps_M: Sequence[float | None],
    reward: Callable[[str, str], float],
) -> Prediction:
    """Return the prediction of M sampled rationales for one example with an open answer: their :func:`consensus`.

    Args:
        answer: y*.
        said_M: each draft's answer, None for an unparsed one.
        logps_M: log pi(y*, end of turn | x, z_m), None if a draft could not be scored or counts 0.
        reward: r(y_hat, y*) in [0, 1].

    Raises:
        ValueError: no draw.
    """
    if not said_M:
        raise ValueError("Evidence needs at least one draw.")
    predicted, agreement = consensus(said_M, reward)
    rewards = [0.0 if said is None else reward(said, answer) for said in said_M]
    return Prediction(
        example_id,
        predicted,
        (agreement,),
        raw=sum(math.exp(min(logp, 0.0)) for logp in logps_M if logp is not None) / len(said_M),
        draws=len(said_M),
        unparsed=sum(said is None for said in said_M),
        reward=0.0 if predicted is None else reward(predicted, answer),
        draw_reward=sum(rewards) / len(said_M),
    )


def markov_lower_bound(log_p_hat_N: ArrayLike, delta: float = 0.05) -> float:
    """Return sum_i log p_hat_i - log(1 / delta), at most sum_i log p_i with probability >= 1 - delta.

    By Markov's inequality: the product of independent unbiased estimates is an unbiased estimate of the
    product, and exceeds it 1/delta times with probability at most delta.

    Args:
        log_p_hat_N: log of the raw evidence of each example, shape (N,), nats; one -inf makes the bound -inf.
        delta: in (0, 1].
    """
    if not 0 < delta <= 1:
        raise ValueError(f"delta must be in (0, 1]; found {delta}.")
    return float(np.sum(np.asarray(log_p_hat_N, dtype=np.float64)) + math.log(delta))


def _checked(level_logps_ML: ArrayLike, scored_M: ArrayLike) -> tuple[Floats, Flags]:
    logps_ML = np.asarray(level_logps_ML, dtype=np.float64)
    scored = np.asarray(scored_M, dtype=np.bool_)
    if logps_ML.ndim != 2 or scored.shape != logps_ML.shape[:1]:
        raise ValueError(f"Shapes must be (M, L) and (M,); found {logps_ML.shape} and {scored.shape}.")
    drawn_ML = logps_ML[scored]
    if np.isnan(drawn_ML).any() or (drawn_ML > _ROUNDING).any() or np.isneginf(drawn_ML).all(axis=1).any():
        raise ValueError("Every scored draw needs log-probabilities: no NaN, none above 0, at least one finite.")
    return np.minimum(logps_ML, 0.0), scored
