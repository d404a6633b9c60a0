"""The trials that ``marginal:M`` trains on: a drawn rationale with y* after its marker.

Nothing is drawn here: the rationale's tokens are those of the training trial, and the verdict's are the tokens whose
probability weighed it. They have a separate purpose, so the drafts are counted as drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rationem.sampling.schemes import FORWARD
from rationem.sampling.trials import SamplingContext, grade, trial_query
from rationem.types import Draft, Engine, Example, Finish, Kept, Purpose, Trial


def write_answered(
    k: int, kept: Sequence[Kept], train: Sequence[Example], run: SamplingContext, engine: Engine
) -> None:
    """Write (z_m, y*) of every kept draft as a trial, unless they are written; one transaction."""
    if not kept or run.ledger.has_trial(k, Purpose.ANSWERED, kept[0].example_id, kept[0].attempt, 0):
        return
    examples = {x.id: x for x in train}
    chosen = {(one.example_id, one.attempt) for one in kept}
    drawn = [t for t in run.ledger.trials(k, Purpose.TRAIN) if (t.example_id, t.attempt) in chosen]
    found = [_answered(trial, examples[trial.example_id], run, engine) for trial in drawn]
    run.ledger.append([trial for trial in found if trial is not None])


def _answered(trial: Trial, example: Example, run: SamplingContext, engine: Engine) -> Trial | None:
    """Return the trial with y* in the place of its verdict; None for an attempt that the engine failed."""
    query = trial_query(trial, example, FORWARD, engine, run)
    if query is None:
        return None
    place = run.task.kind.place(example.answer)
    text = f"{trial.draft.text[: query.upto]}{query.continuations[place]}"
    ids = engine.completions(query)[place]
    draft = Draft(text, ids, Finish.STOP, trial.draft.prompt_tokens, encoded=trial.draft.encoded)
    parsed, outcome, reward = grade(draft, example, run.task, run.threshold)
    return replace(trial, purpose=Purpose.ANSWERED, retry=0, draft=draft, parsed=parsed, outcome=outcome, reward=reward)
