"""From one request to one trial: its prompt, its seed, its parsed draft and its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rationem.ledger import Ledger
from rationem.sampling.demonstrations import Showing
from rationem.sampling.hint_leakage import HintLeakage
from rationem.sampling.schemes import Proposal, Scheme
from rationem.seeds import seed_for
from rationem.tasks.parse import UNOFFERED_LEVEL
from rationem.tasks.protocol import Task
from rationem.types import (
    Draft,
    Engine,
    Example,
    Fields,
    Finish,
    LevelQuery,
    LevelScores,
    Outcome,
    Parsed,
    Prompt,
    Purpose,
    Request,
    Sampling,
    Trial,
)

#: Looks for nothing: for unhinted drafts, and for measurements of the sampler as it is.
_NOTHING = HintLeakage("off")
#: The outcomes of drafts whose verdict could be read, right or wrong.
READABLE = (Outcome.ACCEPTED, Outcome.WRONG, Outcome.LEAKED)


@dataclass(frozen=True, slots=True)
class SamplingContext:
    """What stays the same over all draws of a run.

    Args:
        sampling: sampling settings; the scheme's exactness claims hold at temperature 1 without top-p and top-k.
        threshold: a trial is accepted if its reward reaches this, in (0, 1].
        retries: how often a draft that the engine failed is drawn again before its example is set aside.
        max_prompt_tokens: longer prompts are never sent; their examples are counted as too long.
        enumerate_above: when a posterior is enumerated, prefixes less probable than this are not followed.
        leaks: the signs of hint leakage that make a hinted draft ``leaked`` instead of accepted.
        close: whether an E-step's drafts without a verdict line are closed (``closing.py``).
        demos: the demonstrations before the question, for proposals that show them.
    """

    task: Task
    ledger: Ledger
    seed: int
    sampling: Sampling
    threshold: float = 1.0
    retries: int = 2
    max_prompt_tokens: int = 1024
    leaks: HintLeakage = _NOTHING
    enumerate_above: float = 1e-3
    close: bool = False
    demos: Showing = field(default_factory=Showing)

    def as_it_is(self) -> SamplingContext:
        """Return the same without anything that changes or filters drafts: to measure a model, not to train it."""
        sampling = Sampling(max_new_tokens=self.sampling.max_new_tokens)
        return replace(self, sampling=sampling, leaks=_NOTHING, close=False)

    def exact(self, scheme: Scheme) -> list[bool]:
        """Return for each attempt of a plan whether its accepted drafts follow the posterior, weights included."""
        graded = self.threshold < 1 and scheme.selector.weighs
        return [proposal.is_exact(self.sampling) and not graded and not self.close for proposal in scheme.plan]


@dataclass(frozen=True, slots=True)
class DrawRequest:
    """One draft to make; the attempt number is part of its seed."""

    example: Example
    attempt: int

    @property
    def key(self) -> tuple[str, int]:
        """The name of its trials within an iteration and a purpose."""
        return self.example.id, self.attempt


def prompt_for(proposal: Proposal, example: Example, task: Task) -> Prompt:
    """Return a proposal's question, without demonstrations; only "rationalize" receives the answer."""
    if proposal.prompt == "rationalize":
        return task.hint_prompt(example.fields, example.answer)
    return task.prompt(example.fields)


def sampled_from(proposal: Proposal, example: Example, engine: Engine, run: SamplingContext) -> Prompt:
    """Return the prompt that a proposal samples from: its question, after as many demonstrations as fit."""
    question = prompt_for(proposal, example, run.task)
    if not proposal.demos:
        return question
    limit = run.max_prompt_tokens
    return run.demos.before(question, example, run.task, lambda prompt: engine.prompt_tokens(prompt) <= limit)


def fits(example: Example, proposals: Sequence[Proposal], engine: Engine, run: SamplingContext) -> bool:
    """Return whether every question that these proposals could ask is within the limit, without demonstrations."""
    prompts = {prompt_for(proposal, example, run.task) for proposal in proposals}
    return all(engine.prompt_tokens(prompt) <= run.max_prompt_tokens for prompt in prompts)


