"""What ``benchmarks/m_step.py`` compares: one training each, on the same checkpoint, samples and batch size.

Every arm makes one or more whole passes over the samples, with AdamW at a constant rate, no weight decay, no clipping;
in fp32 on a CPU, on a GPU with fp32 weights under bf16 autocast. Seconds are those of the loop alone: building it,
loading and saving are left out of all of them.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from generation import SHAPES, resident_peak, words
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import (
    DataCollatorForSeq2Seq,
    LlamaConfig,
    LlamaForCausalLM,
    PrinterCallback,
    Qwen2Config,
    Qwen2ForCausalLM,
    trainer_pt_utils,
)

from rationem import SupervisedMStep, Training
from rationem.engines import models
from rationem.engines.chat import Chat
from rationem.types import Prompt, Sample

SIZES = SHAPES
RATE = 1e-4
STOP, IGNORED = 0, -100
#: Tokens of the longest completion, and of a packed row, which every sample fits into.
LONGEST, PACKED = 800, 1024
#: Batches that the hand-written loops sort by length together: Trainer's number.
WINDOW = 50


@dataclass(frozen=True)
class Work:
    """What an arm is told. ``passes`` over ``steps * batch`` samples; ``seed`` decides their order alone."""

    checkpoint: str
    params: int
    steps: int
    batch: int
    device: str
    threads: int
    passes: int = 1
    seed: int = 0
    optimizer: str = "keep"

    @property
    def cuda(self) -> bool:
        """Say whether it runs on a GPU."""
        return self.device == "cuda"


@dataclass(frozen=True)
class Outcome:
    """What an arm came to.

    Args:
        seconds: of its loop.
        loss: mean over the optimizer steps, in the arm's own normalisation.
        computed: tokens that went through the model, padding included.
        parts: seconds of a whole M-step by part, of rationem alone.
        before, peak: bytes, see :func:`memory`; before the model was loaded, and the most until the last step.
    """

    seconds: float
    loss: float
    computed: int
    steps: int
    parts: dict[str, float] = field(default_factory=dict)
    before: int = 0
    peak: int = 0


@dataclass(frozen=True)
class Ids:
    """A sample's tokens, of which the first ``prompt`` have no loss."""

    tokens: tuple[int, ...]
    prompt: int


# The same for all ----------------------------------------------------------------------------------------------------


def write_checkpoint(path: Path, params: int) -> str:
    """Write random weights of a size; return the directory."""
    shape = SIZES[params]
    sizes = {
        "vocab_size": shape.vocabulary, "hidden_size": shape.hidden, "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "num_key_value_heads": shape.kinds,
        "max_position_embeddings": 2048, "tie_word_embeddings": True, "eos_token_id": STOP, "pad_token_id": STOP,
        "bos_token_id": None,
    }  # fmt: skip
    torch.manual_seed(0)
    grouped = shape.kinds < shape.heads
    model = Qwen2ForCausalLM(Qwen2Config(**sizes)) if grouped else LlamaForCausalLM(LlamaConfig(**sizes))
    models.save(model, words(shape.vocabulary), path)
    return str(path)


def kept(params: int, count: int) -> list[Sample]:
    """Return a kept set: prompts of 60 to 140 tokens, completions log-normal about a median of 70, of 8 to 800."""
    draw, vocabulary = random.Random(0), SIZES[params].vocabulary
    samples = []
    for n in range(count):
        text = " ".join(f"w{32 * draw.randrange(2, vocabulary // 32) - 1}" for _ in range(draw.randint(60, 140)))
        length = min(max(round(draw.lognormvariate(4.25, 0.9)), 8), LONGEST)
        ids = (*(draw.randrange(2, vocabulary) for _ in range(length - 1)), STOP)
        samples.append(Sample(str(n), Prompt(text), ids, 1.0))
    return samples


def token_ids(work: Work) -> list[Ids]:
    """Return the tokens that all arms train on."""
    encode = Chat(words(SIZES[work.params].vocabulary)).encode
    samples = kept(work.params, work.steps * work.batch)
    return [Ids((*(prompt := encode(x.prompt)), *x.token_ids), len(prompt)) for x in samples]


def memory(cuda: bool) -> int:
    """Return the peak so far: of the device's memory, or of what this process had resident."""
    return torch.cuda.max_memory_allocated() if cuda else resident_peak()


def run(arm: str, work: Work) -> Outcome:
    """Run an arm in this process, which should be a fresh one."""
    torch.set_num_threads(work.threads)
    torch.manual_seed(work.seed)
    before, peak = memory(work.cuda), 0

    def after_step(*_: Any) -> None:
        nonlocal peak
        peak = memory(work.cuda)

    hook = register_optimizer_step_post_hook(after_step)
    outcome = ARMS[arm](work)
    hook.remove()
    return replace(outcome, before=before, peak=peak)


