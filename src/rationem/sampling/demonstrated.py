"""Which demonstrations an E-step shows: decided once, from the ledger, and recorded there.

The user's own are always shown. Without them, iteration 1 shows the task's, and later ones the model's own accepted
drafts of the iteration before: those that make y* most probable without the hint, taken from the levels in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from rationem import progress
from rationem.ledger import Ledger
from rationem.ledger.once import Concluded, once
from rationem.sampling.batches import score_levels
from rationem.sampling.demonstrations import Relatives, dealt, demonstration
from rationem.sampling.hint_leakage import find
from rationem.sampling.schemes import FORWARD, Proposal, Scheme
from rationem.sampling.trials import READABLE, SamplingContext, trial_query
from rationem.seeds import seed_for
from rationem.tasks.demonstration import Demonstration
from rationem.tasks.parse import THINK, THOUGHT
from rationem.types import Engine, Example, Outcome, Purpose, Splits, Trial

#: The name of this phase in the ledger's table ``iterations``.
PHASE = "demonstrations"
#: Accepted drafts that are scored, taken from the levels in turn.
SCORED = 64
#: Drafts chosen for each that is shown: an example is not shown its own relatives.
_SPARE = 2


def demonstrated(
    k: int, data: Splits, scheme: Scheme, run: SamplingContext, engine_for: Callable[[Proposal], Engine]
) -> tuple[Scheme, SamplingContext]:
    """Return the scheme and the context of E-step k: with its demonstrations, or with none once they are dropped.

    Args:
        k: the iteration.
        data: no demonstration is related to an item of its validation or test set.
        scheme: its proposals say which of them show demonstrations.
        run: ``run.demos`` holds the user's, and how many are shown.
        engine_for: maps a proposal to its engine, to score own drafts.
    """
    if not scheme.shows:
        return scheme, run
    held_out = Relatives.of((*data.validation, *data.test))
    showing = replace(run.demos, hidden=run.demos.hidden | held_out)
    run = replace(run, demos=showing)
    record = once(run.ledger, k, PHASE, lambda: Concluded(_decided(k, data, run, engine_for)))
    if record["dropped"]:
        return scheme.bare(), run
    chosen = tuple(Demonstration(**{name: one[name] for name in _NAMES}) for one in record["chosen"])
    return scheme, replace(run, demos=replace(showing, chosen=chosen))


_NAMES = tuple(Demonstration.__dataclass_fields__)


def readable_share(ledger: Ledger, k: int, examples: Sequence[Example]) -> float | None:
    """Return the share of theta_k's drafts on validation items, made without demonstrations, that name an answer.

    None if there are none.
    """
    ids = {x.id for x in examples}
    of = ((example_id, several[-1]) for (example_id, _), several in ledger.outcomes(k, Purpose.EVAL).items())
    said = [last in READABLE for example_id, last in of if example_id in ids and last is not Outcome.ENGINE_FAILED]
    return sum(said) / len(said) if said else None


def _decided(k: int, data: Splits, run: SamplingContext, engine_for: Callable[[Proposal], Engine]) -> dict[str, Any]:
    showing, share = run.demos, readable_share(run.ledger, k - 1, data.validation)
    before = run.ledger.record(k - 1, PHASE) or {}
    reached = showing.until is not None and share is not None and share >= showing.until
    record: dict[str, Any] = {"count": showing.count, "readable": share, "candidates": 0, "chosen": []}
    if reached or before.get("dropped"):
        if reached and not before.get("dropped"):
            progress.say(f"iteration {k}: {share:.0%} of drafts are readable without demonstrations; none are shown.")
        return record | {"dropped": True, "source": "none"}
    if not showing.fills:
        return record | {"dropped": False, "source": "file", "chosen": [asdict(one) for one in showing.chosen]}
    scored = _own_drafts(k, data.train, run, engine_for(FORWARD)) if k > 1 else []
    answers = {run.task.kind.level_of(x.answer) for x in data.train}
    per_level = _SPARE * max(1, math.ceil(showing.count / len(answers)))
    best = [one for one, _ in sorted(scored, key=lambda pair: (-pair[1], pair[0].name))]
    chosen = dealt(best, _SPARE * showing.count, run.task.kind, per_level)
    logps = {one.name: logp for one, logp in scored}
    told = [{**asdict(one), "log_p": round(logps[one.name], 6)} for one in chosen]
    source = "own drafts" if chosen else "task"
    progress.say(f"iteration {k}: demonstrations: {_SAYS[source].format(count=len(chosen), scored=len(scored))}.")
    return record | {"dropped": False, "source": source, "candidates": len(scored), "chosen": told}


_SAYS = {"own drafts": "{count} own drafts of the {scored} that were scored", "task": "the task's own"}


def _own_drafts(
    k: int, train: Sequence[Example], run: SamplingContext, engine: Engine
) -> list[tuple[Demonstration, float]]:
    """Return accepted drafts of iteration k - 1 and log p(y* | x, z) of each, without the hint, by theta_{k-1}."""
    examples = {x.id: x for x in train}
    trials: dict[str, Trial] = {}
    for trial in run.ledger.trials(k - 1, Purpose.TRAIN):
        if (x := examples.get(trial.example_id)) is not None and _can_be_shown(trial, x, run):
            trials.setdefault(trial.example_id, trial)
    order = sorted(trials, key=lambda example_id: seed_for(run.seed, k, "demos", example_id))
    found = [_of_draft(examples[name], trials[name]) for name in order]
    some = dealt([one for one in found if not run.demos.hidden.has(one)], SCORED, run.task.kind)
    queries = {one.name: trial_query(trials[one.name], examples[one.name], FORWARD, engine, run) for one in some}
    logps = score_levels({name: query for name, query in queries.items() if query is not None}, engine)
    place = run.task.kind.place
    return [(one, logps[one.name][place(examples[one.name].answer)]) for one in some if one.name in logps]


def _of_draft(x: Example, trial: Trial) -> Demonstration:
    """Return a draft as a demonstration; its own answer fits its rationale, and differs from y* at most in words."""
    return replace(demonstration(x, trial.parsed.rationale), answer=trial.parsed.answer or x.answer)


def _can_be_shown(trial: Trial, x: Example, run: SamplingContext) -> bool:
    """Return whether a draft is right and whole, gives reasons, and holds neither a word of a hint nor a thought."""
    rationale, answer = trial.parsed.rationale, trial.parsed.answer
    if trial.outcome is not Outcome.ACCEPTED or trial.draft.closed or not rationale.strip() or answer is None:
        return False
    if not run.task.kind.says(trial, x.answer):
        return False
    if THINK in rationale or THOUGHT in rationale or find(rationale, run.leaks.phrases) is not None:
        return False
    return run.task.parse(run.task.format(rationale, answer)).rationale == rationale
