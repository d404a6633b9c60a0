"""The pretraining of the tiny judge, in plain torch: some 1,800 steps of AdamW on batches of like length.

    loss = sum_t w_t (-log pi(token_t | tokens_<t)) / sum_t w_t,    w = 1 on completions, READ on graded questions

Without the small weight on the question the model does not learn to check the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rationem.seeds import generator, seed_for
from rationem.world.corpus import Text, filler, graded
from rationem.world.tokens import END, VOCABULARY, tokenizer, turn

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every number that decides the weights; with the code it makes the name of the cached model.

    Args:
        steps: optimizer steps.
        rate: peak learning rate, after ``warmup`` steps, falling to 0 along a cosine.
        graded: graded texts in a batch.
        short: filler texts of at most ``short_words`` words in the same batch.
        long_every: in the second half, every so many steps a batch of long filler texts,
        long_tokens: with this many tokens at most.
        read: weight of the loss on a graded text's question.
        threads: of torch while training; the weights are the same bit by bit only at the same number.
    """

    hidden: int = 64
    layers: int = 4
    heads: int = 2
    inner: int = 176
    steps: int = 1800
    rate: float = 4e-3
    warmup: int = 60
    decay: float = 0.01
    spread: float = 0.05
    graded: int = 28
    short: int = 6
    short_words: int = 30
    long_every: int = 8
    long_words: int = 750
    long_tokens: int = 4096
    read: float = 0.15
    threads: int = 2


TINY = Recipe()
MICRO = Recipe(hidden=32, layers=2, heads=1, inner=64, short=4)

_CHUNK = 16  # batches drawn together, so that texts of like length can share one

Encoded = tuple[list[int], list[float]]
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
        for step, batch in enumerate(_batches(recipe, seed)):
            _loss(model, batch).backward()
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


def _loss(model: Any, batch: list[Encoded]) -> torch.Tensor:
    """Return the weighted mean loss. The head sees only tokens that count; causal attention hides the padding."""
    import torch

    longest = max(len(ids) for ids, _ in batch)
    ids_NT = torch.zeros(len(batch), longest, dtype=torch.long)
    weights_NT = torch.zeros(len(batch), longest)
    for row, (ids, weights) in enumerate(batch):
        ids_NT[row, : len(ids)] = torch.tensor(ids)
        weights_NT[row, : len(ids)] = torch.tensor(weights)
    hidden_NTD = model.model(input_ids=ids_NT[:, :-1], use_cache=False).last_hidden_state
    counts = weights_NT[:, 1:] > 0
    weights, targets = weights_NT[:, 1:][counts], ids_NT[:, 1:][counts]
    losses = torch.nn.functional.cross_entropy(model.lm_head(hidden_NTD[counts]), targets, reduction="none")
    return (losses * weights).sum() / weights.sum()


def _batches(recipe: Recipe, seed: int) -> Iterator[list[Encoded]]:
    """Yield the batch of every step; the texts of a chunk are sorted by length, its batches shuffled."""
    rng, coder = generator(seed, "world", "corpus"), tokenizer().backend_tokenizer
    for start in range(0, recipe.steps, _CHUNK):
        steps = min(_CHUNK, recipe.steps - start)
        core = _sorted(_encode(coder, [graded(rng) for _ in range(steps * recipe.graded)], recipe.read))
        short = _encode(coder, [filler(rng, 4, recipe.short_words) for _ in range(steps * recipe.short)], 0.0)
        short = _sorted(short)
        for place in rng.permutation(steps).tolist():
            if 2 * (start + place) >= recipe.steps and place % recipe.long_every == 0:
                yield _long(rng, coder, recipe)
            else:
                yield (
                    core[place * recipe.graded : (place + 1) * recipe.graded]
                    + short[place * recipe.short : (place + 1) * recipe.short]
                )


def _long(rng: np.random.Generator, coder: Any, recipe: Recipe) -> list[Encoded]:
    texts = _sorted(_encode(coder, [filler(rng, 30, recipe.long_words) for _ in range(32)], 0.0))
    place = int(rng.integers(0, len(texts)))
    longest = len(texts[place][0])
    return texts[max(0, place + 1 - max(1, recipe.long_tokens // longest)) : place + 1]


def _sorted(texts: list[Encoded]) -> list[Encoded]:
    return sorted(texts, key=lambda text: len(text[0]))


def _encode(coder: Any, texts: list[Text], read: float) -> list[Encoded]:
    """Return ids and weights of whole conversations: ``read`` on the question, 0 on the rest of the prompt, then 1."""
    parts = [(turn(text.read).partition(END)[0], turn(text.read + text.rest), text) for text in texts]
    whole = coder.encode_batch([f"{prompt}{text.completion}{END}" for _, prompt, text in parts])
    encoded = []
    for (opened, prompt, _), code in zip(parts, whole, strict=True):
        ends = [end for _, end in code.offsets]
        weights = [read if end <= len(opened) else float(end > len(prompt)) for end in ends]
        encoded.append((code.ids, weights))
    return encoded
