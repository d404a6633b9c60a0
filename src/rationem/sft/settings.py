"""The hyperparameters of an M-step: plain values, which can be sent to another process as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from rationem.config import FitConfig
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


@dataclass(frozen=True, slots=True)
class Training:
    """The hyperparameters of an M-step.

    Args:
        steps: optimizer steps per iteration, the same for every scheme; None to use ``epochs``.
        epochs: passes over the kept set; every sample is trained on exactly this many times.
        batch_size: samples per optimizer step, over all processes; only the last step of ``epochs`` can be smaller.
        micro_batch_size: most samples per forward pass of one process; gradients are accumulated over a step.
        learning_rate: AdamW's peak learning rate.
        schedule: "constant", "linear" or "cosine", over the whole run of ``iterations`` iterations.
        restarts: restart the schedule in every iteration, for M-steps that all start from the base model.
        max_grad_norm: clip the gradient of a step to this norm; 0 is off.
        optimizer: "keep" carries Adam's moments into the next iteration, "reset" discards them.
        max_length: samples with more tokens are dropped and counted, never truncated.
        longest: for models whose rotary embedding depends on length: the text length, in tokens, that all texts are
            read as; None uses each batch's own. See ``rationem.engines.rope``.
        precision: of matrix products; "auto" is bf16 on a GPU and fp32 on a CPU. Weights and moments are fp32.
        gradient_checkpointing: recompute activations in the backward pass.
        parallel: each process holds all weights ("ddp") or a shard of them ("fsdp": FSDP2).
        report_to: loss loggers: "tensorboard", "mlflow", "wandb", "trackio".
        log_every: optimizer steps between two logged losses.
        conversation: additions to the chat template, saved with the weights; None keeps the model's own.
    """

    steps: int | None = 40
    epochs: int | None = None
    batch_size: int = 32
    micro_batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = 0
    max_grad_norm: float = 0.0
    optimizer: Literal["keep", "reset"] = "keep"
    iterations: int = 1
    restarts: bool = False
    max_length: int = 2048
    longest: int | None = None
    lora: Lora | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    gradient_checkpointing: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    report_to: tuple[str, ...] = ()
    log_every: int = 10
    conversation: Conversation | None = None

    @classmethod
    def configured(cls, config: FitConfig) -> Training:
        """Return the hyperparameters of a run's M-steps, from its resolved settings."""
        assert config.learning_rate is not None
        assert config.max_new_tokens is not None
        assert config.max_prompt_tokens is not None
        return cls(
            steps=config.steps,
            epochs=config.epochs,
            batch_size=config.batch_size,
            micro_batch_size=config.micro_batch_size,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            schedule=config.schedule,
            warmup_steps=config.warmup_steps,
            max_grad_norm=config.max_grad_norm,
            optimizer=config.optimizer,
            iterations=config.iterations,
            restarts=config.init == "base",
            max_length=config.max_prompt_tokens + config.max_new_tokens,
            lora=_lora(config),
            precision=config.precision,
            gradient_checkpointing=config.gradient_checkpointing,
            parallel=config.parallel,
            report_to=config.report_to,
            log_every=config.log_every,
            conversation=config.conversation,
        )

    def draws(self, samples: int) -> int:
        """Return the number of samples that an iteration trains on, counting repetitions."""
        if self.steps is not None:
            return self.steps * self.batch_size
        return (self.epochs or 1) * samples

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Training:
        """Return the settings that ``to_json`` wrote."""
        values = {field.name: found[field.name] for field in fields(cls)}
        given = values.pop("lora")
        targets = given and given["targets"]
        lora = Lora(**{**given, "targets": tuple(targets) if targets else None}) if given else None
        asked = values.pop("conversation")
        conversation = None if asked is None else Conversation(**asked)
        return cls(**{**values, "lora": lora, "report_to": tuple(values["report_to"]), "conversation": conversation})


def _lora(config: FitConfig) -> Lora | None:
    if config.lora_rank is None:
        return None
    alpha = 2 * config.lora_rank if config.lora_alpha is None else config.lora_alpha
    return Lora(config.lora_rank, alpha, config.lora_dropout or 0.0, config.lora_targets)
