"""Which of an example's trials are kept: the second half of a scheme.

============  ==================================================================================================
``first``     the first accepted trial, weight 1; the paper's filter
``all``       every accepted trial, each with an equal share of the weight
``weighted``  every accepted trial, w_m proportional to pi(z_m, y* | x) / q(z_m, y* | x, hint)
``resample``  one accepted trial, drawn with those probabilities (sampling importance resampling)
``pool``      the same, out of the latest 16 accepted trials of all iterations, scored again by the current weights
``chain``     independence Metropolis: the state is last iteration's trial, each new draw a proposal
============  ==================================================================================================

The last four target the posterior pi(z | x, y*; theta_{k-1}) for every proposal. An accepted unhinted draft of the
current model *is* a draw from the posterior: they stop there and keep it.

Sources: Rubin 1987 (resampling); Cappe et al. 2004 (a population of earlier draws); Hastings 1970 (the chain).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, Protocol

from rationem.types import Kept, Outcome, Trial


@dataclass(frozen=True, slots=True)
class Candidate:
    """An accepted trial with its log importance ratio.

    Args:
        log_ratio: log pi(z, y* | x; theta_{k-1}) - log q(z, y*), nats, with q as it was drawn.
        exact: whether it is an unhinted draft of the current model without truncation: q is then pi, and accepted
            drafts follow the posterior. False if graded rewards enter the weights.
    """

    trial: Trial
    log_ratio: float
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """The input of a selector for one example.

    Args:
        trials: this iteration's, in order of attempt.
        candidates: the accepted trials among them, in order, for selectors that weigh.
        remembered: accepted trials of earlier iterations, oldest first, for selectors that remember.
        seed: of the selector's own draws.
    """

    trials: Sequence[Trial]
    candidates: Sequence[Candidate] = ()
    remembered: Sequence[Candidate] = ()
    seed: int = 0


class Selector(Protocol):
    """Maps the trials of an example to the weighted samples that are kept.

    ``weighs`` says whether the reward of an accepted trial enters its weight; ``needs_ratios`` whether candidates must
    be scored under the forward prompt; ``remembers`` which earlier trials the selector receives, the latest ones.
    """

    @property
    def name(self) -> str:
        """The name that users give."""
        ...

    @property
    def weighs(self) -> bool:
        """Whether a graded reward enters the weight."""
        ...

    @property
    def needs_ratios(self) -> bool:
        """Whether it weighs by importance ratios."""
        ...

    @property
    def remembers(self) -> Literal["nothing", "kept", "accepted"]:
        """Which trials of earlier iterations it receives."""
        ...

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return whether no further attempt is needed, given (exact draw?, outcome) of the attempts so far."""
        ...

    def select(self, tried: Tried) -> list[Kept]:
        """Return the kept samples of one example."""
        ...


@dataclass(frozen=True, slots=True)
class First:
    """Stop at the first accepted trial and keep it, weighted by its reward (1 for an exact match)."""

    weighs: bool = True
    name: str = "first"
    needs_ratios: bool = False
    remembers: Literal["nothing"] = "nothing"

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return whether one trial was accepted."""
        return any(outcome is Outcome.ACCEPTED for _, outcome in tried)

    def select(self, tried: Tried) -> list[Kept]:
        """Return the first accepted trial, if any."""
        return All(weighs=self.weighs, cap=1).select(tried)


@dataclass(frozen=True, slots=True)
class All:
    """Run the whole plan and keep every accepted trial, up to a cap; each weighs reward / number kept.

    Because of the division an example weighs as much as under ``first``: more drafts smooth its gradient, and easy
    examples do not outvote hard ones.

    Args:
        weighs: False leaves the reward out of the weight; a graded reward is then only a filter.
    """

    weighs: bool = True
    cap: int | None = None
    name: str = "all"
    needs_ratios: bool = False
    remembers: Literal["nothing"] = "nothing"

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return whether the cap is reached."""
        accepted = sum(outcome is Outcome.ACCEPTED for _, outcome in tried)
        return self.cap is not None and accepted >= self.cap

    def select(self, tried: Tried) -> list[Kept]:
        """Return all accepted trials up to the cap."""
        accepted = [trial for trial in tried.trials if trial.outcome is Outcome.ACCEPTED][: self.cap]
        return [_kept(trial, _reward(trial, self.weighs) / len(accepted)) for trial in accepted]


