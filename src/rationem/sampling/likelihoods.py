"""Score drawn completions under a prompt, and write log pi(completion | prompt) to the ledger.

Weights and evidence compare the likelihood of the *same tokens* under two prompts or two models. The stored ids
are scored; text is never encoded again. The order of work depends on the trials alone, and a batch is one transaction.
A killed run therefore repeats the same batches and skips those that are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rationem import progress
from rationem.errors import RunError
from rationem.sampling.schemes import Proposal
from rationem.sampling.trials import SamplingContext, sampled_from
from rationem.types import Engine, Example, Likelihood, TokenQuery, Trial


def score(
    trials: Sequence[Trial],
    examples: Mapping[str, Example],
    under: Proposal,
    engine: Engine,
    run: SamplingContext,
    *,
    iteration: int,
    label: str,
) -> None:
    """Write log pi(completion | prompt) and log pi(rationale | prompt) of each trial, unless they are written.

    A completion that this iteration drew under the same prompt and weights is not scored again: its likelihood is the
    one that it was drawn with.

    Args:
        trials: all of one purpose; engine failures are left out.
        examples: id -> example, of every trial.
        under: the proposal whose prompt the completions follow.
        engine: on the weights to score with; it draws nothing here.
        iteration: the iteration of the engine's weights, see ``Likelihood``.

    Raises:
        RunError: the engine does not report token likelihoods.
    """
    drawn = [trial for trial in trials if trial.draft.token_ids]
    if not drawn:
        return
    purpose = drawn[0].purpose
    written = run.ledger.likelihoods(iteration, purpose)

    def length(trial: Trial) -> tuple[int, str, int, int]:
        tokens = trial.draft.prompt_tokens + len(trial.draft.token_ids)
        return tokens, trial.example_id, trial.iteration, trial.attempt

    ordered = sorted(drawn, key=length)
    with progress.track(label, len(ordered)) as advance:
        for start in range(0, len(ordered), engine.batch_size):
            batch = ordered[start : start + engine.batch_size]
            if (batch[0].example_id, batch[0].iteration, batch[0].attempt, str(under)) not in written:
                logps = _token_logps(batch, examples, under, engine, run, iteration)
                rows = [_row(trial, one, under, engine, iteration) for trial, one in zip(batch, logps, strict=True)]
                run.ledger.add_likelihoods(rows)
            advance(len(batch))


def log_drawn(trial: Trial) -> float:
    """Return log q(completion), nats, as the trial was drawn.

    Raises:
        RunError: the engine did not report it.
    """
    if len(trial.draft.token_logps) != len(trial.draft.token_ids):
        raise RunError(
            "The engine does not return the probabilities of the tokens that it draws, so nothing can be weighted. A "
            "teacher and a server without token ids never do. Use --engine transformers or vllm, or the selector "
            "first or all."
        )
    return sum(trial.draft.token_logps)


def _token_logps(
    batch: Sequence[Trial],
    examples: Mapping[str, Example],
    under: Proposal,
    engine: Engine,
    run: SamplingContext,
    iteration: int,
) -> list[tuple[float, ...]]:
    """Return each trial's token log-probabilities; only unknown ones are requested from the engine."""
    known = [
        trial.iteration == iteration
        and trial.proposal == str(under)
        and run.sampling.exact
        and len(trial.draft.token_logps) == len(trial.draft.token_ids)
        for trial in batch
    ]
    asked = [
        TokenQuery(sampled_from(under, examples[trial.example_id], engine, run), replace(trial.draft, token_logps=()))
        for trial, is_known in zip(batch, known, strict=True)
        if not is_known
    ]
    scored = iter(engine.score_tokens(asked))
    return [t.draft.token_logps if is_known else next(scored) for t, is_known in zip(batch, known, strict=True)]


def _row(trial: Trial, logps: Sequence[float], under: Proposal, engine: Engine, iteration: int) -> Likelihood:
    if len(logps) != len(trial.draft.token_ids):
        raise RunError("The engine cannot score given tokens, which weights and evidence need.")
    end = trial.parsed.marker_end
    rationale = None if end is None else sum(logps[: engine.tokens_within(trial.draft, end)])
    return Likelihood(
        iteration,
        trial.purpose,
        trial.example_id,
        trial.iteration,
        trial.attempt,
        str(under),
        sum(logps),
        rationale,
    )
