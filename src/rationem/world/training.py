"""Pretraining of the embedded base models, in plain torch: AdamW on padded batches, warmup and cosine.

    loss = sum_t w_t (-log pi(token_t | tokens_<t)) / sum_t w_t

A world supplies its rows (token ids, loss weights) and its tokenizer. The judge world, where a row has the answers of
several graders, also supplies its loss (``batches.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from rationem.seeds import seed_for

if TYPE_CHECKING:
    import torch

Batch = TypeVar("Batch")
#: (phase, done, total)
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Dimensions of a small ``LlamaForCausalLM``; head size ``hidden / heads`` = 32, which every engine supports."""

    hidden: int = 64
    layers: int = 3
    heads: int = 2
    inner: int = 176
    positions: int = 2048
    spread: float = 0.05


@dataclass(frozen=True, slots=True)
class WeightedText:
    """One text: its token ids and their loss weights; the first weight is not used."""

    ids: list[int]
    weights: list[float]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The numbers of AdamW.

    Args:
        steps: optimizer steps, one batch each.
        rate: peak learning rate, reached after ``warmup`` steps, then decayed to 0 along a cosine.
        warmup: warmup steps.
        decay: weight decay.
        betas: decay rates of the moments.
        clip: largest norm of a gradient.
        threads: torch's threads while training; weights are bitwise reproducible only with the same number, on the
            same kind of processor.
    """

    steps: int
    rate: float = 4e-3
    warmup: int = 60
    decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    threads: int = 1

    def factor(self, step: int) -> float:
        """Return the factor on the peak learning rate at a step, counted from 0."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(1, self.steps - self.warmup)))


def loss(model: Any, batch: Sequence[WeightedText]) -> torch.Tensor:
    """Return the weighted mean loss. Padding is on the right, where no weighted token can see it."""
    ids_NT = padded([row.ids for row in batch], 0)
    hidden_NTD = model.model(input_ids=ids_NT, use_cache=False).last_hidden_state
    return weighted(model, hidden_NTD, ids_NT, padded([row.weights for row in batch], 0.0))


def train(
    shape: LlamaShape,
    tokenizer: Any,
    batches: Iterable[Batch],
    schedule: Schedule,
    *,
    seed: int = 0,
    loss: Callable[[Any, Batch], torch.Tensor],
    report: Report | None = None,
) -> Any:
    """Return a ``LlamaForCausalLM`` trained on one batch per step, in evaluation mode.

    Neither torch's thread count nor its global generator changes.

    Args:
        shape: the model's dimensions.
        tokenizer: its size and special tokens go into the configuration.
        batches: the arguments of ``loss``, one per step. Training ends early if they run out.
        schedule: steps and learning rates.
        seed: the seed of the initial weights.
        loss: (model, batch) -> the loss.
        report: called as ``report("pretraining", done, steps)``.
    """
    import torch

    with _threads(schedule.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "world", "weights") % 2**63)
        model = _model(shape, tokenizer)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=schedule.rate, betas=schedule.betas, weight_decay=schedule.decay, fused=True
        )
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.factor)
        for step, batch in zip(range(schedule.steps), batches, strict=False):
            loss(model, batch).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
            optimizer.step()
            optimizer.zero_grad()
            rates.step()
            if report is not None:
                report("pretraining", step + 1, schedule.steps)
    return model.eval()


def padded(rows: Sequence[list[Any]], value: float) -> torch.Tensor:
    """Return rows as one tensor, padded on the right."""
    import torch

    longest = max(len(row) for row in rows)
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def weighted(model: Any, hidden_NTD: torch.Tensor, ids_NT: torch.Tensor, weights_NT: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean next-token loss. Logits are computed only for tokens with a weight."""
    import torch

    counts = weights_NT[:, 1:] > 0
    weights, targets = weights_NT[:, 1:][counts], ids_NT[:, 1:][counts]
    losses = torch.nn.functional.cross_entropy(model.lm_head(hidden_NTD[:, :-1][counts]), targets, reduction="none")
    return (losses * weights).sum() / weights.sum()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _model(shape: LlamaShape, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.positions,
        tie_word_embeddings=True,
        initializer_range=shape.spread,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)
