"""A sampling scheme is data: a plan of proposals, tried in order until one is accepted, and a selector.

====================  ==============================  ========================================================
scheme                plan                            the sampling distribution q of the E-step
====================  ==============================  ========================================================
rejection, budget M   ``(FORWARD,) * M``              accepted draws follow pi(z | x, y*; theta) exactly
STaR                  ``(FORWARD, RATIONALIZE)``      the answer is shown only after a failure
PPS                   ``(RATIONALIZE,)``              the answer is always in the sampling prompt
direct (control)      ``(ANSWER,)``                   no rationale: the M-step sees the answer alone
unfiltered (control)  ``(FORWARD,)``                  whatever names a level is kept, right or wrong
====================  ==============================  ========================================================

Whatever the proposal, the M-step scores the *forward* prompt; a hint never reaches it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from rationem.errors import ConfigError, closest
from rationem.types import Kept, Outcome, Trial


@dataclass(frozen=True, slots=True)
class Proposal:
    """One way to draw (z, y_hat): from which prompt, and with whose weights.

    Args:
        prompt: "forward" (x), "rationalize" (x and the hint y*), or "answer" (no draw: the verdict line of y*).
        model: "current" is theta_{k-1}, "base" the frozen theta_0.
    """

    prompt: Literal["forward", "rationalize", "answer"] = "forward"
    model: Literal["current", "base"] = "current"

    @property
    def hinted(self) -> bool:
        """Whether the answer is in the prompt."""
        return self.prompt == "rationalize"

    def __str__(self) -> str:
        return self.prompt if self.model == "current" else f"{self.prompt}@{self.model}"


FORWARD = Proposal("forward")
RATIONALIZE = Proposal("rationalize")
ANSWER = Proposal("answer")


class Selector(Protocol):
    """Maps an example's trials of one iteration to the weighted samples that are kept."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    def satisfied(self, outcomes: Sequence[Outcome]) -> bool:
        """Say whether no further attempt is needed, given the outcomes so far, in order."""
        ...

    def select(self, trials: Sequence[Trial]) -> list[Kept]:
        """Return what is kept of the trials of one example, in order of attempt."""
        ...


@dataclass(frozen=True, slots=True)
class First:
    """Stop at the first accepted trial and keep it, weighted by its reward (1 for an exact match)."""

    name: str = "first"
    weighs: bool = True

    def satisfied(self, outcomes: Sequence[Outcome]) -> bool:
        """Say whether one trial was accepted."""
        return Outcome.ACCEPTED in outcomes

    def select(self, trials: Sequence[Trial]) -> list[Kept]:
        """Return the first accepted trial, if any."""
        return All(cap=1, weighs=self.weighs).select(trials)


