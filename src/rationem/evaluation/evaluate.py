"""From examples to predictions to metrics: n unhinted drafts per example, with the levels scored after each.

Evaluation always samples from the forward prompt, whatever the scheme, at temperature 1 without top-p and top-k, and
with a fixed number of drafts: averages over different numbers of drafts cannot be compared.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rationem import metrics
from rationem.ledger import Ledger
from rationem.metrics import evidence
from rationem.sampling.draw import draw
from rationem.sampling.schemes import FORWARD, Proposal
from rationem.sampling.trials import DrawRequest, SamplingContext, fits
from rationem.types import Engine, Example, Outcome, Prediction, Purpose

#: The split name of the control with solved examples in its prompt; its examples are those of the test set.
SHOTS = "shots"

_PARSED = (Outcome.ACCEPTED, Outcome.WRONG)


def evaluate(
    examples: Sequence[Example],
    engine: Engine,
    run: SamplingContext,
    *,
    train: Sequence[Example],
    iteration: int,
    split: str,
    draws: int,
    purpose: Purpose = Purpose.EVAL,
    proposal: Proposal = FORWARD,
) -> None:
    """Draw ``draws`` rationales per example, score the levels after each, and write predictions and metrics.

    Args:
        train: provides the marginal, of the item's criterion, that an unparsed draft contributes to the predictive
            distribution.
        iteration: of the engine's weights; with the split it names the predictions.
        proposal: the forward prompt; only the control with solved examples shows something before it.
    """
    started = time.perf_counter()
    # Evidence needs unchanged draws z ~ pi(. | x), so sampling settings of the E-step do not apply to the evaluation.
    run = run.as_it_is()
    fitting = [x for x in examples if fits(x, (FORWARD,), engine, run)]
    draw(
        [DrawRequest(x, m) for x in fitting for m in range(draws)],
        proposal,
        engine,
        run,
        iteration=iteration,
        purpose=purpose,
        label=f"iteration {iteration}, {split}",
        levels_under=proposal,
    )
    scale, ids = run.task.scale, {x.id for x in fitting}
    marginals = metrics.marginals(train, scale, metrics.parts(examples))
    predictions = _PREDICT[run.task.kind.estimator](examples, ids, run, marginals, iteration, draws, purpose)
    run.ledger.finish(
        iteration,
        split,
        seconds=time.perf_counter() - started,
        record=metrics.score(predictions, examples, scale).as_dict(),
        predictions={split: predictions},
    )


def predict(
    examples: Sequence[Example],
    fitting: set[str],
    run: SamplingContext,
    marginals: Mapping[str, Sequence[float]],
    iteration: int,
    draws: int,
    purpose: Purpose = Purpose.EVAL,
) -> list[Prediction]:
    """Return one prediction per example from the level scores in the ledger; over-long examples are counted as such.

    Args:
        fitting: ids of the examples whose prompt fits.
        marginals: criterion -> training marginal, for every criterion of the examples.
    """
    scored = run.ledger.level_logps(iteration, purpose)
    whole = run.ledger.level_logps(iteration, purpose, whole=True)
    outcomes = run.ledger.outcomes(iteration, purpose)
    predictions = []
    for x in examples:
        rows = [scored.get(x.id, {}).get(m) for m in range(draws)]
        level_logps, is_scored = evidence.stack(rows, len(run.task.levels))
        offered = run.task.kind.mask(x.fields)
        level_logps, marginal = evidence.restricted(level_logps, marginals[metrics.criterion(x)], offered)
        if x.id not in fitting:
            predictions.append(evidence.too_long(x.id, marginal.tolist()))
            continue
        is_parsed = [outcomes[x.id, m][-1] in _PARSED for m in range(draws)]
        predictions.append(
            evidence.predict(
                x.id,
                level_logps,
                is_scored,
                is_parsed,
                [m in whole.get(x.id, {}) for m in range(draws)],
                answer_index=run.task.levels.index(x.answer),
                marginal_L=marginal,
                levels=run.task.levels,
            )
        )
    return predictions


def predict_open(
    examples: Sequence[Example],
    fitting: set[str],
    run: SamplingContext,
    marginals: Mapping[str, Sequence[float]],
    iteration: int,
    draws: int,
    purpose: Purpose = Purpose.EVAL,
) -> list[Prediction]:
    """Return one prediction per example with an open answer, as :func:`predict`; no marginal is needed."""
    whole = run.ledger.level_logps(iteration, purpose, whole=True)
    said = {
        (trial.example_id, trial.attempt): trial.parsed.answer if trial.outcome in _PARSED else None
        for trial in run.ledger.trials(iteration, purpose)
    }
    predictions = []
    for x in examples:
        if x.id not in fitting:
            predictions.append(Prediction(x.id, None, (0.0,), 0.0, 0, 0, too_long=True, reward=0.0, draw_reward=0.0))
            continue
        rows = [whole.get(x.id, {}).get(m) for m in range(draws)]
        logps = [None if row is None else row[0] for row in rows]
        answers = [said.get((x.id, m)) for m in range(draws)]
        predictions.append(evidence.predict_open(x.id, x.answer, answers, logps, run.task.reward))
    return predictions


#: The function that combines several drafts into one prediction, by ``Kind.estimator``.
_PREDICT = {"levels": predict, "consensus": predict_open}


def validation_score(ledger: Ledger, iteration: int, name: str) -> float | None:
    """Return the score that chooses the iteration, nats per item, higher is better; None if it was not measured.

    Args:
        name: "evidence" is the mean log evidence of the answers (:mod:`.diagnostics`); "log_likelihood" is the mean
            predictive log-likelihood of single ratings.
    """
    phase, key = ("evidence", "score") if name == "evidence" else ("validation", "log_likelihood")
    record = ledger.record(iteration, phase)
    return None if record is None else record[key]
