"""The shared data types, from the example to the prediction.

    Example -> Prompt -> Draft -> Parsed -> Trial -> Sample (training) / Prediction (evaluation)

Each is a small frozen dataclass. A failed *item* is data and has a name here; a failed *program* is an exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rationem.seeds import example_key

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

#: The named inputs of one question, e.g. ``{"prompt": ..., "response": ...}``. Never holds the answer.
Fields = Mapping[str, str]


class Outcome(StrEnum):
    """The result of one trial. ``ENGINE_FAILED`` says nothing about the model and costs no budget."""

    ACCEPTED = "accepted"
    WRONG = "wrong"
    UNPARSEABLE = "unparseable"
    TRUNCATED = "truncated"
    LEAKED = "leaked"
    ENGINE_FAILED = "engine_failed"


class State(StrEnum):
    """How one training example ends an iteration."""

    KEPT = "kept"
    EXHAUSTED = "exhausted"
    TOO_LONG = "too_long"
    DROPPED_AT_TRAINING = "dropped_at_training"
    OWED = "owed"


class Purpose(StrEnum):
    """Why a trial was drawn; one of its seed coordinates."""

    TRAIN = "train"
    EVAL = "eval"
    CONTROL = "control"
    EVIDENCE = "evidence"
    PROBE = "probe"
    START = "start"
    ANSWERED = "answered"  # nothing is drawn: y* behind the rationale of a training trial


class Finish(StrEnum):
    """Why a generation ended: by itself or after the verdict line, at the token limit, or because the engine failed."""

    STOP = "stop"
    LENGTH = "length"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Example:
    """One question x with its correct answer y*: an item for one criterion, for one rater or all, in one shown order.

    Args:
        item: the user's own id, unchanged; the row number if the data has no ids.
        fields: the named inputs x; no other column of the row can reach a prompt.
        answer: y*, one of the task's levels, or any text if the task has no levels.
        group: examples of one group always stay in the same split.
        ratings: every single human rating that ``answer`` was pooled from, if there are several.
        source: file and row, for error messages.
        elided: number of characters left out of the fields to fit the context (``--elide``).
        weight: a factor on the weights of this example's kept samples in training.
        criterion: what was rated; "" if the data names no criterion.
        rater: which of the item's ratings ``answer`` is, from 1, if each rating is an example; 0 if it is the pooled
            label.
        turn: by how many places the responses were moved on; 0 is the given order.
        orders: the number of shown orders, each an example; 1 if no responses are compared.
        origin: "test" for an item of the test file whose id also occurs in the training file; otherwise "".
    """

    item: str
    fields: Fields
    answer: str
    group: str
    ratings: tuple[str, ...] = ()
    source: str = ""
    elided: int = 0
    weight: float = 1.0
    criterion: str = ""
    rater: int = 0
    turn: int = 0
    orders: int = 1
    origin: str = ""

    @property
    def id(self) -> str:
        """The key in the ledger and the seeds: unique within a run, stable, never taken apart."""
        return example_key(self.item, self.criterion, self.rater, self.turn, self.orders, self.origin)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer, shown as earlier turns of the chat; ``name`` says which demonstration it is."""

    asked: str
    said: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text of one user turn. ``kind`` is "forward" (x alone) or "rationalize" (x and the hint y*).

    ``earlier`` are turns before it: demonstrations. They belong to a proposal, never to a training text.
    """

    text: str
    kind: str = "forward"
    earlier: tuple[Exchange, ...] = ()

    @property
    def whole(self) -> str:
        """All turns as one text, for models without a chat template and for people."""
        return "".join(f"{one.asked}\n{one.said}\n\n" for one in self.earlier) + self.text


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling settings: temperature (0 is greedy), nucleus mass, top-k (0 is off), and maximum length in tokens."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256

    @property
    def exact(self) -> bool:
        """Whether drafts follow the model's own distribution."""
        return self.temperature == 1 and self.covers

    @property
    def covers(self) -> bool:
        """Whether every completion up to the maximum length can be drawn, so that weights can correct for the rest."""
        return self.temperature > 0 and self.top_p == 1 and self.top_k == 0


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one completion. Its seed alone determines its randomness, whatever else is in the batch."""

    prompt: Prompt
    sampling: Sampling
    seed: int


@dataclass(frozen=True, slots=True)
class Draft:
    """One completion as sampled: token ids, and text without the end of turn, but with a thinking block that it opened.

    ``token_logps`` are log q of each token *as it was drawn*, in nats: after temperature, top-k and top-p. They are
    empty if the engine does not report them; such a draft cannot be weighted. ``encoded`` ids were encoded here from
    the text instead of being drawn. ``closed``: the tokens drawn if the verdict line was added afterwards; else 0.
    """

    text: str
    token_ids: tuple[int, ...]
    finish: Finish
    prompt_tokens: int
    token_logps: tuple[float, ...] = ()
    encoded: bool = False
    closed: int = 0

    @property
    def generated(self) -> int:
        """The number of tokens that the engine generated."""
        return self.closed or len(self.token_ids)


@dataclass(frozen=True, slots=True)
class TokenQuery:
    """Request log pi(token | prompt, previous tokens) of a draft's stored ids, at temperature 1."""

    prompt: Prompt
    draft: Draft


