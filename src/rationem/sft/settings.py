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

    ``batch_size`` counts samples over all processes; only the last step of ``epochs`` can be smaller. The learning rate
    is AdamW's. Weights and moments are fp32 at any ``precision``.

    Args:
        iterations: of the run, over which ``schedule`` goes.
        restarts: restart the schedule in every iteration, for M-steps that all start from the base model.
        max_length: samples with more tokens are dropped and counted, never truncated.
        longest: for models whose rotary embedding depends on length: the text length, in tokens, that all texts are
            read as; None uses each batch's own. See ``rationem.engines.rope``.
        conversation: additions to the chat template, saved with the weights; None keeps the model's own.
    """

    steps: int | None = 40
    learning_rate: float = Field(1e-3, gt=0)
    iterations: int = 1
    restarts: bool = False
    max_length: int = 2048
    longest: int | None = None
    conversation: Conversation | None = None

    @classmethod
    def configured(cls, config: FitConfig, longest: int | None = None) -> Training:
        """Return how the M-steps of a run train; its settings are resolved."""
        assert config.max_new_tokens is not None
        assert config.max_prompt_tokens is not None
        return cls(
            **config.of(TrainingSettings),
            iterations=config.iterations,
            restarts=config.init == "base",
            max_length=config.max_prompt_tokens + config.max_new_tokens,
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

    def draws(self, samples: int) -> int:
        """Return how many samples an iteration trains on, repetitions counted."""
        if self.steps is not None:
            return self.steps * self.batch_size
        return (self.epochs or 1) * samples

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Training:
        """Return what ``to_json`` described."""
        return cls.model_validate(found)
