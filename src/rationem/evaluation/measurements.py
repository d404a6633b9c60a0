"""The measurements of theta_k: predictions, evidence and diagnostics, each made once and stored in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rationem import metrics, progress
from rationem.engines.pool import EnginePool
from rationem.evaluation.choice import Validated
from rationem.evaluation.diagnostics.bounds import UNASKED, measure_bounds
from rationem.evaluation.diagnostics.cold_start import probe_start
from rationem.evaluation.diagnostics.difficulty import measure_difficulty
from rationem.evaluation.diagnostics.draws import ON_TEST, diagnose
from rationem.evaluation.diagnostics.hints import Faithful
from rationem.evaluation.evaluate import SHOTS, evaluate, validation_score
from rationem.ledger import Ledger
from rationem.sampling.demonstrations import solved
from rationem.sampling.engine_for import engine_for
from rationem.sampling.schemes import FORWARD, Proposal, Scheme
from rationem.sampling.trials import SamplingContext
from rationem.types import Example, Purpose, Splits


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How theta is evaluated.

    Args:
        draws: rationales per evaluated example; fixed, so that likelihoods can be compared.
        choose_by: the validation score that chooses the iteration: "evidence", or "log_likelihood" (predictive).
        choose_within: of iterations that none beats by more than this many standard errors, the earliest is chosen.
        last: test the last iteration beside the base model and the chosen one.
    """

    draws: int = 4
    choose_by: Literal["evidence", "log_likelihood"] = "evidence"
    choose_within: float = 0.0
    last: bool = True


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Measurements of the sampler in addition to the evaluation; 0 omits a measurement.

    Args:
        hinted: hinted drafts per validation example, in addition to the unhinted ones, for the evidence.
        hinted_items: validation examples that get them, the same in every iteration; None for all.
        wrong: validation examples that get a probe once per iteration.
        probed: training examples whose difficulty for the base model is measured once.
        start: training examples that are probed before the first E-step.
        exact: test examples whose rationales are enumerated at the end, for certified bounds of the evidence. A scheme
            that enumerates always has some, because its draws lack the rationales that were not followed.
        faithful: decides whether the claims of a rationale are true of the fields, if that can be known (the world).
    """

    hinted: int = 0
    hinted_items: int | None = None
    wrong: int = 0
    probed: int = 0
    start: int = 0
    exact: int = 0
    faithful: Faithful | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """The base model on the test set, with solved training examples in its prompt.

    Args:
        shots: the number of examples; 0 means no control.
        tokens: the longest prompt; by default the model's context length.
    """

    shots: int = 0
    tokens: int = 32_768


@dataclass(frozen=True, slots=True)
class Measurements:
    """Makes the measurements of theta_k over a run. Each method does nothing if its result is in the ledger."""

    data: Splits
    scheme: Scheme
    context: SamplingContext
    engines: EnginePool
    evaluation: Evaluation
    diagnostics: Diagnostics
    control: Control

    @property
    def _ledger(self) -> Ledger:
        return self.context.ledger

    def validation(self, k: int, theta: str) -> float | None:
        """Write predictions and evidence on the validation set; return the score that chooses the iteration."""
        examples, extra = self.data.validation, self.diagnostics
        if examples:
            self._evaluate(k, theta, "validation", examples)
        if examples and self._ledger.record(k, "evidence") is None:
            diagnose(
                examples,
                self.engines.at(theta),
                self.context,
                train=self.data.train,
                iteration=k,
                forward=self.evaluation.draws,
                hinted=extra.hinted,
                hinted_items=extra.hinted_items,
                wrong=extra.wrong,
                phrases=self.context.leaks.counted,
                faithful=extra.faithful,
            )
        score = validation_score(self._ledger, k, self.evaluation.choose_by)
        if score is not None:
            self._tell(k, score)
        return score

    def _tell(self, k: int, score: float) -> None:
        """Print the validation score of iteration k beside those before it."""
        scores = (validation_score(self._ledger, j, self.evaluation.choose_by) for j in range(k))
        before = [one for one in scores if one is not None]
        place = "the best so far" if not before or score > max(before) else f"the best is {max(before):.3f}"
        progress.say(
            f"iteration {k}: score on validation {score:.3f} nats, {place}"
            if k
            else f"before training: score on validation {score:.3f} nats (higher is better)"
        )

    def chosen(self, last: int) -> metrics.Selected | None:
        """Return what validation chooses among the iterations 0 to ``last``; None if no score was measured."""
        asked, data, kind = self.evaluation, self.data, self.context.task.kind
        by, within = asked.choose_by, asked.choose_within
        return Validated(self._ledger.db, data.validation, data.train, kind, by, within, last, self.context.seed).chosen

    def test(self, k: int, theta: str, *, evidence: bool = False) -> None:
        """Write predictions on the test set, and certified bounds of log p(y* | x) for some of its examples.

        Args:
            evidence: whether to measure the evidence too. No test item chose an iteration, so that it is no maximum.
        """
        if self.data.test:
            self._evaluate(k, theta, "test", self.data.test)
        if self.data.test and evidence and self._ledger.record(k, ON_TEST) is None:
            diagnose(
                self.data.test,
                self.engines.at(theta),
                self.context,
                train=self.data.train,
                iteration=k,
                forward=self.evaluation.draws,
                hinted=self.diagnostics.hinted,
                wrong=0,
                phrases=self.context.leaks.counted,
                faithful=self.diagnostics.faithful,
                phase=ON_TEST,
            )
        some = self.data.test[: self.diagnostics.exact or (UNASKED if self.scheme.enumerates else 0)]
        if some and self._ledger.record(k, "exact") is None:
            measure_bounds(some, self.engines.at(theta), self.context, iteration=k)

    def start(self, base: str) -> None:
        """Write and print statistics of a few drafts of the base model, before anything else is measured."""
        if self.diagnostics.start:
            q = engine_for(self.scheme, base, base, self.engines)
            probe_start(self.data.train, self.scheme, q, self.context, examples=self.diagnostics.start)

    def difficulty(self, base: str) -> None:
        """Write the probability of the answers of some training examples under the base model."""
        probed = self.diagnostics.probed
        if probed and self._ledger.record(0, "difficulty") is None:
            measure_difficulty(
                self.data.train, self.engines.at(base), self.context, examples=probed, draws=self.evaluation.draws
            )

    def shots(self, base: str) -> None:
        """Write the control's predictions on the test set."""
        asked, test = self.control, self.data.test
        if not asked.shots or not test or self._ledger.record(0, SHOTS) is not None:
            return
        shown = solved(self.data, asked.shots, self.context.seed, self.context.task)
        if not shown.chosen:
            progress.say("Warning: every training example is related to a test item; no control with examples.")
            return
        context = replace(self.context, demos=shown, max_prompt_tokens=asked.tokens)
        self._evaluate(0, base, SHOTS, test, context, Purpose.CONTROL, replace(FORWARD, demos=True))
        fewer = sum(len(trial.demos) < len(shown.chosen) for trial in self._ledger.trials(0, Purpose.CONTROL))
        if fewer:
            progress.say(
                f"Warning: {fewer} drafts of the control were shown fewer than {len(shown.chosen)} solved examples: "
                f"with all of them the prompt is longer than {asked.tokens} tokens."
            )

    def _evaluate(
        self,
        k: int,
        theta: str,
        split: str,
        examples: Sequence[Example],
        context: SamplingContext | None = None,
        purpose: Purpose = Purpose.EVAL,
        proposal: Proposal = FORWARD,
    ) -> None:
        if self._ledger.record(k, split) is None:
            evaluate(
                examples,
                self.engines.at(theta),
                context or self.context,
                train=self.data.train,
                iteration=k,
                split=split,
                draws=self.evaluation.draws,
                purpose=purpose,
                proposal=proposal,
            )
