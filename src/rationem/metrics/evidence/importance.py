r"""Evidence from drafts of several proposals: IWAE, mixtures, weights (pure numpy).

For one example, N draws of which M come from pi(. | x) and K from a hinted sampler q(. | x, y*); of draw n are given

    log pi(z_n | x),    log q(z_n | x, y*),    log pi(y* | x, z_n)    with y* teacher-forced, whatever draw n said.

A draft without a verdict marker has no complete z: its log pi(y* | x, z_n) is -inf, its term 0, and it still counts in
N. Dropping it, or dropping the drafts whose own answer was wrong, would bias every estimate below upwards.

    estimate                 p_hat                                                                    log p_hat
    IWAE_K                   1/K sum_k pi(z_k, y* | x) / q(z_k | x, y*)                               too low
    mixture                  1/N sum_n pi(z_n, y* | x) / (M/N pi(z_n | x) + K/N q(z_n | x, y*))       too low

Both p_hat are unbiased if q(z) > 0 wherever pi(z, y* | x) > 0, so their logarithms are lower bounds of log p(y* | x) in
expectation (Jensen). With a maximum length p is that of the rationales within it, which is smaller still.

Sources: Burda, Grosse, Salakhutdinov, "Importance Weighted Autoencoders", arXiv 1509.00519 (IWAE_K, its rise with K);
Veach and Guibas, "Optimally Combining Sampling Techniques for Monte Carlo Rendering", 1995 (the balance heuristic);
Owen, "Monte Carlo theory, methods and examples", 2013, chapter 9 (effective sample size, mixtures).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rationem.metrics.evidence.levels import Floats
from rationem.seeds import generator

#: ``iwae_by_k`` uses all subsets of a size up to this number, otherwise this many seeded ones.
SUBSETS = 500


def log_weights(log_joint_K: ArrayLike, log_q_K: ArrayLike) -> Floats:
    """Return log pi(z_k, y* | x) - log q(z_k | x, y*), shape (K,), nats; -inf if the draft could not be scored.

    Args:
        log_joint_K: log pi(z_k | x) + log pi(y* | x, z_k), shape (K,), nats; -inf if z_k is incomplete.
        log_q_K: log q(z_k | x, y*) of the sampling proposal, shape (K,), nats; ignored if z_k is incomplete.

    Raises:
        ValueError: no draft, different shapes, NaN or +inf, or a complete draft that q cannot have made.
    """
    log_joint, log_q = _vectors(log_joint_K, log_q_K)
    whole = ~np.isneginf(log_joint)
    if np.isneginf(log_q[whole]).any():
        raise ValueError("A draw to which q gives probability 0 cannot be from q; check which sampler drew it.")
    log_w: Floats = np.full(log_joint.shape, -math.inf)
    log_w[whole] = log_joint[whole] - log_q[whole]
    return log_w


def iwae(log_joint_K: ArrayLike, log_q_K: ArrayLike) -> float:
    """Return IWAE_K = log 1/K sum_k pi(z_k, y* | x) / q(z_k | x, y*) over ALL K draws from q, nats.

    Biased downwards: E[IWAE_K] <= E[IWAE_(K+1)] <= log p(y* | x). -inf if no draft could be scored.

    Args:
        log_joint_K: see :func:`log_weights`.
        log_q_K: see :func:`log_weights`.

    Raises:
        ValueError: see :func:`log_weights`.

    >>> round(iwae([-1.0, float("-inf")], [-1.0, -5.0]), 4)  # log of (1 + 0) / 2
    -0.6931
    """
    return _log_mean(log_weights(log_joint_K, log_q_K))


def iwae_by_k(log_joint_K: ArrayLike, log_q_K: ArrayLike, ks: Sequence[int], seed: int = 0) -> tuple[float, ...]:
    """Return the mean of IWAE_k over subsets of k of the K draws, for each k, nats: its rise with k from one sample.

    All subsets if there are at most 500, otherwise 500 drawn with a seed. A mean over subsets estimates E[IWAE_k]
    without bias and with less variance than the first k draws. -inf if one subset has no scored draft.

    Args:
        log_joint_K: see :func:`log_weights`.
        log_q_K: see :func:`log_weights`.
        ks: sizes, each in 1..K.
        seed: of the subsets.

    Raises:
        ValueError: a size out of range; see also :func:`log_weights`.
    """
    log_w_K = log_weights(log_joint_K, log_q_K)
    draws = len(log_w_K)
    if any(not 1 <= k <= draws for k in ks):
        raise ValueError(f"Every k must be in 1..{draws}, the number of draws; found {tuple(ks)}.")
    return tuple(float(np.mean([_log_mean(log_w_K[chosen]) for chosen in _subsets(draws, k, seed)])) for k in ks)


def mixture(
    log_forward_N: ArrayLike,
    log_hinted_N: ArrayLike,
    log_answer_N: ArrayLike,
    forward_draws: int,
    hinted_draws: int,
) -> float:
    """Return log p_hat of the deterministic mixture (balance heuristic), nats: it chooses the iteration.

        p_hat = 1/N sum_n pi(z_n | x) pi(y* | x, z_n) / (M/N pi(z_n | x) + K/N q(z_n | x, y*)),    N = M + K

    p_hat is unbiased, and no term exceeds N / M: a rationale that q almost never draws cannot dominate it, as it can in
    IWAE. log p_hat is biased downwards. With K = 0 it is the log of the raw evidence, with M = 0 it is IWAE_K, with q =
    pi it is the raw evidence of all N drafts. -inf if no draft could be scored.

    Args:
        log_forward_N: log pi(z_n | x), shape (N,), nats; not read if K = 0.
        log_hinted_N: log q(z_n | x, y*), shape (N,), nats; not read if K = 0.
        log_answer_N: log pi(y* | x, z_n), shape (N,), nats; -inf if z_n is incomplete.
        forward_draws: M, the number of the N drafts from pi.
        hinted_draws: K, the number from q.

    Raises:
        ValueError: N is not M + K or is 0, different shapes, NaN or +inf, or a complete draft that neither can have
            made.
    """
    log_forward, log_hinted, log_answer = _vectors(log_forward_N, log_hinted_N, log_answer_N)
    draws = forward_draws + hinted_draws
    if min(forward_draws, hinted_draws) < 0 or draws != len(log_answer):
        raise ValueError(f"{forward_draws} forward and {hinted_draws} hinted draws are not {len(log_answer)} draws.")
    if hinted_draws == 0:
        return _log_mean(log_answer)
    whole = ~np.isneginf(log_answer)
    log_forward, log_hinted, log_answer = log_forward[whole], log_hinted[whole], log_answer[whole]
    log_mix = log_hinted + math.log(hinted_draws / draws)
    if forward_draws:
        log_mix = np.logaddexp(log_mix, log_forward + math.log(forward_draws / draws))
    if np.isneginf(log_mix).any():
        raise ValueError("A complete draw has probability 0 under every sampler in the mixture.")
    return _log_sum(log_forward + log_answer - log_mix) - math.log(draws)


def self_normalised(log_weights_K: ArrayLike) -> Floats:
    """Return w_k / sum_j w_j, shape (K,); all 0 if every weight is 0.

    A ratio of two unbiased estimates: averages under it are consistent, with a bias of order 1/K.

    Args:
        log_weights_K: log w_k, shape (K,), nats; a constant added to all changes nothing.
    """
    (log_w,) = _vectors(log_weights_K)
    total = _log_sum(log_w)
    if math.isinf(total):
        return np.zeros_like(log_w)
    weights: Floats = np.exp(log_w - total)
    return weights


def effective_sample_size(log_weights_K: ArrayLike) -> float:
    """Return (sum w)^2 / sum w^2, in [1, K]; 0 if every weight is 0.

    The number of posterior draws that the K weighted drafts are worth for a mean. It depends only on what was drawn: a
    mode that q misses does not lower it, so it is most optimistic where q is worst.

    Args:
        log_weights_K: log w_k, shape (K,), nats.
    """
    weights = self_normalised(log_weights_K)
    squares = float(np.square(weights).sum())
    return 1.0 / squares if squares > 0 else 0.0


def divergence_bound(iwae_K: float, log_forward_A: ArrayLike, log_hinted_A: ArrayLike) -> float | None:
    """Return a lower bound, in expectation, of KL(q accepted || posterior), nats; None if nothing was accepted.

    Accepted draws follow q(z | x, y*, accepted) = q(z, y* | x, y*) / q(y* | x, y*), so

        KL = log p(y* | x) - E_accepted[log pi(z, y* | x) - log q(z, y* | x, y*)] - log q(y* | x, y*)
           >= IWAE_K - mean over the accepted of (log pi - log q)(z, y*)

    as E[IWAE_K] <= log p and -log q(y* | x, y*) >= 0. Too low by IWAE's bias and by -log of the acceptance; a single
    one may be negative. Where nothing was accepted there is no estimate: state the share of examples that have one.
    Having one selects draws that went well, an error that vanishes as that share goes to 1.

    Args:
        iwae_K: IWAE_K of all K draws, accepted or not.
        log_forward_A: log pi(z, y* | x) of the accepted completions, to the end of turn, shape (A,), nats.
        log_hinted_A: log q(z, y* | x, y*) of the same tokens under the hinted prompt, shape (A,), nats.

    Raises:
        ValueError: shapes that differ, or log-probabilities that are not finite.
    """
    if np.size(log_forward_A) == 0 and np.size(log_hinted_A) == 0:
        return None
    log_forward, log_hinted = _vectors(log_forward_A, log_hinted_A)
    if not (np.isfinite(log_forward).all() and np.isfinite(log_hinted).all()):
        raise ValueError("Accepted completions need finite log-probabilities under both prompts.")
    return None if math.isinf(iwae_K) else iwae_K - float((log_forward - log_hinted).mean())


def _subsets(draws: int, k: int, seed: int) -> list[NDArray[np.int64]]:
    if math.comb(draws, k) <= SUBSETS:
        return [np.array(chosen, dtype=np.int64) for chosen in combinations(range(draws), k)]
    rng = generator(seed, "iwae", draws, k)
    return [rng.permutation(draws)[:k] for _ in range(SUBSETS)]


def _log_sum(logs: Floats) -> float:
    return float(np.logaddexp.reduce(logs)) if len(logs) else -math.inf


def _log_mean(logs: Floats) -> float:
    return _log_sum(logs) - math.log(len(logs))


def _vectors(*given: ArrayLike) -> tuple[Floats, ...]:
    arrays = tuple(np.asarray(one, dtype=np.float64) for one in given)
    shapes = [one.shape for one in arrays]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1 or shapes[0][0] == 0:
        raise ValueError(f"One number per draw, and at least one draw, are needed; found the shapes {shapes}.")
    if any(np.isnan(one).any() or np.isposinf(one).any() for one in arrays):
        raise ValueError("Log-probabilities may be -inf, but neither NaN nor +inf.")
    return arrays
