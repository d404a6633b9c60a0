"""Which of an example's trials are kept: the second half of a scheme.

============  ==================================================================================================
``first``     the first accepted trial, weight 1; the paper's filter
``all``       every accepted trial, each with an equal share of the weight
``weighted``  every accepted trial, w_m proportional to pi(z_m, y* | x) / q(z_m, y* | x, hint)
``resample``  one accepted trial, drawn with those probabilities (sampling importance resampling)
============  ==================================================================================================

The last two tend to the posterior pi(z | x, y*; theta_{k-1}) as the number of draws grows, for every proposal. An
accepted unhinted draft of the current model *is* a draw from the posterior: they stop there and keep it.

No selector weighs trials of earlier iterations: theta_{k-1} was trained on them, so memorised trials gain weight over
new ones (decision 040).

Source: Rubin 1987 (resampling).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

from rationem.errors import ConfigError, closest
from rationem.types import Kept, Outcome, Trial


@dataclass(frozen=True, slots=True)
class Candidate:
    """An accepted trial with its log importance ratio.

    Args:
        log_ratio: log pi(z, y* | x; theta_{k-1}) - log q(z, y*), nats, with q as sampled.
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
        seed: of the selector's own draws.
    """

    trials: Sequence[Trial]
    candidates: Sequence[Candidate] = ()
    seed: int = 0


class Selector(Protocol):
    """Maps the trials of an example to the weighted samples that are kept.

    ``weighs`` says whether the reward of an accepted trial enters its weight; ``needs_ratios`` whether candidates must
    be scored under the forward prompt.
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

    The weights of an example sum to 1. With graded rewards r the target is r pi, renormalised. What is kept tends to
    the target as the number of draws grows; of one draw it is that draw, so a plan needs two
    (``metrics.evidence.resampled`` is its distribution).
    """

    weighs: bool = True
    name: str = "weighted"
    needs_ratios: bool = True

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return whether there is an exact draw."""
        return _has_exact(tried)

    def select(self, tried: Tried) -> list[Kept]:
        """Return the accepted trials with their weights, or the exact draw alone."""
        exact = _exact(tried.candidates)
        if exact or not tried.candidates:
            return [_kept(trial, _reward(trial, self.weighs)) for trial in exact]
        weights = posterior_weights(tried.candidates, self.weighs)
        return [_kept(one.trial, weight) for one, weight in zip(tried.candidates, weights, strict=True) if weight > 0]


@dataclass(frozen=True, slots=True)
class Resample:
    """Keep one accepted trial, drawn with its posterior weight as probability: one training text per example."""

    weighs: bool = True
    name: str = "resample"
    needs_ratios: bool = True

    def satisfied(self, tried: Sequence[tuple[bool, Outcome]]) -> bool:
        """Return whether there is an exact draw."""
        return _has_exact(tried)

    def select(self, tried: Tried) -> list[Kept]:
        """Return one trial; the exact draw, if there is one."""
        exact = _exact(tried.candidates)
        if exact or not tried.candidates:
            return [_kept(trial, _reward(trial, self.weighs)) for trial in exact]
        cumulative = list(accumulate(posterior_weights(tried.candidates, self.weighs)))
        chosen = bisect_right(cumulative, _uniform(tried.seed) * cumulative[-1])
        return [_kept(tried.candidates[min(chosen, len(cumulative) - 1)].trial, 1.0)]


def posterior_weights(candidates: Sequence[Candidate], weighs: bool = True) -> list[float]:
    """Return the weights w_m of an example's candidates, which sum to 1.

    Args:
        weighs: whether a graded reward multiplies the ratio.
    """
    from rationem.metrics.evidence import self_normalised

    return [float(weight) for weight in self_normalised(_log_weights(candidates, weighs))]


#: The selectors that users can name.
SELECTORS: dict[str, Selector] = {
    "first": First(),
    "all": All(),
    "weighted": Weighted(),
    "resample": Resample(),
}

_WITHDRAWN = ("pool", "chain")


def selector_named(name: str, *, weighs: bool = True) -> Selector:
    """Return the selector that a user names.

    Args:
        weighs: whether a graded reward enters the weights.

    Raises:
        ConfigError: it is unknown or was withdrawn.
    """
    if name in _WITHDRAWN:
        raise ConfigError(
            f"The selector {name!r} was withdrawn: it weighed draws of earlier iterations by a model that was trained "
            "on them, which favours the draws that the model has memorised. Instead draw twice per example with "
            '--scheme "rationalize@base*2" --selector resample. Runs made with it can still be read and reported.'
        )
    if name not in SELECTORS:
        raise ConfigError(f"Unknown selector {name!r}.{closest(name, SELECTORS)} Known: {', '.join(SELECTORS)}.")
    chosen: Selector = replace(SELECTORS[name], weighs=weighs)  # type: ignore[type-var]
    return chosen


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


def _uniform(seed: int) -> float:
    from rationem.seeds import uniforms

    return float(uniforms(seed, 1)[0])
