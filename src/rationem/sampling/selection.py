"""From an E-step's trials to the kept set: likelihoods for weighing selectors, states, counts, training texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from rationem import progress
from rationem.errors import RunError
from rationem.ledger.once import Concluded
from rationem.sampling.answered import write_answered
from rationem.sampling.likelihoods import log_drawn, score
from rationem.sampling.marginal import weighable
from rationem.sampling.schemes import FORWARD, Proposal, Scheme
from rationem.sampling.selectors import Candidate, Tried
from rationem.sampling.trials import SamplingContext
from rationem.seeds import seed_for
from rationem.tasks.protocol import Task
from rationem.types import Engine, Example, Kept, Likelihood, Outcome, Purpose, Sample, State, Trial

#: The purposes of trials that are trained on; if an attempt has both, the last one is used.
TRAINED_ON = (Purpose.TRAIN, Purpose.ANSWERED)

_Likelihoods = dict[tuple[str, int, int, str], Likelihood]


class HasTrials(Protocol):
    """A source of drawn completions: a ledger, or a reader of one (``kept.Reader``)."""

    def trials(self, iteration: int, purpose: Purpose) -> Iterator[Trial]:
        """Iterate over the trials of one iteration."""
        ...


def settle(
    k: int,
    queue: Sequence[Example],
    train: Sequence[Example],
    scheme: Scheme,
    run: SamplingContext,
    engine_for: Callable[[Proposal], Engine],
) -> Concluded:
    """Finish an E-step whose trials are in the ledger: likelihoods if needed, kept set, states, record.

    Args:
        k: the iteration.
        queue: the training examples that were drawn for; the others are too long.
        train: all training examples.
        scheme: its selector decides.
        run: what stays the same over all draws.
        engine_for: maps a proposal to its engine, for likelihoods.

    Raises:
        RunError: see :func:`conclude`.
    """
    if scheme.selector.needs_ratios:
        rescore(k, queue, scheme, run, engine_for)
    end = conclude(k, {x.id for x in queue}, train, scheme, run)
    if scheme.sums_out:
        write_answered(k, end.kept, train, run, engine_for(FORWARD))
    trials = ", ".join(f"{count} {outcome}" for outcome, count in end.record["outcomes"].items())
    progress.say(f"iteration {k}: kept {len(end.kept)} samples of {len(train)} examples; trials: {trials}")
    return end


def rescore(
    k: int, train: Sequence[Example], scheme: Scheme, run: SamplingContext, engine_for: Callable[[Proposal], Engine]
) -> None:
    """Write what a weighing selector needs: log pi(z, y_hat | x; theta_{k-1}) of every accepted trial it may keep.

    An example with an accepted exact draw needs none.
    """
    examples = {x.id: x for x in train}
    accepted = [trial for trial in run.ledger.trials(k, Purpose.TRAIN) if trial.outcome is Outcome.ACCEPTED]
    settled = {trial.example_id for trial in accepted if _settles(trial, k, scheme, run)}
    fresh = [t for t in accepted if t.example_id not in settled and not _is_exact(t, k, scheme, run)]
    if fresh:
        label = f"iteration {k}, E-step, likelihoods"
        score(fresh, examples, FORWARD, engine_for(FORWARD), run, iteration=k, label=label)


def conclude(k: int, queued: set[str], train: Sequence[Example], scheme: Scheme, run: SamplingContext) -> Concluded:
    """Select, give every training example exactly one state, and count the drafts.

    Raises:
        RunError: the engine failed on every request.
    """
    kept: list[Kept] = []
    states: dict[str, State] = {}
    outcomes: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for trials, tried in _tried(k, train, scheme, run):
        for trial in trials:
            outcomes[trial.outcome] += 1
            if scheme.generates(trial.proposal):
                tokens["generated"] += trial.draft.generated
                tokens["prompt"] += trial.draft.prompt_tokens
        chosen = scheme.selector.select(tried)
        kept += chosen
        states[trials[0].example_id] = _state(trials, chosen)
    for x in train:
        states.setdefault(x.id, State.OWED if x.id in queued else State.TOO_LONG)
    if outcomes and set(outcomes) == {Outcome.ENGINE_FAILED}:
        raise RunError(
            f"The engine failed on every request of iteration {k}; nothing was learned. Repair the engine and start "
            "again with another output directory."
        )
    record = {
        "outcomes": dict(sorted(outcomes.items())),
        "generated_tokens": tokens["generated"],
        "prompt_tokens": tokens["prompt"],
    }
    return Concluded(record, kept, states)


def training_samples(
    k: int, kept: Sequence[Kept], train: Sequence[Example], task: Task, ledger: HasTrials
) -> list[Sample]:
    """Return the training texts: forward(x_i), never the sampling prompt, and the exact tokens drawn.

    Only this function builds training text. ``Task.prompt`` takes the fields alone, so y* cannot reach it.
    """
    examples = {x.id: x for x in train}
    drawn = {
        (iteration, trial.example_id, trial.attempt): trial.draft.token_ids
        for iteration in {one.drawn for one in kept}
        for purpose in TRAINED_ON
        for trial in ledger.trials(iteration, purpose)
        if trial.outcome is not Outcome.ENGINE_FAILED
    }
    return [
        Sample(
            one.example_id,
            task.prompt(examples[one.example_id].fields),
            drawn[one.drawn, one.example_id, one.attempt],
            one.weight * examples[one.example_id].weight,
        )
        for one in kept
    ]


def _tried(
    k: int, train: Sequence[Example], scheme: Scheme, run: SamplingContext
) -> Iterator[tuple[list[Trial], Tried]]:
    """Yield the trials of every drawn example, and the input of its selector."""
    if scheme.sums_out:
        yield from _scored(k, train, run)
        return
    weighing = scheme.selector.needs_ratios
    likelihoods = run.ledger.likelihoods(k, Purpose.TRAIN) if weighing else {}
    for example_id, group in groupby(run.ledger.trials(k, Purpose.TRAIN), key=lambda trial: trial.example_id):
        trials = list(group)
        accepted = [trial for trial in trials if trial.outcome is Outcome.ACCEPTED] if weighing else []
        exact = [trial for trial in accepted if _settles(trial, k, scheme, run)]
        candidates = [_candidate(trial, k, scheme, run, likelihoods) for trial in exact or accepted]
        yield trials, Tried(trials, candidates, seed_for(run.seed, k, example_id, "select"))


def _scored(k: int, train: Sequence[Example], run: SamplingContext) -> Iterator[tuple[list[Trial], Tried]]:
    """Yield the same with the log p(y* | x, z_m) of every draft that reached a marker as its log ratio.

    As in the evidence, a draft whose rationale does not end at a token boundary counts 0: see ``LevelScores``. A closed
    draft counts: the answer is then summed out of the model that closes.
    """
    answers = {x.id: x.answer for x in train}
    scored = weighable(run.ledger.db, k)
    for example_id, group in groupby(run.ledger.trials(k, Purpose.TRAIN), key=lambda trial: trial.example_id):
        trials, logps = list(group), scored.get(example_id, {})
        place = run.task.kind.place(answers[example_id])
        served = [t for t in trials if t.outcome is not Outcome.ENGINE_FAILED and t.attempt in logps]
        candidates = [Candidate(trial, logps[trial.attempt][place]) for trial in served]
        yield trials, Tried(trials, candidates, seed_for(run.seed, k, example_id, "select"))


def _candidate(trial: Trial, k: int, scheme: Scheme, run: SamplingContext, likelihoods: _Likelihoods) -> Candidate:
    """Return a trial with log pi - log q, q as it was drawn."""
    if _is_exact(trial, k, scheme, run):
        return Candidate(trial, 0.0, exact=_settles(trial, k, scheme, run))
    key = (trial.example_id, trial.iteration, trial.attempt)
    joint = likelihoods[*key, str(FORWARD)].completion
    return Candidate(trial, joint - log_drawn(trial))


def _settles(trial: Trial, k: int, scheme: Scheme, run: SamplingContext) -> bool:
    """Return whether a trial follows the selector's target; with graded rewards, draws from pi do not."""
    return _is_exact(trial, k, scheme, run) and (run.threshold == 1 or not scheme.selector.weighs)


def _is_exact(trial: Trial, k: int, scheme: Scheme, run: SamplingContext) -> bool:
    exact = scheme.proposal(trial.proposal).is_exact(run.sampling) and not trial.draft.closed
    return trial.iteration == k and exact


def _state(trials: Sequence[Trial], chosen: Sequence[Kept]) -> State:
    if chosen:
        return State.KEPT
    return State.OWED if trials[-1].outcome is Outcome.ENGINE_FAILED else State.EXHAUSTED
