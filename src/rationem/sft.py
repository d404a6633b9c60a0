"""The M-step: weighted sequence likelihood on a stock Trainer.

    loss = - (1 / N) sum_{i in step} w_i sum_t log pi(c_it | x_i, c_i<t; theta)

c_i is the kept completion (rationale, answer, end-of-turn token), N the number of samples in the optimizer step:
never the number of tokens, nor the sum of weights. So a step's gradient does not depend on how it is cut into
micro-batches. The prompt is always forward(x_i) and carries no loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, get_scheduler

from rationem import models, progress
from rationem.chat import Chat
from rationem.engines.transformers import pad_id, positions
from rationem.seeds import generator
from rationem.types import Sample

OPTIMIZER_FILE = "optimizer.pt"
_WINDOW = 8  # batches sorted by length together


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters (peft) on all linear layers; rank r, scaling alpha / r."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class Training:
    """How an M-step trains.

    Args:
        steps: optimizer steps per iteration; the same for every scheme, however much it kept. Or None:
        epochs: passes over the kept set instead; every sample is trained on exactly so many times.
        batch_size: samples per optimizer step: all steps are full, but for the last one of ``epochs``.
        micro_batch_size: examples per forward pass; the rest of a step is accumulated.
        learning_rate: peak, of AdamW.
        schedule: "constant", "linear" or "cosine", over the whole run of ``iterations`` iterations;
        restarts: begin the schedule anew in every iteration, as fits M-steps that all start from the base model.
        max_grad_norm: clip the gradient of a step to this norm; 0 is off.
        optimizer: "keep" carries Adam's moments into the next iteration, "reset" starts them anew.
        max_length: samples with more tokens are dropped and named, never cut.
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
    lora: Lora | None = None

    def draws(self, samples: int) -> int:
        """Return how many samples an iteration trains on, repetitions counted."""
        if self.steps is not None:
            return self.steps * self.batch_size
        return (self.epochs or 1) * samples


class SupervisedMStep:
    """The M-step on a transformers checkpoint: full weights, or a LoRA adapter beside them.

    Fulfils :class:`rationem.em.MStep`: a pure function of (start, samples, seed) and these settings.
    """

    def __init__(self, training: Training, device: str | None = None) -> None:
        self.training = training
        self.device = device

    def __call__(
        self, start: str, samples: Sequence[Sample], *, iteration: int, seed: int, output: Path
    ) -> dict[str, Any]:
        """Train theta_{k-1} on the samples and write theta_k to ``output``."""
        loaded = models.load(start, trainable=True, device=self.device)
        chat = Chat(loaded.tokenizer)
        rows, dropped = tokenize(samples, chat, loaded.stop_ids, self.training.max_length)
        if not rows:
            models.save(loaded.model, loaded.tokenizer, output)
            return {"dropped": dropped, "steps": 0, "loss": None, "trained_tokens": 0}
        model = _trainable(loaded.model, self.training.lora, seed)
        optimizer = self._optimizer(model, start, output)
        trainer = _trainer(model, rows, chat, optimizer, self.training, iteration, seed, output)
        with progress.track(f"iteration {iteration}, M-step", trainer.args.max_steps) as advance, models.quiet():
            trainer.add_callback(_Advance(advance))
            result = trainer.train()
        models.save(trainer.model, loaded.tokenizer, output)
        torch.save(optimizer.state_dict(), output / OPTIMIZER_FILE)
        return {
            "dropped": dropped,
            "steps": trainer.state.global_step,
            "loss": float(result.training_loss),
            "trained_tokens": trainer.trained_tokens,
        }

    def _optimizer(self, model: torch.nn.Module, start: str, output: Path) -> torch.optim.AdamW:
        settings = self.training
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        moments = Path(start) / OPTIMIZER_FILE
        # Only this run's own: a base model may come with the optimizer of whoever trained it.
        ours = Path(start).resolve().parent == output.resolve().parent
        if settings.optimizer == "keep" and ours and moments.is_file():
            optimizer.load_state_dict(torch.load(moments, weights_only=True))
            for group in optimizer.param_groups:
                group.update(lr=settings.learning_rate, initial_lr=settings.learning_rate)
        return optimizer


def tokenize(
    samples: Sequence[Sample], chat: Chat, stop_ids: frozenset[int], max_length: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return training rows (prompt ids, completion ids, weight), and the ids of the examples dropped as too long.

    The completion's ids are those that were drawn, with one exception: it always ends with the template's own
    end-of-turn token, also where generation was stopped behind the verdict line or ended with another stop token.
    """
    rows: list[dict[str, Any]] = []
    dropped: list[str] = []
    for sample in samples:
        prompt = list(chat.encode(sample.prompt))
        completion = list(close_turn(sample.token_ids, chat, stop_ids))
        if len(prompt) + len(completion) > max_length:
            dropped.append(sample.example_id)
            continue
        rows.append({"input_ids": prompt + completion, "prompt_length": len(prompt), "weight": sample.weight})
    return rows, dropped


def close_turn(token_ids: Sequence[int], chat: Chat, stop_ids: frozenset[int]) -> tuple[int, ...]:
    """Return the completion's ids, ending with exactly one end-of-turn token behind the verdict."""
    ids = tuple(token_ids)
    if ids and ids[-1] in stop_ids | {chat.end_of_turn}:
        return (*ids[:-1], chat.end_of_turn)
    while ids and not chat.decode(ids[-1:]).strip():
        ids = ids[:-1]
    return (*ids, chat.end_of_turn)


def collate(rows: Sequence[dict[str, Any]], pad: int) -> dict[str, torch.Tensor]:
    """Return a batch with prompts padded on the left and completions on the right.

    So every completion begins in the same column, and the last ``C + 1`` columns hold all logits that are needed:
    ``input_ids`` and ``attention_mask`` (B, P + C), ``targets`` and ``target_mask`` (B, C), ``weights`` (B,).
    """
    widest = max(row["prompt_length"] for row in rows)
    length = max(len(row["input_ids"]) - row["prompt_length"] for row in rows)
    ids = torch.full((len(rows), widest + length), pad)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        start = widest - row["prompt_length"]
        ids[i, start : start + len(row["input_ids"])] = torch.tensor(row["input_ids"])
        mask[i, start : start + len(row["input_ids"])] = 1
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "targets": ids[:, widest:],
        "target_mask": mask[:, widest:],
        "weights": torch.tensor([row["weight"] for row in rows], dtype=torch.float32),
    }


