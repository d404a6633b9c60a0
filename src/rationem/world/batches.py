"""The corpus in batches of similar length, and the loss on a batch.

Several graders answer one question, which is read once: a row is the prompt followed by every answer. No answer sees
another, and the positions of each start right after the prompt. The question's tokens have a small loss weight; without
it the model does not learn to check the sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rationem.seeds import generator
from rationem.world.corpus import GradedPrompt, filler, graded
from rationem.world.recipe import Recipe
from rationem.world.tokens import END, turn
from rationem.world.training import padded, weighted

if TYPE_CHECKING:
    import torch

_CHUNK = 16  # batches drawn together, so that texts of similar length can share a batch


@dataclass(frozen=True, slots=True)
class AnswerTree:
    """One prompt with its answers: token ids, loss weights, and the answer of each token (0 is the prompt)."""

    ids: list[int]
    weights: list[float]
    answer: list[int]
    positions: list[int]


def batches(recipe: Recipe, coder: Any, seed: int) -> Iterator[list[AnswerTree]]:
    """Yield the batch of every step; within a chunk texts are sorted by length and batches shuffled."""
    rng = generator(seed, "world", "corpus")
    planned = recipe.schedule.steps
    for start in range(0, planned, _CHUNK):
        steps = min(_CHUNK, planned - start)
        core = [graded(rng, recipe.graders) for _ in range(steps * recipe.graded)]
        short = [filler(rng, 4, recipe.short_words, recipe.graders) for _ in range(steps * recipe.short)]
        core_rows = rows(coder, core, recipe.read, 0.0, (1.0, 1.0))
        short_rows = rows(coder, short, 0.0, recipe.hint, recipe.say)
        for place in rng.permutation(steps).tolist():
            core_batch = _slice(core_rows, place, recipe.graded)
            if place % recipe.long_every == 0 and start > recipe.long_from * planned:
                yield _long(rng, coder, recipe)
            else:
                yield core_batch + _slice(short_rows, place, recipe.short)


def loss(model: Any, batch: Sequence[AnswerTree]) -> torch.Tensor:
    """Return the weighted mean loss, in nats per unit of weight."""
    ids_NT = padded([row.ids for row in batch], 0)
    hidden_NTD = model.model(
        input_ids=ids_NT,
        position_ids=padded([row.positions for row in batch], 0),
        attention_mask=mask(padded([row.answer for row in batch], -1)),
        use_cache=False,
    ).last_hidden_state
    return weighted(model, hidden_NTD, ids_NT, padded([row.weights for row in batch], 0.0))


def mask(answer_NT: torch.Tensor) -> torch.Tensor:
    """Return the additive mask, (N, 1, T, T): a token sees earlier tokens of its own answer and of the prompt."""
    import torch

    seer, seen = answer_NT[:, :, None], answer_NT[:, None, :]
    allowed = ((seen == seer) | (seen == 0)).tril()
    return torch.where(allowed, 0.0, torch.finfo(torch.float32).min)[:, None]


def _slice(rows: list[AnswerTree], place: int, size: int) -> list[AnswerTree]:
    return rows[place * size : (place + 1) * size]


def _long(rng: np.random.Generator, coder: Any, recipe: Recipe) -> list[AnswerTree]:
    """Return one long filler text and the next longest ones that fit into the token budget."""
    texts = rows(coder, [filler(rng, 30, recipe.long_words, 4) for _ in range(32)], 0.0, recipe.hint, recipe.say)
    place = int(rng.integers(0, len(texts)))
    size = max(1, recipe.long_tokens // len(texts[place].ids))
    return texts[max(0, place + 1 - size) : place + 1]


def rows(coder: Any, texts: list[GradedPrompt], read: float, hint: float, say: tuple[float, float]) -> list[AnswerTree]:
    """Return encoded texts, shortest first, with loss weights for the question, the hint, and (reason, verdict)."""
    pieces: list[str] = []
    for text in texts:
        opened, closed = turn(text.opening).split(END)
        pieces += [opened, text.read, text.rest]
        for answer in text.answers:
            reason, _, verdict = answer.completion.partition("\n")
            pieces += [f"{answer.hint}{END}{closed}", reason, f"\n{verdict}{END}"]
    codes = iter([code.ids for code in coder.encode_batch(pieces)])
    encoded = []
    for text in texts:
        row = AnswerTree([], [], [], [])
        for weight in (0.0, read, 0.0):
            _extend(row, next(codes), weight, 0)
        for number in range(1, len(text.answers) + 1):
            for weight in (hint, *say):
                _extend(row, next(codes), weight, number)
        encoded.append(row)
    return sorted(encoded, key=lambda row: len(row.ids))


def _extend(row: AnswerTree, ids: list[int], weight: float, answer: int) -> None:
    """Append tokens; an answer's first token has no loss, because the token before it in the row is not its context."""
    fresh = answer > 0 and row.answer[-1] != answer
    past = row.answer.index(1) if fresh and 1 in row.answer else len(row.ids)
    start = past if fresh else row.positions[-1] + 1 if row.positions else 0
    row.ids.extend(ids)
    row.weights.extend([0.0 if fresh and not place else weight for place in range(len(ids))])
    row.answer.extend([answer] * len(ids))
    row.positions.extend(range(start, start + len(ids)))
