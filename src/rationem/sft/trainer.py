"""A transformers Trainer with the paper's objective: sample weights, and a normalizer independent of micro-batches."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, get_scheduler
from transformers.integrations import TensorBoardCallback

from rationem.errors import RunError
from rationem.ledger.files import refuse_links
from rationem.sft import parallel
from rationem.sft.settings import Training


class WeightedTrainer(Trainer):
    """Trainer whose loss is the objective's: already weighted and divided by the number of examples of the step.

    Args:
        passes: the forward passes of this process, in order.
        wrapped: the module called instead of the model, from :func:`rationem.sft.parallel.together`.
        done: optimizer steps of earlier iterations, so that logged step numbers continue.
        iteration: k, for error messages.
    """

    def __init__(
        self,
        *args: Any,
        passes: torch.utils.data.DataLoader[Any],
        wrapped: torch.nn.Module,
        done: int,
        iteration: int,
        **kwargs: Any,
    ) -> None:
        self._passes, self._wrapped, self._done, self._iteration = passes, wrapped, done, iteration
        self._processes = parallel.team().processes
        self.loss_is_scaled_for_ga = True
        super().__init__(*args, **kwargs)
        self.summed = torch.zeros((), device=self.args.device)

    def get_train_dataloader(self) -> torch.utils.data.DataLoader[Any]:
        """Return this process's own passes, unchanged: accelerate must not shard, repeat or drop any."""
        return self._passes

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: Any) -> tuple[list[Any], None]:
        """Return the micro-batches of one optimizer step; each knows the step's number of examples."""
        return list(islice(epoch_iterator, num_batches)), None

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], *_: Any, **__: Any) -> torch.Tensor:
        """Return this micro-batch's part of the step's loss, times the number of processes, which average gradients."""
        loss: torch.Tensor = model(**inputs)
        self.summed += loss.detach()
        return loss * self._processes

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log under the step's number in the whole run."""
        self.state.global_step += self._done
        try:
            super().log(logs, start_time)
        finally:
            self.state.global_step -= self._done

    def mean_loss(self) -> float:
        """Return the mean loss per step; a collective call of all processes."""
        if self._processes > 1:
            torch.distributed.all_reduce(self.summed)
        return float(self.summed) / int(self.state.global_step)

    def _wrap_model(self, model: Any, *_: Any, **__: Any) -> torch.nn.Module:
        return self._wrapped

    def _move_model_to_device(self, model: Any, device: Any) -> None:
        """Do nothing: the model is already on its device, or sharded."""

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """Return the gradient norm if clipping computed it; called before every step, so a bad step is never taken.

        Raises:
            RunError: the loss or the gradient of this step is not finite.
        """
        norm = _total_norm(model) if grad_norm is None else grad_norm
        for what, value in (("loss", float(self.summed)), ("gradient's norm", float(norm))):
            if not math.isfinite(value):
                raise RunError(self._diverged(what, value))
        return grad_norm

    def _diverged(self, what: str, value: float) -> str:
        step, args = int(self.state.global_step) + 1, self.args
        said = f"Iteration {self._iteration}, step {step} of {args.max_steps} of the M-step: the {what} is {value}."
        if step + self._done == 1:
            return (
                f"{said} No step was taken yet: the model itself is not finite. Try --precision fp32, or another model."
            )
        rate = self.optimizer.param_groups[0]["lr"]
        tries = [f"a lower --learning-rate (it is {rate:g})"]
        tries += [] if args.max_grad_norm else ["--max-grad-norm 1"]
        tries += ["--precision fp32"] if args.bf16 else []
        return (
            f"{said} Its weights are not used; earlier weights and all trials are kept. Try "
            f"{' or '.join(tries)}: in a new run, or on the same trials with rationem refit RUN --iteration "
            f"{self._iteration}."
        )


def _total_norm(model: torch.nn.Module) -> float:
    """Return the norm of all gradients; with sharded weights a collective call of all processes."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


class Advance(TrainerCallback):
    """Advances the progress bar by one per optimizer step."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        """Advance by one."""
        self._advance(1)


def trainer(
    objective: Any,
    wrapped: torch.nn.Module,
    passes: torch.utils.data.DataLoader[Any],
    optimizer: torch.optim.Optimizer,
    settings: Training,
    *,
    accumulation: int,
    steps: int,
    iteration: int,
    seed: int,
    output: Path,
) -> WeightedTrainer:
    """Return the trainer of one iteration, configured to shuffle, scatter, log and save nothing by itself."""
    device = next(objective.parameters()).device
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        gradient_accumulation_steps=accumulation,
        max_grad_norm=settings.max_grad_norm,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="steps" if settings.report_to else "no",
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,
        report_to=list(settings.report_to) or "none",
        run_name=f"{output.parent.parent.name}-iteration-{iteration:03d}",
        disable_tqdm=True,
        log_level="error",
        seed=seed % 2**32,
        use_cpu=device.type == "cpu",
        bf16=half(settings, device),
        dataloader_pin_memory=False,
    )
    # One device per process: Trainer would scatter a batch over all visible GPUs and average where a sum is needed.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    done = 0 if settings.restarts else (iteration - 1) * steps
    made = WeightedTrainer(
        model=objective,
        args=arguments,
        data_collator=lambda batch: batch,
        train_dataset=passes.dataset,
        optimizers=(optimizer, schedule(optimizer, settings, iteration, steps)),
        passes=passes,
        wrapped=wrapped,
        done=done,
        iteration=iteration,
    )
    made.remove_callback(PrinterCallback)
    for callback in made.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):
            # Outside the checkpoint, so that a repeated M-step replaces its earlier log.
            logs = output.parent.parent / "logs" / f"iteration-{iteration:03d}"
            refuse_links(output.parent.parent, logs)
            if parallel.team().leads:
                shutil.rmtree(logs, ignore_errors=True)
            callback.logging_dir = str(logs)
    return made


def half(settings: Training, device: torch.device) -> bool:
    """Say whether matrix products are in bf16: by default on a GPU that supports it.

    On CPUs without bf16 matrix units it is several times slower than fp32 (measured; docs/log.md).
    """
    if settings.precision != "auto":
        return settings.precision == "bf16"
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def schedule(
    optimizer: torch.optim.Optimizer, settings: Training, iteration: int, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return this iteration's part of the learning rate schedule, which covers the whole run."""
    iterations, before = (1, 0) if settings.restarts else (settings.iterations, (iteration - 1) * steps)
    name = "constant_with_warmup" if settings.schedule == "constant" else settings.schedule
    whole = get_scheduler(name, optimizer, settings.warmup_steps, iterations * steps)
    factor = whole.lr_lambdas[0]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(before + step))
