"""The nouns: what an example becomes on its way from the file to the number.

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

#: The named inputs of one question, e.g. ``{"prompt": ..., "response": ...}``. Never holds the answer.
Fields = Mapping[str, str]


class Outcome(StrEnum):
    """What became of one trial. ``ENGINE_FAILED`` alone says nothing about the model and costs no budget."""

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
    """Why a trial was drawn; part of the coordinates of its seed."""

    TRAIN = "train"
    EVAL = "eval"
    CONTROL = "control"
    EVIDENCE = "evidence"
    PROBE = "probe"


class Finish(StrEnum):
    """Why a generation ended: by itself or after the verdict line, at the token limit, or not at all."""

    STOP = "stop"
    LENGTH = "length"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Example:
    """One question x with its correct answer y*: an item, on one criterion, rated by one or all, in one order.

    Args:
        item: the user's own id, untouched; the number of the row where there is none.
        fields: the named inputs x; nothing else of the row can reach a prompt.
        answer: y*, one of the task's levels; any text where it has none.
        group: examples of one group never fall into different splits.
        ratings: every single human rating behind ``answer``, when there are several.
        source: file and row, for error messages.
        elided: characters left out of the fields to fit the context, as the user asked.
        weight: what its kept samples count in training, times their own weights.
        criterion: what was rated; "" where the data names no criterion.
        rater: which of the item's ratings ``answer`` is, from 1, where each is an example; 0 where it stands for all.
        turn: by how many places the responses were moved on before they are shown; 0 in the given order.
        orders: in how many orders the responses are shown, each an example; 1 where none are compared.
        origin: "test" of the test file's item where the training file has one of the same id; else "".
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
        """The key that the ledger and the seeds know it by: unique within a run, stable, never taken apart."""
        return example_key(self.item, self.criterion, self.rater, self.turn, self.orders, self.origin)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text of one user turn. ``kind`` is "forward" (x alone) or "rationalize" (x and the hint y*)."""

    text: str
    kind: str = "forward"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw: temperature (0 is greedy), nucleus mass, top-k (0 is off), and the length cut in tokens."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256

    @property
    def exact(self) -> bool:
        """Whether draws follow the model itself."""
        return self.temperature == 1 and self.covers

    @property
    def covers(self) -> bool:
        """Whether every completion (up to the length cut) can be drawn, so that weights can correct the rest."""
        return self.temperature > 0 and self.top_p == 1 and self.top_k == 0


@dataclass(frozen=True, slots=True)
class Request:
    """One completion asked of an engine; the seed alone decides its randomness, whatever else is in the batch."""

    prompt: Prompt
    sampling: Sampling
    seed: int


@dataclass(frozen=True, slots=True)
class Draft:
    """One completion as drawn: its text, without end of turn, with the thinking block that its prompt opened; its ids.

    ``token_logps`` are log q of each token *as it was drawn*, in nats: after temperature, top-k and top-p; empty where
    the engine does not say, and nothing can be weighted. ``encoded`` ids were made of the text here, not drawn.
    """

    text: str
    token_ids: tuple[int, ...]
    finish: Finish
    prompt_tokens: int
    token_logps: tuple[float, ...] = ()
    encoded: bool = False


@dataclass(frozen=True, slots=True)
class TokenQuery:
    """Ask for log pi(token | prompt, tokens before it) of a draft's stored ids, at temperature 1."""

    prompt: Prompt
    draft: Draft


@dataclass(frozen=True, slots=True)
class LevelQuery:
    """Ask for log pi(level, end of turn | x, z, marker) of every level, after one drafted rationale z.

    ``upto`` is how many characters of ``draft.text`` end with the verdict marker; the continuations may follow it.
    """

    prompt: Prompt
    draft: Draft
    upto: int
    continuations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LevelScores:
    """The levels' log-probabilities behind one rationale; a row of the ledger's table ``scores``.

    Args:
        logps: log pi(level, end of turn | x, z) in the order of the task's levels.
        whole: whether z ends where a token does. One whose last token reaches beyond the marker (":\n") was cut there
            to score the levels. The same z followed by a marker token is another draw, so this one counts 0.
    """

    logps: tuple[float, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Parsed:
    """A completion taken apart: the rationale z, the answer y_hat or the reason why there is none.

    ``marker_end`` is the offset just behind the first verdict marker, where z ends and levels are scored; or None.
    """

    rationale: str
    answer: str | None
    problem: str | None = None
    marker_end: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One draw and its fate, written before anything reads it."""

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


@dataclass(frozen=True, slots=True)
class Kept:
    """A trial that goes into the M-step, with its weight; ``drawn`` is the iteration that drew it."""

    example_id: str
    attempt: int
    weight: float
    drawn: int


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a drawn completion is under one prompt, for the weights at hand.

    Args:
        iteration: the iteration that asks: an E-step k asks the weights theta_{k-1}, an evaluation k theta_k.
        drawn: the iteration that drew the completion; with purpose, example and attempt it names the trial.
        under: the proposal whose prompt and weights are meant, e.g. "forward" or "rationalize@base".
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
    """One training text: the *forward* prompt, and the exact tokens of a kept completion."""

    example_id: str
    prompt: Prompt
    token_ids: tuple[int, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What n sampled rationales say of one example.

    Args:
        probabilities: p~(level | x), predictive, summing to 1 over the task's levels.
        raw: p_hat(y* | x), the mean over ALL draws of pi(y* | x, z_n); a draw without a marker counts 0.
        predicted: the most probable level, None where no draw named one; of an open answer the one that the draws agree
            with most, and ``probabilities`` then holds how much they do.
        reward: of an open answer, r(predicted, y*); None where there are levels.
        draw_reward: of an open answer, the mean of r over ALL draws, an unparsed one counting 0.
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
    """What generates and scores with the weights of one checkpoint, ``batch_size`` requests at once."""

    honours_seeds: bool  # whether a request's tokens depend on its seed alone
    batch_size: int

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Return the prompt's length as the model sees it."""

    def encode_completion(self, text: str, behind: str = "") -> tuple[int, ...]:
        """Return the ids of a completion, or of its end ``behind`` the rest of it, end-of-turn token included."""

    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Return one draft per request, in order; what could not be served is ``Finish.FAILED``, never a guess."""

    def score_levels(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        """Return log pi(level, end of turn | x, z) of every level, per query."""

    def score_tokens(self, queries: Sequence[TokenQuery]) -> list[tuple[float, ...]]:
        """Return log pi(token | prompt, tokens before it) of every stored token, per query."""

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return how many of the draft's tokens end within the first so many characters of its text."""

    def close(self) -> None:
        """Let go of the weights."""


@runtime_checkable
class HandedOver(Protocol):
    """An engine elsewhere, handed its weights; ``handover`` tells how, in what time, and how it was proven."""

    handover: Mapping[str, Any]


@runtime_checkable
class Concurrent(Engine, Protocol):
    """An engine that takes requests one by one and holds ``concurrency`` at a time; what is done first, comes first.

    What it cannot serve is a draft with ``Finish.FAILED``; an exception means that the engine itself is lost.
    """

    concurrency: int

    def submit(self, request: Request) -> Future[Draft]:
        """Begin one request."""

    def submit_levels(self, query: LevelQuery) -> Future[tuple[float, ...]]:
        """Begin to score one draft's levels; see ``score_levels``."""


@dataclass(frozen=True, slots=True)
class Splits:
    """Three disjoint sets, split by group: train feeds the M-step, validation selects, test is scored once."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)
