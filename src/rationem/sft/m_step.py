"""The M-step in this process, alone or as one of several processes of torchrun."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from rationem import progress
from rationem.engines import adapters, models, rope, stops, storage
from rationem.engines.chat import Chat
from rationem.engines.checkpoint import listed
from rationem.engines.tensor_check import not_finite
from rationem.errors import RunError, writing
from rationem.sft import moments, parallel
from rationem.sft.objective import Objective
from rationem.sft.order import MicroBatch, Step, accumulation, micro_batches, steps, training_order
from rationem.sft.rows import TrainingRow, by_example, collate, tokenize
from rationem.sft.settings import Lora, Training
from rationem.sft.trainer import Advance, WeightedTrainer, half, trainer
from rationem.types import Sample


class SupervisedMStep:
    """The M-step on a transformers checkpoint: full weights or a LoRA adapter.

    An :class:`rationem.types.MStep`: a pure function of (start, samples, seed) and these settings. Under torchrun each
    process calls it with the same arguments, and the first one writes.
    """

    def __init__(self, training: Training, device: str | None = None) -> None:
        self.training = training
        self.device = device

    def __call__(
        self, start: str, samples: Sequence[Sample], *, iteration: int, seed: int, output: Path
    ) -> dict[str, Any]:
        """Train theta_{k-1} on the samples and write theta_k to ``output``.

        Returns:
            ``dropped`` (ids of over-long examples), ``steps``, ``examples`` (trained on) and ``passes`` (over each of
            them, on average), ``loss`` (mean over the steps), ``trained_tokens`` and
            ``computed_tokens`` (without and with padding, prompts included), ``processes``, ``share`` (the largest
            share of the weights that any process holds), ``nodes`` if there were several, ``precision``, and
            ``seconds`` by part.

        Raises:
            RunError: the loss is not finite, or the device's memory is too small.
        """
        seconds: dict[str, float] = {}
        with _timed(seconds, "load"):
            loaded = models.load(
                start,
                trainable=True,
                device=parallel.local_device(self.device),
                conversation=self.training.conversation,
            )
            rope.read_as(loaded.model, self.training.longest)
        with _timed(seconds, "prepare"):
            chat = Chat(loaded.tokenizer)
            rows, dropped = tokenize(samples, chat, loaded.stop_ids, self.training.max_length)
            if rows:
                objective, optimizer, run = self._prepare(loaded, rows, start, iteration, seed, output)
        if not rows:
            if parallel.team().leads:
                models.save(loaded.model, loaded.tokenizer, output)
                _note(start, output)
            return {"dropped": dropped, "steps": 0, "loss": None, "trained_tokens": 0}
        share = _fullest(parallel.held_share(objective))
        with _timed(seconds, "train"):
            loss = _train(run, f"iteration {iteration}, M-step")
        with _timed(seconds, "save"):
            self._save(objective, optimizer, loaded.tokenizer, start, output)
        return {
            "dropped": dropped,
            "steps": run.state.global_step,
            **_passes(self.training, rows),
            "loss": loss,
            **_tokens(self.training, rows, seed),
            "processes": parallel.team().processes,
            "share": share,
            **_nodes(),
            "precision": "bf16" if run.args.bf16 else "fp32",
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
        }

    def _prepare(
        self,
        loaded: models.LoadedModel,
        rows: Sequence[TrainingRow],
        start: str,
        iteration: int,
        seed: int,
        output: Path,
    ) -> tuple[Objective, torch.optim.Optimizer, WeightedTrainer]:
        settings, team = self.training, parallel.team()
        model = _trainable(loaded.model, settings.lora, seed)
        if settings.gradient_checkpointing:
            # transformers is renaming it.
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable({"use_reentrant": False})
        objective = Objective(model)
        device = next(model.parameters()).device
        wrapped = parallel.together(objective, settings.parallel, half(settings, device))
        optimizer = self._optimizer(objective, start, output)
        pad = stops.pad_id(loaded.tokenizer, Chat(loaded.tokenizer).end_of_turn)
        planned, kept = _steps(settings, rows, seed), len(by_example(rows))
        passes = micro_batches(planned, settings.micro_batch_size, process=team.process, processes=team.processes)

        def tensors(one: MicroBatch) -> dict[str, torch.Tensor]:
            return collate([rows[place] for place in one.places], pad, settings.divisor(one.total, kept))

        # A list is a map-style data set; every item is already a batch.
        batches = torch.utils.data.DataLoader(cast(Any, passes), batch_size=None, collate_fn=cast(Any, tensors))
        with models.quiet():
            run = trainer(
                objective, wrapped, batches, optimizer, settings,
                accumulation=accumulation(planned, settings.micro_batch_size, team.processes),
                steps=len(planned), iteration=iteration, seed=seed, output=output,
            )  # fmt: skip
        return objective, optimizer, run

    def _optimizer(self, objective: Objective, start: str, output: Path) -> torch.optim.Optimizer:
        settings = self.training
        parameters = [p for p in objective.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        # Only this run's moments: a base model may contain the optimizer state of its own training.
        place, checkpoints = Path(start).resolve(), output.resolve().parent
        ours = place.parent == checkpoints
        if settings.optimizer == "keep" and ours and (place / moments.FILE).is_file():
            moments.load(objective, optimizer, place)
        if ours and parallel.team().leads:
            moments.prune(checkpoints, place)
        return optimizer

    def _save(
        self, objective: Objective, optimizer: torch.optim.Optimizer, tokenizer: Any, start: str, output: Path
    ) -> None:
        sharded = self.training.parallel == "fsdp" and parallel.team().processes > 1
        state = parallel.full_state(objective) if sharded else None
        if parallel.team().leads:
            with writing(output):
                models.save(objective.model, tokenizer, output, state)
                _note(start, output)
        if self.training.optimizer == "keep" and not self.training.restarts:
            with writing(output):
                moments.save(objective, optimizer, output)


def _train(run: WeightedTrainer, label: str) -> float:
    """Run all optimizer steps; return the mean loss.

    Raises:
        RunError: the loss, the gradient or a weight is not finite, or the device's memory is too small.
    """
    with progress.track(label, run.args.max_steps) as advance, models.quiet():
        run.add_callback(Advance(advance))
        try:
            run.train()
        except torch.OutOfMemoryError as error:
            raise RunError(
                f"The M-step needs more memory than {run.args.device} has: {str(error).splitlines()[0]} Lower "
                "--micro-batch-size, or use --gradient-checkpointing, --lora-rank, or --processes with --parallel fsdp."
            ) from error
    if broken := not_finite(run.model):  # no loss was computed after the last step
        raise RunError(
            f"After the last step the weights are not finite ({listed(broken)}); they are not used. Lower "
            "--learning-rate, or set --max-grad-norm 1."
        )
    return run.mean_loss()


def _note(start: str, output: Path) -> None:
    """Record in a checkpoint of full weights the type to publish them in; an adapter stays in fp32."""
    if not adapters.is_adapter(output):
        storage.note(output, models.base_place(start))


def _steps(settings: Training, rows: Sequence[TrainingRow], seed: int) -> list[Step]:
    lengths, members = [len(row.token_ids) for row in rows], by_example(rows)
    longest = [max(lengths[place] for place in places) for places in members]
    order = training_order(longest, settings.draws(len(members)), settings.batch_size, seed)
    return steps(order, settings.batch_size, members, lengths)


def _passes(settings: Training, rows: Sequence[TrainingRow]) -> dict[str, float]:
    """Return the number of examples, and how often each is trained on, on average."""
    examples = len(by_example(rows))
    return {"examples": examples, "passes": settings.draws(examples) / examples}


def _tokens(settings: Training, rows: Sequence[TrainingRow], seed: int) -> dict[str, int]:
    """Return the numbers of trained tokens and of computed tokens (with padding) over all processes."""
    planned, processes = _steps(settings, rows, seed), parallel.team().processes
    of = partial(micro_batches, planned, settings.micro_batch_size, processes=processes)
    passes = [one.places for process in range(processes) for one in of(process=process)]
    computed = sum(len(p) * max(len(rows[place].token_ids) for place in p) for p in passes if p)
    trained = sum(len(rows[place].token_ids) for one in planned for place in one.places)
    return {"trained_tokens": trained, "computed_tokens": computed}


def _fullest(share: float) -> float:
    """Return the largest share that any process holds; a collective call of all processes."""
    if parallel.team().processes == 1:
        return share
    shares: list[Any] = [None] * parallel.team().processes
    torch.distributed.all_gather_object(shares, share)
    return float(max(shares))


def _nodes() -> dict[str, int]:
    """Return the number of nodes, if there are several; a collective call of all processes."""
    if parallel.team().processes == 1:
        return {}
    groups: list[Any] = [None] * parallel.team().processes
    torch.distributed.all_gather_object(groups, os.environ.get("GROUP_RANK", "0"))
    return {"nodes": len(set(groups))} if len(set(groups)) > 1 else {}


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
                target_modules=list(lora.targets) if lora.targets else "all-linear",
                exclude_modules=None if lora.targets else _unfit(model) or None,
                task_type="CAUSAL_LM",
            ),
        )


def _unfit(model: Any) -> list[str]:
    """Return the linear layers that cannot have an adapter.

    Layers that override forward return more than a product (a router and its choice), and fused kernels use the weights
    of a state-space mixer's output directly, bypassing any adapter.
    """
    found = []
    for name, one in model.named_modules():
        if isinstance(one, torch.nn.Linear) and type(one).forward is not torch.nn.Linear.forward:
            found.append(name)
        elif hasattr(one, "A_log") and hasattr(one, "D") and hasattr(one, "out_proj"):
            found.append(f"{name}.out_proj")
    return found


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - started
