"""Filtered expectation-maximization: READ FIRST. The loop is the paper.

    pi(z, y | x; theta) = pi(z | x; theta) pi(y | x, z; theta),    L(theta) = sum_i log sum_z pi(z, y*_i | x_i; theta)

    E-step   (z_i, y_hat_i) ~ q(. | x_i, y*_i; theta_{k-1})                               for every training example i
    M-step   theta_k = theta_{k-1} + steps on grad_theta sum_i r(y_hat_i, y*_i) log pi(z_i, y_hat_i | x_i; theta)

q is the scheme's (``sampling/schemes.py``); r filters. Everything drawn is in the ledger before it is used, so each
line below either finds its result there or computes it: resuming a killed run is running it again.

Source: Lee, Kveton et al., "Learning to Reason in LLMs by Expectation Maximization", arXiv 2512.20169v2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from rationem import metrics, progress
from rationem.engines.pool import EnginePool
from rationem.evaluation.diagnostics.bounds import UNASKED, measure_bounds
from rationem.evaluation.diagnostics.difficulty import measure_difficulty
from rationem.evaluation.diagnostics.draws import diagnose
from rationem.evaluation.diagnostics.hints import Faithful
from rationem.evaluation.evaluate import SHOTS, evaluate, validation_score
from rationem.ledger import Ledger
from rationem.sampling.draw import attempt
from rationem.sampling.hint_leakage import HintLeakage
from rationem.sampling.schemes import Proposal, Scheme
from rationem.sampling.selection import settle, training_samples
from rationem.sampling.trials import SamplingContext, fits
from rationem.seeds import seed_for
from rationem.tasks.protocol import Task
from rationem.tasks.shots import Shots, choose_shots
from rationem.types import Engine, HandedOver, Kept, Purpose, Sample, Sampling, Splits, State


class MStep(Protocol):
    """theta_k from (theta_{k-1}, kept set, seed): a pure function that writes a checkpoint and says what it did.

    Args:
        start: the checkpoint to continue from: theta_{k-1}, or theta_0 with ``init="base"``.
        samples: the kept set; each scores the forward prompt, on rationale, answer and end of turn.
        iteration: k, which places this step on a schedule over the whole run.
        seed: of this M-step; the order of the samples depends on it alone.
        output: an empty directory to write theta_k into.

    Returns:
        What is worth telling: at least ``{"dropped": [example ids too long to train on]}``.
    """

    def __call__(
        self, start: str, samples: Sequence[Sample], *, iteration: int, seed: int, output: Path
    ) -> dict[str, Any]:
        """Write theta_k to ``output`` and return the record."""
        ...


@dataclass(frozen=True, slots=True)
class EMState:
    """What the next step needs: how many iterations are done, and the checkpoint of theta."""

    iteration: int
    theta: str


@dataclass(frozen=True, slots=True)
class EMInfo:
    """What a human needs; the loop never reads it."""

    iteration: int
    outcomes: dict[str, int]
    states: dict[str, int]
    generated_tokens: int
    prompt_tokens: int
    kept: int
    training: dict[str, Any]
    validation_log_likelihood: float | None
    evidence: float | None


@dataclass(frozen=True, slots=True)
class Problem:
    """All that stays fixed over a run: data, task, scheme, base model, and how to sample, train and record.

    Args:
        base: theta_0, a checkpoint directory or hub id.
        open_engine: opens an engine on a checkpoint; it is closed before any M-step.
        draws: rationales per evaluated example; fixed, so that likelihoods can be compared.
        init: where an M-step starts: "previous" (the paper) or "base" (STaR, ReST-EM).
        hinted: hinted rationales per validation example, beside ``draws`` forward ones, for the evidence.
        wrong: validation examples that are shown a wrong hint once per iteration, as a control.
        probed: training examples whose difficulty for the base model is measured once.
        choose_by: the validation score that chooses the iteration: "evidence", or "log_likelihood" (predictive).
        patience: stop after so many iterations without a better validation score; None runs all.
        token_budget: end after the iteration with which the E-steps come nearest to so many generated tokens.
        exact: test examples whose rationales are enumerated at the end, to bound the evidence with certainty; a scheme
            that enumerates has some in any case, for what it draws lacks what is not followed.
        enumerate_above: where rationales are enumerated, prefixes less probable than this are not followed.
        leaks: what tells of the hint, and whether hinted draws that do are accepted.
        faithful: says whether what a rationale claims is true of the fields, where that can be known (the world).
        shots: solved examples in the prompt of the control that is tested beside the base model; 0 is no control.
        shots_tokens: the longest prompt of that control; whatever the model holds.
        teacher: opens the engine of the plan's teacher.
    """

    data: Splits
    task: Task
    scheme: Scheme
    base: str
    open_engine: Callable[[str], Engine]
    m_step: MStep
    ledger: Ledger
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    threshold: float = 1.0
    draws: int = 4
    init: Literal["previous", "base"] = "previous"
    max_prompt_tokens: int = 1024
    retries: int = 2
    hinted: int = 0
    wrong: int = 0
    probed: int = 0
    choose_by: Literal["evidence", "log_likelihood"] = "evidence"
    patience: int | None = None
    leaks: HintLeakage = field(default_factory=HintLeakage)
    faithful: Faithful | None = None
    token_budget: int | None = None
    exact: int = 0
    enumerate_above: float = 1e-3
    shots: int = 0
    shots_tokens: int = 32_768
    teacher: Callable[[], Engine] | None = None
    engines: EnginePool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "engines", EnginePool(self.open_engine, self.teacher))

    @property
    def drawing(self) -> SamplingContext:
        """What stays the same over all draws."""
        return SamplingContext(
            self.task,
            self.ledger,
            self.seed,
            self.sampling,
            self.threshold,
            self.retries,
            self.max_prompt_tokens,
            self.leaks,
            self.enumerate_above,
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """The end of a run: which iteration validation chose, the last one, and where the weights lie."""

    best: int
    last: int
    best_theta: str
    history: tuple[EMInfo, ...]


def fit(problem: Problem, iterations: int) -> Fitted:
    """Run K iterations of FEM, choose the best by validation, and score the test set once, at the end.

    Args:
        problem: data, task, scheme, base model, engine, M-step and ledger.
        iterations: K, at most; patience or a budget of tokens may end the run before. 0 measures the base model alone.

    Returns:
        ``Fitted``; everything else is in the ledger.

    Raises:
        RunError: the engine failed on every example of an iteration.
    """
    try:
        state = EMState(0, problem.base)
        evaluate_at(state, "validation", problem)
        probe_difficulty(problem)
        history = []
        while state.iteration < iterations and not is_over(state.iteration, problem):
            state, info = em_step(state, problem)
            history.append(info)
        last = state.iteration
        best = choose(problem, last)
        for k in sorted({0, best, last}):
            evaluate_at(EMState(k, theta_at(k, problem)), "test", problem)
            bound_at(EMState(k, theta_at(k, problem)), problem)
        evaluate_shots(problem)
        return Fitted(best, last, theta_at(best, problem), tuple(history))
    finally:
        problem.engines.close()


def em_step(state: EMState, problem: Problem) -> tuple[EMState, EMInfo]:
    """Return theta_k from theta_{k-1}, and what happened on the way."""
    k = state.iteration + 1
    kept = e_step(k, state, problem)
    theta = maximize(k, state, kept, problem)
    new = EMState(k, theta)
    evaluate_at(new, "validation", problem)
    return new, describe(k, kept, problem)


def e_step(k: int, state: EMState, problem: Problem) -> list[Kept]:
    """Sample (z_i, y_hat_i) ~ q(. | x_i, y*_i; theta_{k-1}) and keep what the selector keeps of the accepted.

    The plan's proposals are tried in order; an example leaves the queue when its selector is satisfied. Ends with
    every example in exactly one counted state.
    """
    ledger = problem.ledger
    if ledger.record(k, "e_step") is not None:
        return ledger.kept(k)
    started = time.perf_counter()
    sampler = engine_at(state, problem)

    def engine_for(proposal: Proposal) -> Engine:
        return _engine_for(proposal, state, problem)

    queue = [x for x in problem.data.train if fits(x, problem.scheme.plan, sampler, problem.drawing)]
    attempt(queue, problem.scheme, engine_for, problem.drawing, iteration=k)
    return settle(k, queue, problem.data.train, problem.scheme, problem.drawing, engine_for, started=started)


def maximize(k: int, state: EMState, kept: Sequence[Kept], problem: Problem) -> str:
    """Return theta_k: steps on sum_i w_i log pi(z_i, y_hat_i | x_i; theta), from theta_{k-1} (or theta_0).

    With nothing kept there is nothing to learn from: theta_k = theta_{k-1}, and the record says so.
    """
    ledger = problem.ledger
    target = ledger.checkpoint(k)
    if (record := ledger.record(k, "m_step")) is not None:
        return str(target) if record["trained"] else state.theta
    started = time.perf_counter()
    if not kept:
        progress.say(f"iteration {k}: no trial was accepted; the model stays as it is.")
        ledger.finish(k, "m_step", seconds=0.0, record={"trained": False, "dropped": []})
        return state.theta
    problem.engines.close()
    start = state.theta if problem.init == "previous" else problem.base
    samples = training_samples(k, kept, problem.data.train, problem.task, ledger)
    seed = seed_for(problem.seed, k, "m_step")
    with ledger.publish(target) as output:
        record = problem.m_step(start, samples, iteration=k, seed=seed, output=output)
    states = dict.fromkeys(record["dropped"], State.DROPPED_AT_TRAINING)
    ledger.finish(k, "m_step", seconds=time.perf_counter() - started, states=states, record={"trained": True, **record})
    return str(target)


def evaluate_at(state: EMState, split: Literal["validation", "test"], problem: Problem) -> None:
    """Write the predictions of theta_k on a split, and on validation the evidence, unless they are written."""
    examples = problem.data.validation if split == "validation" else problem.data.test
    k, ledger = state.iteration, problem.ledger
    if not examples:
        return
    if ledger.record(k, split) is None:
        evaluate(
            examples,
            engine_at(state, problem),
            problem.drawing,
            train=problem.data.train,
            iteration=k,
            split=split,
            draws=problem.draws,
        )
    if split == "validation" and ledger.record(k, "evidence") is None:
        diagnose(
            examples,
            engine_at(state, problem),
            problem.drawing,
            train=problem.data.train,
            iteration=k,
            forward=problem.draws,
            hinted=problem.hinted,
            wrong=problem.wrong,
            phrases=problem.leaks.counted,
            faithful=problem.faithful,
        )


def bound_at(state: EMState, problem: Problem) -> None:
    """Write certified bounds of log p(y* | x) of some test examples under theta_k, unless they are written."""
    some = problem.data.test[: problem.exact or (UNASKED if problem.scheme.enumerates else 0)]
    if some and problem.ledger.record(state.iteration, "exact") is None:
        measure_bounds(some, engine_at(state, problem), problem.drawing, iteration=state.iteration)


def probe_difficulty(problem: Problem) -> None:
    """Write how probable the base model finds the answers of some training examples, unless it is written."""
    if problem.probed and problem.ledger.record(0, "difficulty") is None:
        measure_difficulty(
            problem.data.train,
            engine_at(EMState(0, problem.base), problem),
            problem.drawing,
            examples=problem.probed,
            draws=problem.draws,
        )


def evaluate_shots(problem: Problem) -> None:
    """Write the control's predictions: the base model on the test set, with solved training examples in the prompt."""
    if not problem.shots or not problem.data.test or problem.ledger.record(0, SHOTS) is not None:
        return
    shown = choose_shots(problem.data.train, problem.shots, problem.seed, problem.data.test)
    if not shown:
        progress.say("Warning: every training example is in the test set too; no control with examples.")
        return
    evaluate(
        problem.data.test,
        problem.engines.at(problem.base),
        replace(problem.drawing, task=Shots(problem.task, shown), max_prompt_tokens=problem.shots_tokens),
        train=problem.data.train,
        iteration=0,
        split=SHOTS,
        draws=problem.draws,
        purpose=Purpose.CONTROL,
    )
    if count := (problem.ledger.record(0, SHOTS) or {}).get("too_long"):
        progress.say(
            f"Warning: with {len(shown)} examples in the prompt, {count} of {len(problem.data.test)} test prompts are "
            f"longer than {problem.shots_tokens} tokens; the control counts them as unparsed. Show fewer (--shots)."
        )


