"""A sampling scheme is data: a plan of proposals, tried in order until one is accepted, and a selector.

====================  ==============================  ========================================================
scheme                plan                            the sampling distribution q of the E-step
====================  ==============================  ========================================================
rejection, budget M   ``(FORWARD,) * M``              accepted draws follow pi(z | x, y*; theta) exactly
STaR                  ``(FORWARD, RATIONALIZE)``      the answer is shown only after a failure
PPS                   ``(RATIONALIZE,)``              the answer is always in the sampling prompt
direct (control)      ``(ANSWER,)``                   no rationale: the M-step sees the answer alone
unfiltered (control)  ``(FORWARD,)``                  whatever names a level is kept, right or wrong
exact                 ``(POSTERIOR,)``                the posterior, by enumeration: enumerated EM, tiny models only
marginal, budget M    ``(FORWARD,) * M``, all drawn   each rationale weighs p(y* | x, z): the answer is summed out
====================  ==============================  ========================================================

The selector decides which drafts are kept (``selectors.py``). Whatever the proposal, the M-step scores the *forward*
prompt; a hint never reaches it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Literal

from rationem.errors import ConfigError, closest
from rationem.sampling.marginal import MARGINALS, SummedOut
from rationem.sampling.selectors import First, Resample, Selector, Unfiltered, selector_named
from rationem.types import Sampling


@dataclass(frozen=True, slots=True)
class Proposal:
    """One way to draw (z, y_hat): a prompt and a model.

    Args:
        prompt: "forward" (x), "rationalize" (x and the hint y*), "answer" (nothing is drawn: the verdict line of y*),
            or "posterior" (pi(z | x, y*) itself, by enumerating the rationales of x).
        model: "current" is theta_{k-1}, "base" the frozen theta_0, "teacher" another model behind a chat server, whose
            likelihoods are unknown.
        demos: whether demonstrations stand before the question (``demonstrations.py``).
    """

    prompt: Literal["forward", "rationalize", "answer", "posterior"] = "forward"
    model: Literal["current", "base", "teacher"] = "current"
    demos: bool = False

    @property
    def hinted(self) -> bool:
        """Whether the answer is in the prompt."""
        return self.prompt == "rationalize"

    def is_exact(self, sampling: Sampling) -> bool:
        """Return whether accepted drafts follow the posterior of the current model; with demonstrations never."""
        if self.demos or self.model != "current":
            return False
        return self.prompt == "posterior" or (self.prompt == "forward" and sampling.exact)

    @property
    def samples(self) -> bool:
        """Whether it generates tokens; an answer is given, a posterior is enumerated."""
        return self.prompt in ("forward", "rationalize")

    def __str__(self) -> str:
        of = "" if self.model == "current" else f"@{self.model}"
        return f"{self.prompt}{'~demos' * self.demos}{of}"


FORWARD = Proposal("forward")
RATIONALIZE = Proposal("rationalize")
ANSWER = Proposal("answer")
POSTERIOR = Proposal("posterior")


@dataclass(frozen=True, slots=True)
class Scheme:
    """A plan and a selector.

    >>> parse_scheme("star").plan == (FORWARD, RATIONALIZE)
    True
    """

    name: str
    plan: tuple[Proposal, ...]
    selector: Selector = field(default_factory=First)

    def __post_init__(self) -> None:
        if not self.plan:
            raise ConfigError(f"The scheme {self.name!r} has an empty plan; give at least one proposal.")

    @property
    def uses_base(self) -> bool:
        """Whether a proposal samples from the frozen base model."""
        return any(proposal.model == "base" for proposal in self.plan)

    @property
    def uses_teacher(self) -> bool:
        """Whether a proposal uses the teacher."""
        return any(proposal.model == "teacher" for proposal in self.plan)

    @property
    def enumerates(self) -> bool:
        """Whether a proposal draws from an enumerated posterior, which lacks the prefixes that were not followed."""
        return any(proposal.prompt == "posterior" for proposal in self.plan)

    @property
    def sums_out(self) -> bool:
        """Whether rationales are weighted by p(y* | x, z), scored after the marker, whatever answer was drawn."""
        return isinstance(self.selector, SummedOut)

    @property
    def most_kept(self) -> int:
        """The largest number of trials of one example that can be kept."""
        return 1 if isinstance(self.selector, First | Resample | Unfiltered) else len(self.plan)

    @property
    def shows(self) -> bool:
        """Whether a proposal shows demonstrations."""
        return any(proposal.demos for proposal in self.plan)

    def showing(self) -> Scheme:
        """Return the scheme with demonstrations: where the plan names none, in all that its own models sample."""
        if self.shows:
            return self
        able = [one.samples and one.model != "teacher" for one in self.plan]
        shown = tuple(replace(one, demos=show) for one, show in zip(self.plan, able, strict=True))
        return replace(self, plan=shown)

    def bare(self) -> Scheme:
        """Return the scheme without demonstrations."""
        return replace(self, plan=tuple(replace(one, demos=False) for one in self.plan))

    def proposal(self, name: str) -> Proposal:
        """Return the proposal of the plan with this name, as recorded in trials, with demonstrations or without.

        Raises:
            ConfigError: the plan has none.
        """
        for proposal in (*self.plan, *self.bare().plan, *self.showing().plan):
            if str(proposal) == name:
                return proposal
        raise ConfigError(f"There are trials of the proposal {name!r}, which is not in the plan of {self.name!r}.")

    def generates(self, name: str) -> bool:
        """Return whether a proposal of the plan generates tokens; an answer is given, a posterior is enumerated."""
        return self.proposal(name).samples


def rejection_sampling(budget: int) -> Scheme:
    """Return rejection sampling with a budget of M forward draws per example; acceptance is 1 - (1 - p)^M."""
    return Scheme(f"rs:{budget}", (FORWARD,) * budget)


STAR = Scheme("star", (FORWARD, RATIONALIZE))
PPS = Scheme("pps", (RATIONALIZE,))
DIRECT = Scheme("direct", (ANSWER,))
UNFILTERED = Scheme("unfiltered", (FORWARD,), Unfiltered())
EXACT = Scheme("exact", (POSTERIOR,))

#: The named schemes; ``parse_scheme`` also reads ``rs:M``, ``marginal:M`` and plans written out.
SCHEMES: dict[str, Scheme] = {
    "star": STAR,
    "pps": PPS,
    "direct": DIRECT,
    "unfiltered": UNFILTERED,
    "exact": EXACT,
}

_TERM = re.compile(r"(forward|rationalize|answer|posterior)(~demos)?(?:@(current|base|teacher))?(?:\*(\d+))?")
_MARGINAL = re.compile(r"marginal:(\d+)")
_MAX_PLAN = 4096


def names_marginal(scheme: str) -> bool:
    """Return whether a setting names a scheme that sums the answer out."""
    return _MARGINAL.fullmatch(scheme.strip().lower()) is not None


def parse_scheme(text: str, selector: str = "first", reward_as: str = "weight") -> Scheme:
    """Read a scheme: a name (``rs:4``, ``star``, ``pps``, ``direct``) or a plan (``forward*4+rationalize@base``).

    Args:
        text: the scheme.
        selector: a name of :data:`rationem.sampling.selectors.SELECTORS`; ``marginal:M`` takes those of
            :data:`rationem.sampling.marginal.MARGINALS`.
        reward_as: "weight" multiplies a kept sample by its reward, "filter" does not.

    Raises:
        ConfigError: a name is unknown or withdrawn, a term is malformed, or the plan is longer than 4,096.

    >>> parse_scheme("forward*2+rationalize@base").plan
    (Proposal(prompt='forward', model='current', demos=False), Proposal(prompt='forward', model='current', \
demos=False), Proposal(prompt='rationalize', model='base', demos=False))
    """
    chosen = selector_named(selector, weighs=reward_as == "weight")
    name = text.strip().lower()
    if name == UNFILTERED.name:
        if selector != "first":
            raise ConfigError(f"The scheme 'unfiltered' keeps one draft per example; omit --selector {selector}.")
        return UNFILTERED
    budget = re.fullmatch(r"rs:(\d+)", name)
    if budget:
        return Scheme(name, (FORWARD,) * _count(budget[1], text), chosen)
    if summed := _MARGINAL.fullmatch(name):
        return _marginal(name, _count(summed[1], text), selector)
    if name in SCHEMES:
        return Scheme(name, SCHEMES[name].plan, chosen)
    plan: list[Proposal] = []
    for term in name.split("+"):
        match = _TERM.fullmatch(term.strip())
        if not match or (match[2] and match[1] in ("answer", "posterior")):
            raise ConfigError(
                f"Unknown scheme {text!r}.{closest(name, SCHEMES)} Use rs:M (rejection sampling with budget M), "
                "marginal:M, star, pps, exact, direct, unfiltered, or a plan such as forward*4+rationalize or "
                "forward~demos+rationalize@base."
            )
        _count(str(len(plan) + _count(match[4] or "1", text)), text)
        one = Proposal(match[1], match[3] or "current", bool(match[2]))  # type: ignore[arg-type]
        plan += [one] * int(match[4] or "1")
    return Scheme(name, tuple(plan), chosen)


def check_sampling(scheme: Scheme, sampling: Sampling) -> None:
    """Reject sampling settings that importance weights cannot correct.

    Raises:
        ConfigError: the selector weighs, but the sampling is greedy or truncated, part of the plan is not drawn, or
            fewer than two drafts would be weighted.
    """
    selector = scheme.selector
    if scheme.sums_out and not sampling.exact:
        raise ConfigError(
            f"The scheme {scheme.name!r} weights rationales drawn at temperature 1 without top-p and top-k; found "
            f"temperature {sampling.temperature}, top-p {sampling.top_p}, top-k {sampling.top_k}. Omit them."
        )
    for one in scheme.plan:
        if one.model == "teacher" and one.prompt in ("answer", "posterior"):
            raise ConfigError(f"A teacher cannot provide {one}: use forward@teacher or rationalize@teacher.")
    if selector.needs_ratios and scheme.uses_teacher:
        raise ConfigError(
            f"The selector {selector.name!r} weights drafts by pi / q, but a teacher does not return the "
            "probabilities of its tokens. Use the selector first or all."
        )
    if all(one.prompt == "posterior" for one in scheme.plan) and not sampling.exact:
        raise ConfigError(
            f"The scheme {scheme.name!r} enumerates: --temperature, --top-p and --top-k have no effect. Omit them."
        )
    if not selector.needs_ratios:
        return
    if not sampling.covers:
        raise ConfigError(
            f"The selector {selector.name!r} weights drafts by pi / q, but at temperature {sampling.temperature}, "
            f"top-p {sampling.top_p} and top-k {sampling.top_k} some completions are never drawn. Use a temperature "
            "above 0, --top-p 1 and --top-k 0, or the selector first or all."
        )
    if any(one.prompt in ("answer", "posterior") for one in scheme.plan):
        raise ConfigError(
            f"The selector {selector.name!r} weights drafts by pi / q, which is undefined for the answer alone and "
            "for an enumerated posterior. Use the selector first or all."
        )
    _check_enough(scheme, sampling)


def _check_enough(scheme: Scheme, sampling: Sampling) -> None:
    """Reject a plan in which a weighing selector has only one draw: its weight is 1, whatever it is."""
    weighed = [one for one in scheme.plan if not one.is_exact(sampling)] or list(scheme.plan)
    if len(weighed) > 1:
        return
    place = scheme.plan.index(weighed[0])
    plan = [*scheme.plan[:place], weighed[0], *scheme.plan[place:]]
    terms = [(str(one), len(list(group))) for one, group in groupby(plan)]
    wanted = "+".join(term if count == 1 else f"{term}*{count}" for term, count in terms)
    raise ConfigError(
        f"The selector {scheme.selector.name!r} weights the drafts of {weighed[0]} relative to each other, but the "
        f"plan {scheme.name!r} makes only one per example, whose weight is always 1. The kept samples approach the "
        f'posterior as the number of drafts grows. Use at least two: --scheme "{wanted}"; or use the selector first.'
    )


def _marginal(name: str, budget: int, selector: str) -> Scheme:
    if budget < 2:
        raise ConfigError(f"The scheme {name!r} weights several rationales of an example: give a budget of 2 or more.")
    return Scheme(name, (FORWARD,) * budget, MARGINALS[selector])


def _count(digits: str, text: str) -> int:
    count = int(digits) if len(digits) <= len(str(_MAX_PLAN)) else 0  # int() refuses thousands of digits
    if not 1 <= count <= _MAX_PLAN:
        raise ConfigError(f"The budget in {text!r} must be between 1 and {_MAX_PLAN}.")
    return count