def sequence_log_likelihood(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return log pi(c_i | x_i; theta), summed over the completion's tokens, shape (B,)."""
    output = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        position_ids=positions(batch["attention_mask"]),
        logits_to_keep=batch["targets"].shape[1] + 1,
        use_cache=False,
    )
    logits = output.logits[:, :-1].float()
    loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch["targets"], reduction="none")
    return -(loss * batch["target_mask"]).sum(dim=1)


def training_order(lengths: Sequence[int], draws: int, batch_size: int, seed: int) -> list[int]:
    """Return which samples an iteration trains on, in order: permutation after permutation, without a gap.

    Batches are full wherever an epoch ends, so a step is worth the same under every scheme, however much it kept. Of
    every eight batches the samples are sorted by length, so that those of a batch are alike and padding is small; the
    batches are then shuffled.

    Args:
        lengths: tokens per sample, length N.
        draws: how many places to fill; sample n comes up draws // N times or once more.
        batch_size: samples per optimizer step; only the last batch can be smaller.
        seed: the order depends on it alone.
    """
    rng = generator(seed, "order")
    rounds = [rng.permutation(len(lengths)) for _ in range(-(-draws // len(lengths)))]
    places = np.concatenate(rounds)[:draws].tolist()
    order: list[int] = []
    for start in range(0, draws, _WINDOW * batch_size):
        window = sorted(places[start : start + _WINDOW * batch_size], key=lambda place: -lengths[place])
        batches = [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
        whole = len(window) // batch_size
        order += [
            place for i in (*rng.permutation(whole).tolist(), *range(whole, len(batches))) for place in batches[i]
        ]
    return order


class _Order(torch.utils.data.Sampler[int]):
    def __init__(self, order: list[int]) -> None:
        self._order = order

    def __iter__(self) -> Iterator[int]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)


class _WeightedTrainer(Trainer):
    """Trainer with the paper's objective: weighted sums over sequences, divided by the step's number of samples."""

    def __init__(self, *args: Any, order: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._order = _Order(order)
        self.loss_is_scaled_for_ga = True
        self.trained_tokens = 0

    def _get_train_sampler(self, train_dataset: Any = None) -> _Order:
        return self._order

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """Return the micro-batches of one optimizer step and N, its number of examples."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.trained_tokens += sum(int(batch["attention_mask"].sum()) for batch in batches)
        return batches, sum(len(batch["weights"]) for batch in batches)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return this micro-batch's share of the step's loss."""
        weighted = inputs["weights"] * sequence_log_likelihood(model, inputs)
        return -weighted.sum() / num_items_in_batch


class _Advance(TrainerCallback):
    def __init__(self, advance: Any) -> None:
        self._advance = advance

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        """Move the bar by one optimizer step."""
        self._advance(1)


def _trainer(
    model: Any,
    rows: list[dict[str, Any]],
    chat: Chat,
    optimizer: torch.optim.Optimizer,
    settings: Training,
    iteration: int,
    seed: int,
    output: Path,
) -> _WeightedTrainer:
    accumulation = -(-settings.batch_size // settings.micro_batch_size)
    micro = min(settings.micro_batch_size, settings.batch_size)
    draws = settings.draws(len(rows))
    steps = -(-draws // settings.batch_size)
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        max_grad_norm=settings.max_grad_norm,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        seed=seed % 2**32,
        use_cpu=next(model.parameters()).device.type == "cpu",
        bf16=next(model.parameters()).device.type == "cuda",
        dataloader_pin_memory=False,
    )
    # One process, one device: Trainer would scatter a batch over all GPUs in sight and average what must be a sum.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    pad = pad_id(chat.tokenizer, chat.end_of_turn)
    trainer = _WeightedTrainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        order=training_order([len(row["input_ids"]) for row in rows], draws, settings.batch_size, seed),
        data_collator=lambda batch: collate(batch, pad),
        optimizers=(optimizer, _schedule(optimizer, settings, iteration, steps)),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _schedule(
    optimizer: torch.optim.Optimizer, settings: Training, iteration: int, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the learning rate of this iteration's piece of one schedule over the whole run."""
    iterations, before = (1, 0) if settings.restarts else (settings.iterations, (iteration - 1) * steps)
    name = "constant_with_warmup" if settings.schedule == "constant" else settings.schedule
    whole = get_scheduler(name, optimizer, settings.warmup_steps, iterations * steps)
    factor = whole.lr_lambdas[0]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(before + step))


def _trainable(model: Any, lora: Lora | None, seed: int) -> Any:
    if lora is None or hasattr(model, "peft_config"):
        return model
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(), models.quiet():
        torch.manual_seed(seed)
        return get_peft_model(
            model,
            LoraConfig(
                r=lora.rank,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
        )
