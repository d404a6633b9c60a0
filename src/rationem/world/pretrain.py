"""The pretraining of the tiny judge, in plain torch: AdamW on some thousand batches of like length.

    loss = sum_t w_t (-log pi(token_t | tokens_<t)) / sum_t w_t,    w as the recipe says (1 on graded completions)

Without the small weight on the question the model does not learn to check the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rationem.seeds import seed_for
from rationem.world.batches import Row, batches
from rationem.world.recipe import Recipe
from rationem.world.tokens import VOCABULARY, tokenizer

if TYPE_CHECKING:
    import torch


Report = Callable[[str, int, int], None]


def train(recipe: Recipe, seed: int, report: Report | None = None) -> Any:
    """Return a ``LlamaForCausalLM`` trained by the recipe; neither torch's threads nor its global generator change."""
    import torch

    with _threads(recipe.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "world", "weights") % 2**63)
        model = _model(recipe)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(recipe, step))
        for step, batch in enumerate(batches(recipe, seed)):
            _loss(model, batch).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            if report is not None:
                report("pretraining", step + 1, recipe.steps)
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


def _model(recipe: Recipe) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    coder = tokenizer()
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=recipe.spread,
        bos_token_id=None,
        eos_token_id=coder.eos_token_id,
        pad_token_id=coder.pad_token_id,
    )
    return LlamaForCausalLM(config)


def _rate(recipe: Recipe, step: int) -> float:
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    return 0.5 * (1 + math.cos(math.pi * (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)))


def _loss(model: Any, batch: list[Row]) -> torch.Tensor:
    """Return the weighted mean loss. The head sees only the tokens that count."""
    import torch

    def padded(lists: list[list[Any]], value: float) -> torch.Tensor:
        longest = max(len(row) for row in lists)
        return torch.tensor([row + [value] * (longest - len(row)) for row in lists])

    ids_NT = padded([row.ids for row in batch], 0)
    weights_NT = padded([row.weights for row in batch], 0.0)
    answer_NT = padded([row.answer for row in batch], -1)
    hidden_NTD = model.model(
        input_ids=ids_NT,
        position_ids=padded([row.positions for row in batch], 0),
        attention_mask=_mask(answer_NT),
        use_cache=False,
    ).last_hidden_state[:, :-1]
    counts = weights_NT[:, 1:] > 0
    weights, targets = weights_NT[:, 1:][counts], ids_NT[:, 1:][counts]
    losses = torch.nn.functional.cross_entropy(model.lm_head(hidden_NTD[counts]), targets, reduction="none")
    return (losses * weights).sum() / weights.sum()


def _mask(answer_NT: torch.Tensor) -> torch.Tensor:
    """Return the additive mask, (N, 1, T, T): a token sees the past of its own answer and of the prompt."""
    import torch

    seer, seen = answer_NT[:, :, None], answer_NT[:, None, :]
    allowed = ((seen == seer) | (seen == 0)).tril()
    return torch.where(allowed, 0.0, torch.finfo(torch.float32).min)[:, None]