@dataclass(frozen=True, slots=True)
class Unfiltered:
    """Keep the first trial that names a level, right or wrong: a control that measures the value of the filter."""

    weighs: bool = False
    name: str = "unfiltered"
    needs_ratios: bool = False
    remembers: Literal["nothing"] = "nothing"

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return whether one trial named a level."""
        return any(outcome in (Outcome.ACCEPTED, Outcome.WRONG) for _, outcome in tried)

    def select(self, tried: Tried) -> list[Kept]:
        """Return the first trial with a verdict, if any, with weight 1."""
        said = [trial for trial in tried.trials if trial.outcome in (Outcome.ACCEPTED, Outcome.WRONG)]
        return [_kept(trial, 1.0) for trial in said[:1]]


@dataclass(frozen=True, slots=True)
class Weighted:
    r"""Keep every accepted trial by its posterior weight.

        w_m = r_m rho_m / sum_j r_j rho_j,    rho_m = pi(z_m, y_hat_m | x; theta_{k-1}) / q(z_m, y_hat_m | x, hint)

    The weights of an example sum to 1. With graded rewards r the target is r pi, renormalised.
    """

    weighs: bool = True
    name: str = "weighted"
    needs_ratios: bool = True
    remembers: Literal["nothing"] = "nothing"

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return whether there is an exact draw."""
        return _has_exact(tried)

    def select(self, tried: Tried) -> list[Kept]:
        """Return the accepted trials with their weights, or the exact draw alone."""
        exact = _exact(tried.candidates)
        if exact or not tried.candidates:
            return [_kept(trial, _reward(trial, self.weighs)) for trial in exact]
        weights = _posterior_weights(tried.candidates, self.weighs)
        return [_kept(one.trial, weight) for one, weight in zip(tried.candidates, weights, strict=True) if weight > 0]


@dataclass(frozen=True, slots=True)
class Resample:
    """Keep one accepted trial, drawn with its posterior weight as probability: one training text per example.

    Args:
        remembers: "accepted" draws from the accepted trials of all iterations (``pool``). q of an old trial is the
            probability it was drawn with; pi is scored again. Every iteration adds candidates without extra drafts.
    """

    weighs: bool = True
    name: str = "resample"
    remembers: Literal["nothing", "accepted"] = "nothing"
    needs_ratios: bool = True

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return whether there is an exact draw."""
        return _has_exact(tried)

    def select(self, tried: Tried) -> list[Kept]:
        """Return one trial; the exact draw, if there is one."""
        exact = _exact(tried.candidates)
        pool = [*tried.remembered, *tried.candidates]
        if exact or not pool:
            return [_kept(trial, _reward(trial, self.weighs)) for trial in exact]
        cumulative = list(accumulate(_posterior_weights(pool, self.weighs)))
        chosen = bisect_right(cumulative, _uniforms(tried.seed, 1)[0] * cumulative[-1])
        return [_kept(pool[min(chosen, len(pool) - 1)].trial, 1.0)]


@dataclass(frozen=True, slots=True)
class Chain:
    """Keep the state of one independence Metropolis chain per example; the state is stored in the kept set.

        accept a new draw with probability min(1, rho_new / rho_state),    rho = pi(z, y* | x; theta) / q(z, y*)

    State and proposal are scored by the current weights in every iteration. An exact draw is always accepted.
    """

    weighs: bool = True
    name: str = "chain"
    needs_ratios: bool = True
    remembers: Literal["kept"] = "kept"

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return whether there is an exact draw."""
        return _has_exact(tried)

    def select(self, tried: Tried) -> list[Kept]:
        """Return the state after this iteration's proposals, if there is one."""
        state = tried.remembered[-1] if tried.remembered else None
        for one, uniform in zip(tried.candidates, _uniforms(tried.seed, len(tried.candidates)), strict=True):
            if state is None or one.exact or uniform < math.exp(min(0.0, self._target(one) - self._target(state))):
                state = one
        return [_kept(state.trial, 1.0)] if state else []

    def _target(self, one: Candidate) -> float:
        return _log_weights([one], self.weighs)[0]


#: The selectors that users can name.
SELECTORS: dict[str, Selector] = {
    "first": First(),
    "all": All(),
    "weighted": Weighted(),
    "resample": Resample(),
    "pool": Resample(name="pool", remembers="accepted"),
    "chain": Chain(),
}


def _kept(trial: Trial, weight: float) -> Kept:
    return Kept(trial.example_id, trial.attempt, weight, trial.iteration)


def _reward(trial: Trial, weighs: bool) -> float:
    return trial.reward if weighs else 1.0


def _has_exact(tried: Sequence[tuple[bool, Outcome]]) -> bool:
    return any(exact and outcome is Outcome.ACCEPTED for exact, outcome in tried)


def _exact(candidates: Sequence[Candidate]) -> list[Trial]:
    return [one.trial for one in candidates if one.exact][:1]


def _log_weights(candidates: Sequence[Candidate], weighs: bool) -> list[float]:
    return [one.log_ratio + math.log(_reward(one.trial, weighs)) for one in candidates]


def _posterior_weights(candidates: Sequence[Candidate], weighs: bool) -> list[float]:
    from rationem.metrics.evidence import self_normalised

    return [float(weight) for weight in self_normalised(_log_weights(candidates, weighs))]


def _uniforms(seed: int, count: int) -> list[float]:
    from rationem.seeds import uniforms

    return [float(uniform) for uniform in uniforms(seed, count)]
