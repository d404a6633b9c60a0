"""The pretraining of small worlds' base models, in plain torch: AdamW on padded batches, warmup and cosine.

    loss = sum_t w_t (-log pi(token_t | tokens_<t)) / sum_t w_t

A world brings its rows (token ids, loss weights) and its tokenizer; the judge's own pretraining, where one question is
answered by several graders, is in ``pretrain.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rationem.seeds import seed_for
from rationem.world.cache import Report

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a small ``LlamaForCausalLM``; heads of size ``hidden / heads`` = 32, which every engine takes."""

    hidden: int = 64
    layers: int = 3
    heads: int = 2
    inner: int = 176
    positions: int = 2048
    spread: float = 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """One text: its token ids, and the weight of the loss on each; that of the first counts for nothing."""

    ids: list[int]
    weights: list[float]


def train(
    shape: Shape,
    tokenizer: Any,
    batches: Iterable[Sequence[Row]],
    *,
    steps: int,
    rate: float = 4e-3,
    warmup: int = 60,
    decay: float = 0.01,
    threads: int = 1,
    seed: int = 0,
    report: Report | None = None,
) -> Any:
    """Return a ``LlamaForCausalLM`` trained on one batch per step, in evaluation mode.

    Neither torch's threads nor its global generator change. The weights are the same bit by bit at the same number of
    threads alone.

    Args:
        shape: of the model.
        tokenizer: its size and special tokens go into the configuration.
        batches: the rows of every step; as many as there are steps are taken.
        steps: optimizer steps.
        rate: peak learning rate, after ``warmup`` steps, falling to 0 along a cosine.
        warmup: steps.
        decay: of AdamW.
        threads: of torch while training.
        seed: of the initial weights.
        report: called as ``report("pretraining", done, steps)``.
    """
    import torch

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    with _threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "world", "weights") % 2**63)
        model = _model(shape, tokenizer)
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=decay, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        for step, batch in zip(range(steps), batches, strict=False):
            _loss(model, batch).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            if report is not None:
                report("pretraining", step + 1, steps)
    return model.eval()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _model(shape: Shape, tokenizer: Any) -> Any:
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


def _loss(model: Any, batch: Sequence[Row]) -> torch.Tensor:
    """Return the weighted mean loss. Padding lies behind, where no token that counts can see it."""
    import torch

    longest = max(len(row.ids) for row in batch)

    def padded(rows: list[list[Any]], value: float) -> torch.Tensor:
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    ids_NT = padded([row.ids for row in batch], 0)
    weights_NT = padded([row.weights for row in batch], 0.0)
    hidden_NTD = model.model(input_ids=ids_NT, use_cache=False).last_hidden_state[:, :-1]
    counts = weights_NT[:, 1:] > 0
    weights, targets = weights_NT[:, 1:][counts], ids_NT[:, 1:][counts]
    losses = torch.nn.functional.cross_entropy(model.lm_head(hidden_NTD[counts]), targets, reduction="none")
    return (losses * weights).sum() / weights.sum()
