"""Whether training can start: a few drafts before the first E-step, and a check after every E-step.

A rationale without a readable verdict is never accepted. A model that writes few verdict lines therefore keeps next to
nothing, and what follows measures the base model again. Both checks say so while there is still something to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rationem import progress
from rationem.errors import ColdStart
from rationem.ledger import Ledger
from rationem.sampling.draw import draw
from rationem.sampling.schemes import FORWARD, Proposal, Scheme
from rationem.sampling.trials import READABLE, DrawRequest, SamplingContext, fits
from rationem.seeds import seed_for
from rationem.types import Engine, Example, Finish, Outcome, Purpose, State, Trial

#: The name of this phase in the ledger's table ``iterations``.
PHASE = "start"
#: Training examples that are probed, one draft each for every proposal.
PROBED = 32
#: A share of readable drafts below this calls for another setting.
LEAST = 0.3
#: An E-step that keeps less than this share of its examples, and reads less than LEAST, has failed.
KEPT = 0.1
#: Shown drafts of the probe, and the characters shown of each.
_SHOWN, _WIDTH = 2, 240


@dataclass(frozen=True, slots=True)
class Shares:
    """Counts of drafts under one proposal.

    Args:
        proposal: its name.
        drafts: the number of drafts, without those that the engine failed.
        readable: drafts with a verdict, right or wrong.
        cut: drafts that reached the length limit.
        right: drafts that reached y*.
    """

    proposal: str
    drafts: int
    readable: int
    cut: int
    right: int

    @property
    def told(self) -> str:
        """One line for people."""
        count = f"{self.drafts} {self.proposal} {'draft' if self.drafts == 1 else 'drafts'}"
        return f"{count}: {self.readable} readable, {self.cut} cut off, {self.right} right"

    @property
    def counts(self) -> dict[str, int]:
        """The counts, as JSON."""
        return {"drafts": self.drafts, "readable": self.readable, "cut": self.cut, "right": self.right}

    @property
    def poor(self) -> bool:
        """Whether too few drafts are readable."""
        return self.readable < LEAST * self.drafts


def probe_start(
    train: Sequence[Example],
    scheme: Scheme,
    engine_for: Callable[[Proposal], Engine],
    run: SamplingContext,
    *,
    examples: int = PROBED,
) -> None:
    """Draw once per proposal for some training examples, print the outcomes, and record them; done once in a run.

    The sampling settings are those of the E-steps. The examples depend on the run's seed.

    Args:
        train: the training examples.
        scheme: its sampled proposals are probed, and the forward prompt.
        engine_for: maps a proposal to its engine on theta_0.
        examples: the maximum number of training examples.
    """
    if run.ledger.record(0, PHASE) is not None:
        return
    started = time.perf_counter()
    chosen = sorted(train, key=lambda x: seed_for(run.seed, "start", x.id))[:examples]
    asked = [one for one in dict.fromkeys((FORWARD, *scheme.plan)) if one.prompt in ("forward", "rationalize")]
    for number, proposal in enumerate(asked):
        engine = engine_for(proposal)
        fitting = [x for x in chosen if fits(x, (proposal,), engine, run)]
        requests = [DrawRequest(x, number) for x in fitting]
        label = f"before the first iteration, {proposal}"
        draw(requests, proposal, engine, run, iteration=0, purpose=Purpose.START, label=label)
    trials = list(run.ledger.trials(0, Purpose.START))
    found = shares(trials)
    for line in told(found, trials, run.sampling.max_new_tokens, sampled(scheme)):
        progress.say(line)
    record = {one.proposal: one.counts for one in found}
    run.ledger.finish(0, PHASE, seconds=time.perf_counter() - started, record=record)


def shares(trials: Sequence[Trial]) -> list[Shares]:
    """Count the served drafts of each proposal, in the order of the plan."""
    served: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.attempt):
        if trial.outcome is not Outcome.ENGINE_FAILED:
            served.setdefault(trial.proposal, []).append(trial)
    return [
        Shares(
            name,
            len(drawn),
            sum(trial.outcome in READABLE for trial in drawn),
            sum(trial.draft.finish is Finish.LENGTH for trial in drawn),
            sum(trial.outcome in (Outcome.ACCEPTED, Outcome.LEAKED) for trial in drawn),
        )
        for name, drawn in served.items()
    ]


def sampled(scheme: Scheme) -> set[str]:
    """Return the names of the proposals that an E-step samples from: only these must be readable."""
    return {str(one) for one in scheme.plan if scheme.generates(str(one))}


def told(found: Sequence[Shares], trials: Sequence[Trial], max_new_tokens: int, needed: Collection[str]) -> list[str]:
    """Return the lines of the probe: counts, and two drafts and advice where too few drafts are readable.

    Args:
        found: the counts of all probed proposals.
        trials: the probe's trials.
        max_new_tokens: the length limit.
        needed: the proposals that must be readable; see :func:`sampled`.
    """
    lines = [f"before the first iteration: {one.told}" for one in found]
    poor = [one for one in found if one.poor and one.proposal in needed]
    if poor:
        lines += [f"a draft ({trial.proposal}): {_short(trial.draft.text)}" for trial in _two(trials)]
        lines.append(f"Warning: {advice(poor, max_new_tokens)}")
    return lines


def advice(poor: Sequence[Shares], max_new_tokens: int) -> str:
    """Return what to do about proposals whose drafts cannot be read."""
    drafts, cut = sum(one.drafts for one in poor), sum(one.cut for one in poor)
    text = f"fewer than {LEAST:.0%} of the {' and '.join(one.proposal for one in poor)} drafts can be read. "
    if cut > drafts / 2:
        text += f"Most reach the length limit of {max_new_tokens} tokens: raise --max-new-tokens. "
    return text + (
        "A model that does not write the verdict line learns it from solved examples (--demos 4), or the line is added "
        "to each draft (--close). rationem prompt shows what the model is asked."
    )


def refuse_cold_start(ledger: Ledger, iteration: int) -> None:
    """Refuse to train on an E-step that kept nothing, or next to nothing of drafts that could not be read.

    Examples whose prompts are too long do not count. What was drawn stays in the ledger.

    Raises:
        ColdStart: the E-step kept nothing, or less than KEPT of its examples while less than LEAST could be read.
    """
    outcomes = (ledger.record(iteration, "e_step") or {}).get("outcomes", {})
    states = ledger.state_counts(iteration)
    asked = sum(count for state, count in states.items() if state != State.TOO_LONG)
    kept = states.get(State.KEPT, 0) + states.get(State.DROPPED_AT_TRAINING, 0)
    drafts = sum(count for outcome, count in outcomes.items() if outcome != Outcome.ENGINE_FAILED)
    readable = sum(outcomes.get(outcome, 0) for outcome in READABLE)
    if kept and (kept >= KEPT * asked or readable >= LEAST * drafts):
        return
    raise ColdStart(
        f"Iteration {iteration} kept {kept} of {asked} examples; of {drafts} drafts {readable} could be read and "
        f"{outcomes.get(Outcome.TRUNCATED, 0)} were cut off. Training on so few teaches nothing about the task. The "
        "drafts are kept. Begin again with another setting (--demos 4, --close, --max-new-tokens, a hinted scheme "
        "such as pps, a larger model), or continue anyway: the same command with --go-on."
    )


def _two(trials: Sequence[Trial]) -> list[Trial]:
    """Return two drafts, of different proposals if there are several, unreadable ones first."""
    served = [trial for trial in trials if trial.outcome is not Outcome.ENGINE_FAILED]
    ranked = sorted(served, key=lambda trial: (trial.outcome in READABLE, trial.attempt))
    first = ranked[:1]
    other = [trial for trial in ranked[1:] if trial.proposal != first[0].proposal] or ranked[1:]
    return [*first, *other[: _SHOWN - 1]]


def _short(text: str) -> str:
    """Return the beginning and the end of a draft on one line."""
    line = " / ".join(text.split("\n"))
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH // 2]} [...] {line[-_WIDTH // 2 :]}"
