"""Make the draws for evidence and hint diagnostics: theta_k on validation items, into the ledger.

The evaluation has already drawn z ~ pi(. | x). Here the hinted sampler q(. | x, y*) draws too, the levels after its
rationales are scored under the forward prompt, and the tokens of both kinds of drafts are scored under both prompts.
The ledger then holds every density that an importance weight needs. Probes hint at a *wrong* level: a sampler whose
rationales follow the question rarely justifies it, a sampler that rationalizes any hint nearly always does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from rationem import metrics
from rationem.evaluation.diagnostics.evidence import evidence_record
from rationem.evaluation.diagnostics.hints import Faithful, hint_record, wrong_hint
from rationem.sampling import hint_leakage
from rationem.sampling.draw import draw
from rationem.sampling.likelihoods import score
from rationem.sampling.schemes import FORWARD, RATIONALIZE
from rationem.sampling.trials import DrawRequest, SamplingContext, fits
from rationem.seeds import seed_for
from rationem.types import Engine, Example, Outcome, Purpose

#: The names of the phases in the ledger's table ``iterations``: on validation items, and at the end on test items.
PHASE, ON_TEST = "evidence", "test_evidence"


def diagnose(
    examples: Sequence[Example],
    engine: Engine,
    run: SamplingContext,
    *,
    train: Sequence[Example],
    iteration: int,
    hinted: int,
    forward: int,
    wrong: int,
    hinted_items: int | None = None,
    phrases: Sequence[str] = hint_leakage.PHRASES,
    faithful: Faithful | None = None,
    phase: str = PHASE,
) -> None:
    """Draw and score what the evidence of theta_k needs, unless it exists; ends the phase.

    Its record is :func:`evidence_record`, with :func:`hint_record` under the key ``hints``.

    Sampling is exact whatever the run's settings are, and no leak filter applies: the sampler is measured as it is.
    Examples whose forward or hinted prompt is too long are left out and counted.

    Args:
        examples: validation or test items, whose unhinted drafts ``evaluate`` has written.
        engine: on theta_k.
        train: provides the marginal, of the item's criterion, that replaces the evidence of an item without any.
        iteration: k.
        hinted: K, hinted drafts per item.
        forward: M, unhinted drafts per item that are scored too; at most as many as were drawn.
        hinted_items: the number of items, chosen by seed, that get hinted drafts, and whose unhinted drafts are scored
            after the hint; None for all.
        wrong: the number of items, chosen by seed, that get one probe.
        phrases: phrases that mention the hint.
        faithful: decides whether a rationale is true of the inputs, if that can be known.
        phase: PHASE or ON_TEST.

    Raises:
        RunError: the engine does not report the likelihood of given tokens.
    """
    if run.ledger.record(iteration, phase) is not None:
        return
    started = time.perf_counter()
    run = run.as_it_is()
    fitting = [x for x in examples if fits(x, (FORWARD, RATIONALIZE), engine, run)]
    some = _some(fitting, hinted_items, "hinted evidence, item", run)
    draw(
        [DrawRequest(x, m) for x in some for m in range(hinted)],
        RATIONALIZE,
        engine,
        run,
        iteration=iteration,
        purpose=Purpose.EVIDENCE,
        label=f"iteration {iteration}, evidence",
        levels_under=FORWARD,
    )
    if hinted:
        _score(some, hinted, Purpose.EVIDENCE, engine, run, iteration)
        _score(some, forward, Purpose.EVAL, engine, run, iteration)
    _draw_wrong(fitting, wrong, engine, run, iteration, examples)
    kind, db = run.task.kind, run.ledger.db
    marginals = metrics.marginals(train, run.task.scale, metrics.parts(examples))

    def marginal_of(example: Example) -> Sequence[float]:
        return marginals[metrics.criterion(example)]

    record = evidence_record(db, iteration, examples, kind, marginal_of, forward=forward, hinted=hinted)
    hints = hint_record(db, iteration, examples, kind, phrases, faithful, seed=run.seed)
    run.ledger.finish(iteration, phase, seconds=time.perf_counter() - started, record={**record, "hints": hints})


def _score(
    examples: Sequence[Example], draws: int, purpose: Purpose, engine: Engine, run: SamplingContext, iteration: int
) -> None:
    by_id = {x.id: x for x in examples}
    trials = [
        trial
        for trial in run.ledger.trials(iteration, purpose)
        if trial.example_id in by_id and trial.attempt < draws and trial.outcome is not Outcome.ENGINE_FAILED
    ]
    for under in (FORWARD, RATIONALIZE):
        label = f"iteration {iteration}, {purpose} draws under the {under} prompt"
        score(trials, by_id, under, engine, run, iteration=iteration, label=label)


def _some(examples: Sequence[Example], count: int | None, what: str, run: SamplingContext) -> list[Example]:
    """Return so many of the examples, the same ones in every iteration of a run."""
    if count is None or count >= len(examples):
        return list(examples)
    return sorted(examples, key=lambda x: (seed_for(run.seed, what, x.id), x.id))[:count]


def _draw_wrong(
    fitting: Sequence[Example],
    wrong: int,
    engine: Engine,
    run: SamplingContext,
    iteration: int,
    examples: Sequence[Example],
) -> None:
    """Draw once for each of the chosen items with a wrong level, or another item's answer, as the hint."""
    chosen = _some(fitting, wrong, "wrong hint, item", run)
    kind = run.task.kind
    able = [x for x in chosen if kind.others(x, examples)]  # with open answers there may be only one
    misled = [replace(x, answer=wrong_hint(x, kind, run.seed, examples)) for x in able]
    draw_requests = [DrawRequest(x, 0) for x in misled if fits(x, (RATIONALIZE,), engine, run)]
    draw(
        draw_requests,
        RATIONALIZE,
        engine,
        run,
        iteration=iteration,
        purpose=Purpose.PROBE,
        label=f"iteration {iteration}, wrong hints",
    )
