"""The hyperparameters of an M-step: plain values, which can be sent to another process as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from rationem.config import FitConfig, TrainingSettings
from rationem.engines.chat import Conversation


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters (peft): rank r, scaling alpha / r.

    Args:
        dropout: dropout rate on an adapter's inputs, in training.
        targets: names of the layers that get an adapter; None for all linear layers except the head.
    """

    rank: int = 16
    alpha: float = 32
    dropout: float = 0.0
    targets: tuple[str, ...] | None = None


class Training(TrainingSettings):
    """The hyperparameters of an M-step: a run's training settings, resolved, and what else it needs.

    ``batch_size`` counts examples over all processes; only the last step of ``epochs`` can be smaller. The learning
    rate is AdamW's. Weights and moments are fp32 at any ``precision``.

    Attributes:
        iterations: of the run, over which ``schedule`` goes.
        restarts: restart the schedule in every iteration, for M-steps that all start from the base model.
        max_length: samples with more tokens are dropped and counted, never truncated.
        examples: N, the training examples of the run, kept or not, for ``normalise="all"``.
        longest: for models whose rotary embedding depends on length: the text length, in tokens, that all texts are
            read as; None uses each batch's own. See ``rationem.engines.rope``.
        conversation: additions to the chat template, saved with the weights; None keeps the model's own.
    """

    steps: int | None = 40
    learning_rate: float = Field(1e-3, gt=0)
    iterations: int = 1
    restarts: bool = False
    max_length: int = 2048
    examples: int | None = None
    longest: int | None = None
    conversation: Conversation | None = None

    @classmethod
    def configured(cls, config: FitConfig, examples: int, longest: int | None = None) -> Training:
        """Return how the M-steps of a run train on some of ``examples``; its settings are resolved."""
        assert config.max_new_tokens is not None
        assert config.max_prompt_tokens is not None
        return cls(
            **config.of(TrainingSettings),
            iterations=config.iterations,
            restarts=config.init == "base",
            max_length=config.max_prompt_tokens + config.max_new_tokens,
            examples=examples,
            longest=longest,
            conversation=config.conversation,
        )

    @property
    def lora(self) -> Lora | None:
        """The adapter that is trained; None to train all weights."""
        if self.lora_rank is None:
            return None
        alpha = 2 * self.lora_rank if self.lora_alpha is None else self.lora_alpha
        return Lora(self.lora_rank, alpha, self.lora_dropout or 0.0, self.lora_targets)

    def draws(self, kept: int) -> int:
        """Return how many of ``kept`` examples an iteration trains on, repetitions counted."""
        if self.steps is not None:
            return self.steps * self.batch_size
        return max(1, round((self.epochs or 1) * kept))

    def divisor(self, examples: int, kept: int) -> float:
        """Return what the loss of a step is divided by.

        B with ``normalise="kept"``: a step averages over kept examples. B N / n with ``normalise="all"``, n of N
        training examples being kept: in expectation the average over all of them, those not kept counting 0.

        Args:
            examples: B, of the step.
            kept: n.
        """
        if self.normalise == "kept":
            return examples
        assert self.examples is not None
        return examples * self.examples / kept

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Training:
        """Return what ``to_json`` described."""
        return cls.model_validate(found)