@contextmanager
def timed(work: Work) -> Iterator[Callable[[], float]]:
    """Yield a function that tells, afterwards, how many seconds the block took."""
    started = ended = time.perf_counter()
    yield lambda: ended - started
    if work.cuda:
        torch.cuda.synchronize()
    ended = time.perf_counter()


def loaded(work: Work) -> Any:
    """Return the model as an M-step loads it."""
    return models.load(work.checkpoint, trainable=True, device=work.device).model.train()


# Ours ----------------------------------------------------------------------------------------------------------------


def rationem(work: Work) -> Outcome:
    training = Training(
        steps=None, epochs=work.passes, batch_size=work.batch, micro_batch_size=work.batch, learning_rate=RATE,
        optimizer=work.optimizer,  # type: ignore[arg-type]
    )  # fmt: skip
    samples = kept(work.params, work.steps * work.batch)
    with tempfile.TemporaryDirectory(prefix="rationem-bench-") as output:
        started = time.perf_counter()
        record = SupervisedMStep(training, work.device)(
            work.checkpoint, samples, iteration=1, seed=work.seed, output=Path(output)
        )
        whole = time.perf_counter() - started
    parts = {**record["seconds"], "whole": whole}
    return Outcome(parts["train"], record["loss"], record["computed_tokens"], record["steps"], parts)


# By hand -------------------------------------------------------------------------------------------------------------


def grouped(work: Work) -> Iterator[list[Ids]]:
    """Yield batches of samples alike in length, in random order."""
    rows, draw = token_ids(work), random.Random(work.seed)
    for _ in range(work.passes):
        draw.shuffle(rows)
        for start in range(0, len(rows), WINDOW * work.batch):
            window = sorted(rows[start : start + WINDOW * work.batch], key=lambda row: len(row.tokens))
            batches = [window[i : i + work.batch] for i in range(0, len(window), work.batch)]
            draw.shuffle(batches)
            yield from batches


def padded(batch: Sequence[Ids], device: str) -> dict[str, torch.Tensor]:
    """Return a batch padded on the right, with its mask and labels."""
    shape = (len(batch), max(len(row.tokens) for row in batch))
    ids, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORED)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(batch):
        ids[i, : len(row.tokens)] = torch.tensor(row.tokens)
        mask[i, : len(row.tokens)] = 1
        labels[i, row.prompt : len(row.tokens)] = ids[i, row.prompt : len(row.tokens)]
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device), "labels": labels.to(device)}


def hand(work: Work) -> Outcome:
    """Run the loop that most would write: batches grouped by length, the model's own loss."""
    model, losses, computed = loaded(work), [], 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    with timed(work) as seconds:
        for batch in grouped(work):
            inputs = padded(batch, work.device)
            with torch.autocast("cuda", torch.bfloat16, enabled=work.cuda):
                loss = model(**inputs, use_cache=False).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            computed += inputs["input_ids"].numel()
    return Outcome(seconds(), float(torch.stack(losses).mean()), computed, len(losses))


