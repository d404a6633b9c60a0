r"""What a selector that weighs keeps of m draws: its exact distribution, where completions are a table (pure numpy).

Draws (z, y_hat) come from q; those with y_hat = y* are accepted and weigh rho(z) = pi(z, y* | x) / q(z, y*). One of the
accepted is kept with its share of the weights (``resample``), or all of them with that share (``weighted``); in
expectation over the draws both are the same:

    kept_m(z) = m q(z, y*) rho(z) E[1 / (rho(z) + rho(Z_2) + ... + rho(Z_m))],       rho = 0 for a draw that is rejected
              = m q(z, y*) rho(z) int_0^inf exp(-t rho(z)) phi(t)^(m - 1) dt,        phi(t) = E[exp(-t rho(Z))]

At m = 1 that is q(z, y*): weighing one draw changes nothing. As m grows, kept_m tends to the posterior pi(z | x, y*).

Sources: Rubin, "The calculation of posterior distributions by data augmentation: comment", 1987 (sampling importance
resampling); Cremer, Morris, Duvenaud, "Reinterpreting Importance-Weighted Autoencoders", arXiv 1704.02916 (the
distribution of what is resampled).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rationem.metrics.evidence.levels import Floats

#: The integral is a sum over u = log t with this step; the error of the trapezoid rule is below exp(-90).
_STEP = 0.1
_NEGLIGIBLE = 45.0  # exp(-45) is below the rounding error of a sum near 1


def resampled(log_q_Z: ArrayLike, log_pi_Z: ArrayLike, draws: int) -> Floats:
    """Return kept_m(z), shape (Z,): the probability that z is what is kept of m draws; the sum is 1 - (1 - Q)^m.

    Q = sum_z q(z, y*) is the probability that a draw is accepted. Divided by their sum these are the distribution of
    what is kept, where something is kept.

    Args:
        log_q_Z: log q(z, y*) of each rationale, shape (Z,), nats; exp of them sums to Q <= 1; -inf allowed.
        log_pi_Z: log pi(z, y* | x) of the same, up to a constant; finite where q is positive.
        draws: m >= 1.

    Raises:
        ValueError: shapes that differ, probabilities that sum to more than 1, or no draw.

    >>> np.round(resampled(np.log([0.5, 0.5]), np.log([0.1, 0.3]), 1), 6).tolist()
    [0.5, 0.5]
    >>> np.round(resampled(np.log([0.5, 0.5]), np.log([0.1, 0.3]), 2), 6).tolist()  # of two unlike draws, 1 : 3
    [0.375, 0.625]
    """
    log_q, log_pi = (np.asarray(one, dtype=np.float64) for one in (log_q_Z, log_pi_Z))
    q = np.exp(log_q)
    if log_q.shape != log_pi.shape or log_q.ndim != 1 or q.sum() > 1 + 1e-9 or draws < 1:
        raise ValueError(
            f"One log-probability each per rationale and at least one draw are needed; found the shapes {log_q.shape} "
            f"and {log_pi.shape}, sum {q.sum():.6g}, {draws} draws."
        )
    held = q > 0
    log_rho = log_pi[held] - log_q[held]
    log_rho -= log_rho.max()  # only ratios of weights matter
    u = np.arange(-_NEGLIGIBLE - np.log(draws), np.log(_NEGLIGIBLE) - log_rho.min() + 1, _STEP)
    decay = np.exp(-np.exp(u[:, None] + log_rho))
    phi = decay @ q[held] + max(0.0, 1 - q.sum())
    kept = np.zeros_like(q)
    kept[held] = draws * q[held] * _STEP * (np.exp(u[:, None] + log_rho) * decay * phi[:, None] ** (draws - 1)).sum(0)
    return kept
