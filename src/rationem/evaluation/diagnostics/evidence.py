r"""The probability of the correct answers under theta_k: one record per iteration, from the ledger's tables alone.

Per item, M unhinted drafts and on some items K hinted ones; p_hat by ``metrics.evidence``: raw from the unhinted
drafts, IWAE_K from the hinted ones, the mixture from all N, which is M + K or M. The means are of log p_hat, in nats
per item; each is a lower bound of the mean log p(y* | x) in expectation. A mean that one item makes -inf does not exist
(None), and such items are counted.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rationem import metrics
from rationem.ledger.reading import LikelihoodKey, read_level_logps, read_likelihoods, read_trials
from rationem.metrics import evidence
from rationem.metrics.evidence import Floats
from rationem.sampling.schemes import FORWARD, RATIONALIZE
from rationem.tasks.kinds import Kind, has_said
from rationem.types import Example, Likelihood, Purpose, Trial


@dataclass(frozen=True, slots=True)
class AlignedDraws:
    """The drafts of one kind for one item, aligned; -inf if a draft has no complete z, never nan.

    Args:
        log_forward_M: log pi(z | x), shape (M,), nats.
        log_hinted_M: log q(z | x, y*), shape (M,), nats.
        log_answer_M: log pi(y* | x, z), shape (M,), nats.
        said: log-probabilities (forward, hinted) of the complete completions that state y*, nats.
    """

    log_forward_M: Floats
    log_hinted_M: Floats
    log_answer_M: Floats
    said: tuple[tuple[float, float], ...]

    @property
    def log_joint_M(self) -> Floats:
        """log pi(z, y* | x), shape (M,), nats."""
        joint: Floats = self.log_forward_M + self.log_answer_M
        return joint


@dataclass(frozen=True, slots=True)
class Estimates:
    """The estimates of one item, nats: logarithms of p_hat, -inf if it is 0; None without drafts. ``draws`` is N."""

    raw: float | None
    iwae: float | None
    by_k: tuple[float, ...]
    mixture: float
    draws: int
    ess: float
    divergence: float | None


def evidence_record(
    db: sqlite3.Connection,
    iteration: int,
    examples: Sequence[Example],
    kind: Kind,
    marginal_of: Callable[[Example], Sequence[float]],
    *,
    forward: int,
    hinted: int,
) -> dict[str, Any]:
    """Return the evidence of theta_k on the items with drafts; None stands for a value that does not exist.

    ``items``, ``too_long``                items with draws; items left out, as a prompt did not fit
    ``forward_draws``, ``hinted_draws``    M per item; K per item that has hinted draws
    ``hinted_items``                       items with hinted draws: IWAE, effective sample size, divergence are theirs
    ``raw``, ``raw_zero``                  mean log raw evidence; items where it is 0
    ``iwae``, ``iwae_zero``                mean IWAE_K; items where it is -inf
    ``iwae_by_k``                          k -> mean IWAE_k over subsets of the draws: its rise with k
    ``mixture``, ``zero``                  mean log p_hat of the mixture; items where p_hat is 0
    ``score``, ``standard_error``          mean log((N p_hat + mu(y*)) / (N + 1)), p_hat the mixture's, mu the training
                                           marginal (of an open answer :func:`.answer_types.unknown`): one more
                                           draw, which said nothing, so that no item is -inf. For comparing iterations;
                                           the error is of the mean over items, whose groups are independent
    ``lower_bound_95``                     Markov: at most the mean log p(y* | x) with probability >= .95
    ``ess``, ``ess_share``                 mean effective sample size of the hinted draws; its share of K
    ``divergence``, ``divergence_covered`` mean lower bound of KL(q accepted || posterior) over the share of items where
                                           a hinted draw said y*

    Args:
        db: the run's ledger.
        iteration: k.
        examples: validation items.
        kind: the kind of the task.
        marginal_of: example -> training marginal over the levels, all positive.
        forward: M; the first M evaluation drafts are used.
        hinted: K; 0 if no hinted drafts were made.

    Raises:
        ValueError: no drafts are requested, or more than an item has.
    """
    if forward + hinted == 0:
        raise ValueError("Evidence needs drafts; the number of both kinds is 0.")
    estimated = _estimates(db, iteration, examples, kind, forward, hinted)
    items, found, sizes = [x for x, _ in estimated], [one for _, one in estimated], _powers(hinted)
    mixtures = [one.mixture for one in found]
    scores = _scores(estimated, kind, marginal_of)
    of_hinted = [one for one in found if one.iwae is not None]
    bounds = [one.divergence for one in of_hinted if one.divergence is not None]
    ess = _mean([one.ess for one in of_hinted])
    return {
        "items": len(items),
        "too_long": len(examples) - len(items),
        "forward_draws": forward,
        "hinted_draws": hinted,
        "hinted_items": len(of_hinted),
        "raw": _mean([one.raw for one in found]),
        "raw_zero": _zeros([one.raw for one in found]),
        "iwae": _mean([one.iwae for one in of_hinted]),
        "iwae_zero": _zeros([one.iwae for one in of_hinted]),
        "iwae_by_k": {str(k): _mean([one.by_k[n] for one in of_hinted]) for n, k in enumerate(sizes)},
        "mixture": _mean(mixtures),
        "zero": _zeros(mixtures),
        "score": _mean(scores),
        "standard_error": metrics.standard_error(np.array(scores), items, sample=True),
        "lower_bound_95": _per_item_bound(mixtures),
        "ess": ess,
        "ess_share": None if ess is None else ess / hinted,
        "divergence": _mean(bounds),
        "divergence_covered": len(bounds) / len(of_hinted) if of_hinted else None,
    }


def evidence_scores(
    db: sqlite3.Connection,
    iteration: int,
    examples: Sequence[Example],
    kind: Kind,
    marginal_of: Callable[[Example], Sequence[float]],
    *,
    forward: int,
    hinted: int,
) -> dict[str, float]:
    """Return example id -> the score of the item; :func:`evidence_record` has their mean, and explains the
    arguments.
    """
    estimated = _estimates(db, iteration, examples, kind, forward, hinted)
    scores = _scores(estimated, kind, marginal_of)
    return {x.id: score for (x, _), score in zip(estimated, scores, strict=True)}


def estimate(forward: AlignedDraws | None, hinted: AlignedDraws | None, sizes: Sequence[int]) -> Estimates:
    """Return the estimates of one item from its unhinted and its hinted drafts; one kind may be missing.

    Args:
        forward: M draws from pi, scored under both prompts, or under the forward one alone if ``hinted`` is None.
        hinted: K draws from q, scored under both prompts.
        sizes: the k of IWAE_k.
    """
    kinds = [one for one in (forward, hinted) if one is not None]
    mixture = evidence.mixture(
        np.concatenate([one.log_forward_M for one in kinds]),
        np.concatenate([one.log_hinted_M for one in kinds]),
        np.concatenate([one.log_answer_M for one in kinds]),
        0 if forward is None else len(forward.log_answer_M),
        0 if hinted is None else len(hinted.log_answer_M),
    )
    draws = sum(len(one.log_answer_M) for one in kinds)
    raw = None if forward is None else evidence.mixture(*_columns(forward), len(forward.log_answer_M), 0)
    if hinted is None:
        return Estimates(raw, None, (), mixture, draws, 0.0, None)
    log_joint_K, log_q_K = hinted.log_joint_M, hinted.log_hinted_M
    iwae = evidence.iwae(log_joint_K, log_q_K)
    said = np.array(hinted.said).reshape(-1, 2)
    return Estimates(
        raw,
        iwae,
        evidence.iwae_by_k(log_joint_K, log_q_K, sizes),
        mixture,
        draws,
        evidence.effective_sample_size(evidence.log_weights(log_joint_K, log_q_K)),
        evidence.divergence_bound(iwae, said[:, 0], said[:, 1]),
    )


def final(trials: Sequence[Trial]) -> list[Trial]:
    """Return the last trial of every example and attempt: after an engine failure a draft may have been retried.

    Args:
        trials: in the ledger's order, by example, attempt and retry.
    """
    return list({(trial.example_id, trial.attempt): trial for trial in trials}.values())


def _estimates(
    db: sqlite3.Connection,
    iteration: int,
    examples: Sequence[Example],
    kind: Kind,
    forward: int,
    hinted: int,
) -> list[tuple[Example, Estimates]]:
    by_forward = _read(db, iteration, Purpose.EVAL, examples, kind, forward)
    by_hinted = _read(db, iteration, Purpose.EVIDENCE, examples, kind, hinted)
    items = [x for x in examples if x.id in (by_forward if forward else by_hinted)]
    return [(x, estimate(by_forward.get(x.id), by_hinted.get(x.id), _powers(hinted))) for x in items]


def _scores(
    estimated: Sequence[tuple[Example, Estimates]],
    kind: Kind,
    marginal_of: Callable[[Example], Sequence[float]],
) -> list[float]:
    return [_score(one.mixture, kind.log_prior(x.answer, marginal_of(x)), one.draws) for x, one in estimated]


def _columns(draws: AlignedDraws) -> tuple[Floats, Floats, Floats]:
    return draws.log_forward_M, draws.log_hinted_M, draws.log_answer_M


def _read(
    db: sqlite3.Connection,
    iteration: int,
    purpose: Purpose,
    examples: Sequence[Example],
    kind: Kind,
    draws: int,
) -> dict[str, AlignedDraws]:
    """Return example id -> drafts 0 to ``draws`` - 1 of one purpose, of the examples that have any."""
    of = {x.id: x.answer for x in examples}
    scored = read_level_logps(db, iteration, purpose, whole=True)
    likelihoods = read_likelihoods(db, iteration, purpose)
    drawn: dict[str, list[Trial]] = {}
    for trial in final(list(read_trials(db, iteration, purpose))):
        if trial.example_id in of and trial.attempt < draws:
            drawn.setdefault(trial.example_id, []).append(trial)
    for example_id, trials in drawn.items():
        if len(trials) != draws:
            raise ValueError(
                f"Iteration {iteration} has {len(trials)} {purpose} drafts of {example_id!r}, not the {draws} "
                "requested. Likelihoods are comparable only at equal numbers of drafts: request the number that was "
                "drawn."
            )
    return {
        example_id: _align(trials, of[example_id], kind, scored.get(example_id, {}), likelihoods)
        for example_id, trials in drawn.items()
    }


def _align(
    trials: Sequence[Trial],
    answer: str,
    kind: Kind,
    scored: Mapping[int, Sequence[float]],
    likelihoods: Mapping[LikelihoodKey, Likelihood],
) -> AlignedDraws:
    forward, hinted, of_answer, said = [], [], [], []
    for trial in trials:
        key = trial.example_id, trial.iteration, trial.attempt
        under_forward, under_hinted = (likelihoods.get((*key, str(one))) for one in (FORWARD, RATIONALIZE))
        logps = scored.get(trial.attempt)
        forward.append(_rationale(under_forward))
        hinted.append(_rationale(under_hinted))
        of_answer.append(-math.inf if logps is None else logps[kind.place(answer)])
        if has_said(trial, answer) and under_forward is not None and under_hinted is not None:
            said.append((under_forward.completion, under_hinted.completion))
    return AlignedDraws(np.array(forward), np.array(hinted), np.array(of_answer), tuple(said))


def _rationale(of: Likelihood | None) -> float:
    return -math.inf if of is None or of.rationale is None else of.rationale


def _score(log_p_hat: float, log_prior: float, draws: int) -> float:
    """Return log((N p_hat + mu) / (N + 1)): finite, and increasing in p_hat."""
    return float(np.logaddexp(math.log(draws) + log_p_hat, log_prior)) - math.log(draws + 1)


def _powers(hinted: int) -> tuple[int, ...]:
    """Return 1, 2, 4, ... below K, and K."""
    return (*(2**n for n in range(max(hinted - 1, 0).bit_length())), hinted) if hinted else ()


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None without values, or if one is missing or infinite."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _zeros(logs: Sequence[float | None]) -> int:
    return sum(log is not None and math.isinf(log) for log in logs)


def _per_item_bound(logs: Sequence[float]) -> float | None:
    bound = evidence.markov_lower_bound(logs)
    return bound / len(logs) if logs and math.isfinite(bound) else None