def hand_tight(work: Work) -> Outcome:
    """Run the fastest loop that fits into these lines: no mask, logits of completions alone, a fused optimizer."""
    model, losses, computed = loaded(work), [], 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0, fused=True)
    with timed(work) as seconds:
        for batch in grouped(work):
            width = max(len(row.tokens) for row in batch)
            ids = torch.tensor([row.tokens + (STOP,) * (width - len(row.tokens)) for row in batch]).to(work.device)
            spans = [(i * width, row) for i, row in enumerate(batch)]
            places = torch.cat([torch.arange(at + row.prompt, at + len(row.tokens)) for at, row in spans])
            places = places.to(work.device)
            with torch.autocast("cuda", torch.bfloat16, enabled=work.cuda):
                hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
                logits = model.lm_head(hidden.flatten(0, 1)[places - 1])
            loss = cross_entropy(logits.float(), ids.flatten()[places], reduction="sum") / len(batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            computed += ids.numel()
    return Outcome(seconds(), float(torch.stack(losses).mean()), computed, len(losses))


# Trainer and TRL -----------------------------------------------------------------------------------------------------


class Counted:
    """A collator that counts what it hands out."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate, self.tokens = collate, 0

    def __call__(self, rows: Any) -> Any:
        """Return the batch."""
        batch = self.collate(rows)
        self.tokens += batch["input_ids"].numel()
        return batch


def arguments(work: Work, directory: str) -> dict[str, Any]:
    """Return what Trainer and TRL are both told."""
    return {
        "output_dir": directory, "num_train_epochs": work.passes, "per_device_train_batch_size": work.batch,
        "learning_rate": RATE, "lr_scheduler_type": "constant", "weight_decay": 0.0, "max_grad_norm": 0.0,
        "train_sampling_strategy": "group_by_length", "use_cpu": not work.cuda,
        "bf16": work.cuda, "logging_strategy": "no", "save_strategy": "no", "report_to": "none",
        "disable_tqdm": True, "log_level": "error", "seed": work.seed, "dataloader_pin_memory": False,
    }  # fmt: skip


def trained(trainer: Any, work: Work) -> Outcome:
    """Train, sorting ``WINDOW`` batches together, as Trainer does for many samples: for few it would sort fewer."""
    trainer.data_collator = counted = Counted(trainer.data_collator)
    trainer.remove_callback(PrinterCallback)
    wide = partial(trainer_pt_utils.get_length_grouped_indices, mega_batch_mult=WINDOW)
    sorting = mock.patch.object(trainer_pt_utils, "get_length_grouped_indices", wide)
    with sorting, models.quiet(), timed(work) as seconds:
        result = trainer.train()
    return Outcome(seconds(), float(result.training_loss), counted.tokens, trainer.state.global_step)


def trainer_grouped(work: Work) -> Outcome:
    from transformers import Trainer, TrainingArguments

    rows = [
        {"input_ids": list(x.tokens), "labels": [IGNORED] * x.prompt + list(x.tokens[x.prompt :])}
        for x in token_ids(work)
    ]
    collate = DataCollatorForSeq2Seq(words(SIZES[work.params].vocabulary), label_pad_token_id=IGNORED)
    with tempfile.TemporaryDirectory() as directory:
        settings = TrainingArguments(**arguments(work, directory))
        return trained(Trainer(loaded(work), settings, train_dataset=rows, data_collator=collate), work)


def trl_grouped(work: Work) -> Outcome:
    return trl(work)


def trl_packed(work: Work) -> Outcome:
    """Train on rows of many samples each, as many rows per step as a batch fills."""
    import trl as library
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    rows = Dataset.from_list([{"input_ids": list(x.tokens)} for x in token_ids(work)])
    per_step = max(1, round(len(library.pack_dataset(rows, PACKED, "bfd")) / work.steps))
    packing = {
        "packing": True, "packing_strategy": "bfd", "max_length": PACKED, "train_sampling_strategy": "random",
        "per_device_train_batch_size": 1, "gradient_accumulation_steps": per_step,
    }  # fmt: skip
    return trl(work, **packing)


def trl(work: Work, **more: Any) -> Outcome:
    from datasets import Dataset, disable_progress_bars
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    rows = [
        {"input_ids": list(x.tokens), "completion_mask": [0] * x.prompt + [1] * (len(x.tokens) - x.prompt)}
        for x in token_ids(work)
    ]
    with tempfile.TemporaryDirectory() as directory, models.quiet():
        told = {
            "completion_only_loss": True,
            "gradient_checkpointing": False,
            "max_length": 2 * PACKED,
            **arguments(work, directory),
            **more,
        }
        made = SFTTrainer(
            loaded(work), SFTConfig(**told), train_dataset=Dataset.from_list(rows),
            processing_class=words(SIZES[work.params].vocabulary),
        )  # fmt: skip
        return trained(made, work)


# Arithmetic ----------------------------------------------------------------------------------------------------------


def flops(params: int, rows: Sequence[Ids]) -> float:
    """Return what one pass over the samples must compute: sum_i 6 N T_i + 6 L d T_i^2 + 6 V h C_i.

    N are the weights of the layers' matrices, L the layers, d all heads' width, V the vocabulary, h the hidden size,
    T_i the tokens of a sample, C_i those that have a loss. Causal attention is counted as the half that it needs;
    padding, logits of prompts and anything computed twice are not counted.
    """
    shape = SIZES[params]
    keys = shape.hidden // shape.heads * shape.kinds
    layer = 2 * shape.hidden * (shape.hidden + keys) + 3 * shape.hidden * shape.inner
    return sum(
        6.0 * shape.layers * (layer * len(x.tokens) + shape.hidden * len(x.tokens) ** 2)
        + 6.0 * shape.vocabulary * shape.hidden * (len(x.tokens) - x.prompt)
        for x in rows
    )


ARMS: dict[str, Callable[[Work], Outcome]] = {
    "rationem": rationem,
    "hand": hand,
    "hand-tight": hand_tight,
    "trainer-grouped": trainer_grouped,
    "trl-grouped": trl_grouped,
    "trl-packed": trl_packed,
}
#: Arms whose loss is a sum over tokens per sample; that of the others is a mean over tokens.
PER_SAMPLE = ("rationem", "hand-tight")