@dataclass(frozen=True, slots=True)
class LevelQuery:
    """Request log pi(level, end of turn | x, z, marker) of every level, after one drafted rationale z.

    The first ``upto`` characters of ``draft.text`` end with the verdict marker; the scored continuations follow it.
    """

    prompt: Prompt
    draft: Draft
    upto: int
    continuations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LevelScores:
    """The log-probabilities of the levels after one rationale; a row of the ledger's table ``scores``.

    Args:
        logps: log pi(level, end of turn | x, z) in the order of the task's levels.
        whole: whether z ends at a token boundary. If its last token reaches beyond the marker (":\n"), that token was
            cut to score the levels. The same z followed by a marker token is another draft, so this one is counted as 0
            to avoid double counting. False also of a closed draft, which is not a draw of the model.
    """

    logps: tuple[float, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed completion: the rationale z, and the answer y_hat or the reason why there is none.

    ``marker_end`` is the offset after the first verdict marker, where z ends and levels are scored; None without a
    marker.
    """

    rationale: str
    answer: str | None
    problem: str | None = None
    marker_end: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One graded draft, written to the ledger before anything uses it; ``demos`` names what its prompt showed first."""

    iteration: int
    purpose: Purpose
    example_id: str
    attempt: int
    retry: int
    proposal: str
    seed: int
    draft: Draft
    parsed: Parsed
    outcome: Outcome
    reward: float
    demos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A trial that enters the M-step, with its weight; ``drawn`` is the iteration that drew it."""

    example_id: str
    attempt: int
    weight: float
    drawn: int


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The log-likelihood of a drawn completion under one prompt and the current weights.

    Args:
        iteration: the iteration that computes it: E-step k uses the weights theta_{k-1}, evaluation k uses theta_k.
        drawn: the iteration that drew the completion; with purpose, example and attempt it identifies the trial.
        under: the proposal that sets prompt and weights, e.g. "forward" or "rationalize@base".
        completion: log pi(all tokens | prompt), nats.
        rationale: log pi(tokens up to the verdict marker | prompt), nats; None without a marker.
    """

    iteration: int
    purpose: Purpose
    example_id: str
    drawn: int
    attempt: int
    under: str
    completion: float
    rationale: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One training text: the *forward* prompt and the exact tokens of a kept completion."""

    example_id: str
    prompt: Prompt
    token_ids: tuple[int, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What n unhinted drafts of one example say together.

    Args:
        probabilities: p~(level | x), predictive, summing to 1 over the task's levels.
        raw: p_hat(y* | x), the mean over ALL drafts of pi(y* | x, z_n); a draft without a marker counts 0.
        predicted: the most probable level, or None if no draft named one; for an open answer, the answer that agrees
            most with the drafts, and ``probabilities`` then holds the agreement.
        reward: r(predicted, y*) of an open answer; None if the task has levels.
        draw_reward: the mean of r over ALL drafts of an open answer; an unparsed draft counts 0.
    """

    example_id: str
    predicted: str | None
    probabilities: tuple[float, ...]
    raw: float
    draws: int
    unparsed: int
    too_long: bool = False
    reward: float | None = None
    draw_reward: float | None = None


class Engine(Protocol):
    """Generates and scores with the weights of one checkpoint, ``batch_size`` requests at once."""

    honours_seeds: bool  # whether a request's tokens depend on its seed alone
    batch_size: int

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Return the length of the prompt in the model's tokens."""

    def encode_completion(self, text: str, behind: str = "") -> tuple[int, ...]:
        """Return the ids of a completion, or of its end that follows ``behind``, with the end-of-turn token."""

    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Return one draft per request, in order; a request that failed has ``Finish.FAILED``."""

    def score_levels(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        """Return log pi(level, end of turn | x, z) of every level, per query."""

    def score_tokens(self, queries: Sequence[TokenQuery]) -> list[tuple[float, ...]]:
        """Return log pi(token | prompt, previous tokens) of every stored token, per query."""

    def completions(self, query: LevelQuery) -> tuple[tuple[int, ...], ...]:
        """Return the draft's ids up to the marker with each continuation behind: the tokens of ``score_levels``."""

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return how many of the draft's tokens end within the first ``characters`` characters of its text."""

    def close(self) -> None:
        """Release the weights."""


@runtime_checkable
class HandedOver(Protocol):
    """An external engine that receives its weights; ``handover`` says how, in what time, and how it was verified."""

    handover: Mapping[str, Any]


@runtime_checkable
class Concurrent(Engine, Protocol):
    """An engine that takes single requests, ``concurrency`` at a time, and returns them as they finish.

    A request that failed is a draft with ``Finish.FAILED``; an exception means that the engine itself is lost.
    """

    concurrency: int

    def submit(self, request: Request) -> Future[Draft]:
        """Start one request."""

    def submit_levels(self, query: LevelQuery) -> Future[tuple[float, ...]]:
        """Start to score the levels of one draft; see ``score_levels``."""


class MStep(Protocol):
    """Compute theta_k from (theta_{k-1}, kept set, seed), as a pure function."""

    def __call__(
        self, start: str, samples: Sequence[Sample], *, iteration: int, seed: int, output: Path
    ) -> dict[str, Any]:
        """Write theta_k to ``output`` and return the record.

        Args:
            start: the checkpoint to train from: theta_{k-1}, or theta_0 with ``init="base"``.
            samples: the kept set; the loss covers rationale, answer and end of turn, given the forward prompt.
            iteration: k, the position of this step in a schedule over the whole run.
            seed: the seed of this M-step; the order of the samples depends on it alone.
            output: an empty directory for theta_k.

        Returns:
            A record with at least ``{"dropped": [example ids too long to train on]}``.
        """


@dataclass(frozen=True, slots=True)
class Splits:
    """Three disjoint sets, split by group: the M-step trains on train, validation chooses, test is scored once."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)