@dataclass(frozen=True, slots=True)
class All:
    """Run the whole plan and keep every accepted trial, up to a cap; each weighs reward / number kept.

    With the division an example weighs as much as under ``first``: more draws smooth its gradient, they do not let
    easy examples outvote hard ones.

    Args:
        weighs: False leaves the reward out of the weight: a graded reward is then a filter only.
    """

    cap: int | None = None
    name: str = "all"
    weighs: bool = True

    def satisfied(self, outcomes: Sequence[Outcome]) -> bool:
        """Say whether the cap is reached."""
        return self.cap is not None and list(outcomes).count(Outcome.ACCEPTED) >= self.cap

    def select(self, trials: Sequence[Trial]) -> list[Kept]:
        """Return all accepted trials up to the cap."""
        accepted = [trial for trial in trials if trial.outcome is Outcome.ACCEPTED][: self.cap]
        rewards = [trial.reward if self.weighs else 1.0 for trial in accepted]
        return [
            Kept(trial.example_id, trial.attempt, reward / len(accepted), trial.iteration)
            for trial, reward in zip(accepted, rewards, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Unfiltered:
    """Keep the first trial that names a level, whether it is the right one or not: what the filter is worth."""

    name: str = "unfiltered"

    def satisfied(self, outcomes: Sequence[Outcome]) -> bool:
        """Say whether one trial named a level."""
        return Outcome.ACCEPTED in outcomes or Outcome.WRONG in outcomes

    def select(self, trials: Sequence[Trial]) -> list[Kept]:
        """Return the first trial with a verdict, if any, with weight 1."""
        said = [trial for trial in trials if trial.outcome in (Outcome.ACCEPTED, Outcome.WRONG)]
        return [Kept(trial.example_id, trial.attempt, 1.0, trial.iteration) for trial in said[:1]]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A plan and a selector.

    >>> parse_scheme("star").plan == (FORWARD, RATIONALIZE)
    True
    """

    name: str
    plan: tuple[Proposal, ...]
    selector: Selector = First()

    def __post_init__(self) -> None:
        if not self.plan:
            raise ConfigError(f"The scheme {self.name!r} has an empty plan; give at least one proposal.")

    @property
    def uses_base(self) -> bool:
        """Whether a proposal samples from the frozen base model."""
        return any(proposal.model == "base" for proposal in self.plan)


def rejection_sampling(budget: int) -> Scheme:
    """Return rejection sampling with a budget of M forward draws per example; acceptance is 1 - (1 - p)^M."""
    return Scheme(f"rs:{budget}", (FORWARD,) * budget)


STAR = Scheme("star", (FORWARD, RATIONALIZE))
PPS = Scheme("pps", (RATIONALIZE,))
DIRECT = Scheme("direct", (ANSWER,))
UNFILTERED = Scheme("unfiltered", (FORWARD,), Unfiltered())

#: The named schemes; ``parse_scheme`` also reads ``rs:M`` and plans written out.
SCHEMES: dict[str, Scheme] = {"star": STAR, "pps": PPS, "direct": DIRECT, "unfiltered": UNFILTERED}

SELECTORS: dict[str, First | All] = {"first": First(), "all": All()}

_TERM = re.compile(r"(forward|rationalize|answer)(?:@(current|base))?(?:\*(\d+))?")
_MAX_PLAN = 4096


def parse_scheme(text: str, selector: str = "first", reward_as: str = "weight") -> Scheme:
    """Read a scheme: a name (``rs:4``, ``star``, ``pps``, ``direct``) or a plan (``forward*4+rationalize@base``).

    Args:
        text: the scheme.
        selector: "first" or "all" of the accepted trials.
        reward_as: "weight" multiplies a kept sample by its reward, "filter" does not.

    Raises:
        ConfigError: the name is unknown, a term is malformed, or the plan is longer than 4,096.

    >>> parse_scheme("forward*2+rationalize@base").plan
    (Proposal(prompt='forward', model='current'), Proposal(prompt='forward', model='current'), \
Proposal(prompt='rationalize', model='base'))
    """
    if selector not in SELECTORS:
        raise ConfigError(f"Unknown selector {selector!r}; known: {', '.join(SELECTORS)}.")
    name, chosen = text.strip().lower(), replace(SELECTORS[selector], weighs=reward_as == "weight")
    if name == UNFILTERED.name:
        if selector != "first":
            raise ConfigError(f"The scheme 'unfiltered' keeps one draw per example; leave --selector {selector} out.")
        return UNFILTERED
    budget = re.fullmatch(r"rs:(\d+)", name)
    if budget:
        return Scheme(name, (FORWARD,) * _count(budget[1], text), chosen)
    if name in SCHEMES:
        return Scheme(name, SCHEMES[name].plan, chosen)
    plan: list[Proposal] = []
    for term in name.split("+"):
        match = _TERM.fullmatch(term.strip())
        if not match:
            raise ConfigError(
                f"Unknown scheme {text!r}.{closest(name, SCHEMES)} Use rs:M (rejection sampling with budget M), star, "
                "pps, direct, unfiltered, or a plan such as forward*4+rationalize or forward+rationalize@base."
            )
        _count(str(len(plan) + _count(match[3] or "1", text)), text)
        plan += [Proposal(match[1], match[2] or "current")] * int(match[3] or "1")  # type: ignore[arg-type]
    return Scheme(name, tuple(plan), chosen)


def _count(digits: str, text: str) -> int:
    count = int(digits)
    if not 1 <= count <= _MAX_PLAN:
        raise ConfigError(f"The budget in {text!r} must be between 1 and {_MAX_PLAN}.")
    return count
