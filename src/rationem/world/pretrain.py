"""The pretraining of the tiny judge, in plain torch: some 1,800 steps of AdamW on batches of like length.

One question is read once and answered by several graders: a row is the prompt and then every answer, where no answer
sees another and each stands at the position right behind the prompt.

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
from rationem.world.tokens import END, SPECIAL, VOCABULARY, tokenizer, turn

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every number that decides the weights; with the code it makes the name of the cached model.

    Args:
        steps: optimizer steps.
        rate: peak learning rate, after ``warmup`` steps, falling to 0 along a cosine.
        graded: graded texts in a batch, each with the answers of ``graders``.
        short: filler texts of at most ``short_words`` words in the same batch, each with the answers of ``graders``.
        long_every: in the second half, every so many steps a batch of long filler texts,
        long_tokens: with this many tokens at most.
        drills: copying drills in a batch of the first half: ``drill_tokens`` random tokens, and the same again. They
            teach in a few hundred steps to continue what was said before, without which no named level is copied.
        read: weight of the loss on a graded text's question.
        hint: weight of the loss on a filler text's hint, which names one of the levels.
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
    graded: int = 11
    graders: int = 3
    short: int = 4
    short_words: int = 30
    long_every: int = 8
    long_words: int = 750
    long_tokens: int = 4096
    drills: int = 4
    drill_tokens: int = 20
    read: float = 0.4
    hint: float = 0.3
    threads: int = 1


TINY = Recipe()
MICRO = Recipe(hidden=32, layers=2, heads=1, inner=64)

_CHUNK = 16  # batches drawn together, so that texts of like length can share one


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt with its answers: token ids, loss weights, and which answer each token belongs to (0: the prompt)."""

    ids: list[int]
    weights: list[float]
    answer: list[int]
    positions: list[int]


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


def _batches(recipe: Recipe, seed: int) -> Iterator[list[Row]]:
    """Yield the batch of every step; the texts of a chunk are sorted by length, its batches shuffled."""
    rng, coder = generator(seed, "world", "corpus"), tokenizer().backend_tokenizer
    for start in range(0, recipe.steps, _CHUNK):
        steps = min(_CHUNK, recipe.steps - start)
        core = [graded(rng, recipe.graders) for _ in range(steps * recipe.graded)]
        short = [filler(rng, 4, recipe.short_words, recipe.graders) for _ in range(steps * recipe.short)]
        core_rows, short_rows = _rows(coder, core, recipe.read, 0.0), _rows(coder, short, 0.0, recipe.hint)
        for place in rng.permutation(steps).tolist():
            batch = _slice(core_rows, place, recipe.graded) + _slice(short_rows, place, recipe.short)
            if 2 * start < recipe.steps:
                yield [*batch, _drills(rng, recipe.drills, recipe.drill_tokens)]
            else:
                yield batch if place % recipe.long_every else _long(rng, coder, recipe)


def _slice(rows: list[Row], place: int, size: int) -> list[Row]:
    return rows[place * size : (place + 1) * size]


def _long(rng: np.random.Generator, coder: Any, recipe: Recipe) -> list[Row]:
    """Return one long filler text, and those next in length, as far as the token budget goes."""
    rows = _rows(coder, [filler(rng, 30, recipe.long_words, 4) for _ in range(32)], 0.0, recipe.hint)
    place = int(rng.integers(0, len(rows)))
    size = max(1, recipe.long_tokens // len(rows[place].ids))
    return rows[max(0, place + 1 - size) : place + 1]


def _rows(coder: Any, texts: list[Text], read: float, hint: float) -> list[Row]:
    """Return encoded texts, the shortest first; the loss weighs completions by 1, the rest as told."""
    pieces: list[str] = []
    for text in texts:
        opened, closed = turn(text.read + text.rest).split(END)
        pieces += [opened.removesuffix(text.rest), text.rest]
        for answer in text.answers:
            pieces += [f"{answer.hint}{END}{closed}", f"{answer.completion}{END}"]
    codes = iter([code.ids for code in coder.encode_batch(pieces)])
    rows = []
    for text in texts:
        row = Row([], [], [], [])
        _extend(row, next(codes), read, 0)
        _extend(row, next(codes), 0.0, 0)
        for number in range(1, len(text.answers) + 1):
            _extend(row, next(codes), hint, number)
            _extend(row, next(codes), 1.0, number)
        rows.append(row)
    return sorted(rows, key=lambda row: len(row.ids))


def _extend(row: Row, ids: list[int], weight: float, answer: int) -> None:
    """Append tokens; the first of an answer has no loss, for the token before it in the row is not its past."""
    fresh = answer > 0 and row.answer[-1] != answer
    past = row.answer.index(1) if fresh and 1 in row.answer else len(row.ids)
    start = past if fresh else row.positions[-1] + 1 if row.positions else 0
    row.ids.extend(ids)
    row.weights.extend([0.0 if fresh else weight, *[weight] * (len(ids) - 1)])
    row.answer.extend([answer] * len(ids))
    row.positions.extend(range(start, start + len(ids)))


def _drills(rng: np.random.Generator, count: int, tokens: int) -> Row:
    """Return a row of ``count`` drills that do not see each other, and no prompt."""
    row = Row([], [], [], [])
    for number in range(1, count + 1):
        ids: list[int] = rng.integers(len(SPECIAL), VOCABULARY, tokens).tolist()
        row.ids.extend(ids + ids)
        row.weights.extend([0.0] * (tokens + 1) + [1.0] * (tokens - 1))
        row.answer.extend([number] * (2 * tokens))
        row.positions.extend(range(2 * tokens))
    return row