def grade(
    draft: Draft,
    example: Example,
    task: Task,
    threshold: float,
    leaks: HintLeakage = _NOTHING,
) -> tuple[Parsed, Outcome, float]:
    """Return the parsed draft, its outcome, and its reward r(y_hat, y*). Only this function and ``read`` classify.

    Args:
        leaks: signs of hint leakage that prevent acceptance; none if the answer was not in the prompt.
    """
    parsed, failure = read(draft, example.fields, task)
    if failure is not None or parsed.answer is None:
        return parsed, failure or Outcome.UNPARSEABLE, 0.0
    reward = task.reward(parsed.answer, example.answer)
    if reward < threshold:
        return parsed, Outcome.WRONG, reward
    leaked = leaks.in_draw(parsed, example.answer, graded=threshold < 1)
    return parsed, Outcome.LEAKED if leaked else Outcome.ACCEPTED, reward


def read(draft: Draft, fields: Fields, task: Task) -> tuple[Parsed, Outcome | None]:
    """Return the parsed draft, and the outcome of one without a usable answer; None if it has one.

    Args:
        fields: of the item, which determine the offered answers.
    """
    if draft.finish is Finish.FAILED:
        return Parsed("", None), Outcome.ENGINE_FAILED
    parsed = task.parse(draft.text)
    if parsed.answer is not None and not task.kind.offers(fields, parsed.answer):
        parsed = replace(parsed, answer=None, problem=UNOFFERED_LEVEL)
    if draft.finish is Finish.LENGTH:
        return parsed, Outcome.TRUNCATED
    return parsed, Outcome.UNPARSEABLE if parsed.answer is None else None


def closes(run: SamplingContext, proposal: Proposal, purpose: Purpose) -> bool:
    """Return whether drafts without a verdict line are closed: only sampled ones, and only to train on."""
    return run.close and purpose is Purpose.TRAIN and proposal.prompt in ("forward", "rationalize")


def request_for(
    draw_request: DrawRequest,
    proposal: Proposal,
    engine: Engine,
    run: SamplingContext,
    iteration: int,
    purpose: Purpose,
) -> Request:
    """Return the engine's request; the seed belongs to the draft and does not depend on the engine or the time.

    Measurements use the same random numbers in every iteration: their noise cancels where iterations are compared.
    """
    learning = iteration if purpose is Purpose.TRAIN else 0
    seed = seed_for(run.seed, learning, draw_request.example.id, draw_request.attempt, purpose)
    return Request(sampled_from(proposal, draw_request.example, engine, run), run.sampling, seed)


def trial_of(
    draw_request: DrawRequest,
    proposal: Proposal,
    request: Request,
    draft: Draft,
    run: SamplingContext,
    *,
    iteration: int,
    purpose: Purpose,
    retry: int,
) -> Trial:
    """Return the trial made from the draft that answers a request."""
    leaks = run.leaks if proposal.hinted else _NOTHING
    parsed, outcome, reward = grade(draft, draw_request.example, run.task, run.threshold, leaks)
    return Trial(
        iteration,
        purpose,
        draw_request.example.id,
        draw_request.attempt,
        retry,
        str(proposal),
        request.seed,
        draft,
        parsed,
        outcome,
        reward,
        tuple(one.name for one in request.prompt.earlier),
    )


def answer_draft(draw_request: DrawRequest, prompt: Prompt, engine: Engine, task: Task) -> Draft:
    """Return the draft of the proposal "answer": nothing is drawn, it is the verdict line of y*."""
    text = task.format("", draw_request.example.answer)
    return Draft(text, engine.encode_completion(text), Finish.STOP, engine.prompt_tokens(prompt))


def trial_query(
    trial: Trial, example: Example, under: Proposal, engine: Engine, run: SamplingContext
) -> LevelQuery | None:
    """Return the query that scores the levels after a trial's rationale; None without a verdict marker.

    An open answer has no levels: y* itself is scored after z.
    """
    prompt = sampled_from(under, example, engine, run)
    return level_query(prompt, trial.draft, trial.parsed, run.task.scored(example.answer))


def level_query(prompt: Prompt, draft: Draft, parsed: Parsed, texts: tuple[str, ...]) -> LevelQuery | None:
    """Return the query that scores these texts after a draft's rationale; None without a verdict marker."""
    return None if parsed.marker_end is None else LevelQuery(prompt, draft, parsed.marker_end, texts)


def level_scores(query: LevelQuery, logps: tuple[float, ...], engine: Engine) -> LevelScores:
    """Return the levels' log-probabilities, and whether the rationale ends at a token boundary."""
    ends_a_token = engine.tokens_within(query.draft, query.upto) > engine.tokens_within(query.draft, query.upto - 1)
    return LevelScores(logps, whole=ends_a_token and not query.draft.closed)