def choose(problem: Problem, last: int) -> int:
    """Return the iteration, 0 to the last, with the best validation score; without a validation set the last."""
    scores = [validation_score(problem.ledger, k, problem.choose_by) for k in range(last + 1)]
    best = metrics.best_iteration(scores)
    return last if best is None else best


def is_over(k: int, problem: Problem) -> bool:
    """Say whether patience ends the run (the best iteration is that old), or one more would lead away from the budget.

    An iteration more is taken to generate what the last one did.
    """
    if problem.patience is not None and k - choose(problem, k) >= problem.patience:
        return True
    if problem.token_budget is None or k == 0:
        return False
    spent = [(problem.ledger.record(one, "e_step") or {})["generated_tokens"] for one in range(1, k + 1)]
    return bool(sum(spent) + spent[-1] / 2 > problem.token_budget)


def theta_at(k: int, problem: Problem) -> str:
    """Return the checkpoint of theta_k; an iteration that kept nothing has the one before it."""
    while k > 0 and not (problem.ledger.record(k, "m_step") or {}).get("trained"):
        k -= 1
    return str(problem.ledger.checkpoint(k)) if k else problem.base


def describe(k: int, kept: Sequence[Kept], problem: Problem) -> EMInfo:
    """Return what a human wants to know of iteration k, from the ledger."""
    record = problem.ledger.record(k, "e_step") or {}
    training = problem.ledger.record(k, "m_step") or {}
    return EMInfo(
        k,
        record["outcomes"],
        problem.ledger.state_counts(k),
        record["generated_tokens"],
        record["prompt_tokens"],
        len(kept),
        training,
        validation_score(problem.ledger, k, "log_likelihood"),
        validation_score(problem.ledger, k, "evidence"),
    )


def engine_at(state: EMState, problem: Problem, *, beside: str | None = None) -> Engine:
    """Return an engine on theta_k; what handing it the weights took and showed is recorded once."""
    k, ledger = state.iteration, problem.ledger
    fresh = state.theta not in problem.engines
    engine = problem.engines.at(state.theta, beside=beside)
    told = dict(engine.handover) if fresh and isinstance(engine, HandedOver) else {}
    if told and ledger.record(k, "handover") is None:
        ledger.finish(k, "handover", seconds=told.pop("seconds"), record=told)
    return engine


def _engine_for(proposal: Proposal, state: EMState, problem: Problem) -> Engine:
    if proposal.model == "teacher":
        return problem.engines.teacher
    if proposal.model == "base":
        return engine_at(EMState(0, problem.base), problem, beside=state.theta)
    return engine_at(state, problem, beside=problem.base if problem.scheme.uses_base else None)
