"""Samples to token ids, and token ids to the tensors of a micro-batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rationem.engines.chat import Chat
from rationem.types import Sample


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A tokenized sample: prompt and completion; the first ``prompt_length`` tokens have no loss."""

    token_ids: tuple[int, ...]
    prompt_length: int
    weight: float

    @property
    def trained(self) -> int:
        """The number of tokens with a loss."""
        return len(self.token_ids) - self.prompt_length


def tokenize(
    samples: Sequence[Sample], chat: Chat, stop_ids: frozenset[int], max_length: int
) -> tuple[list[TrainingRow], list[str]]:
    """Return training rows, and the ids of the examples dropped as too long.

    The completion's ids are the sampled ones, with one exception: it always ends with the template's end-of-turn token,
    even if generation stopped after the verdict line or ended with another stop token.
    """
    rows: list[TrainingRow] = []
    dropped: list[str] = []
    for sample in samples:
        prompt = tuple(chat.encode(sample.prompt))
        completion = close_turn(sample.token_ids, chat, stop_ids)
        if len(prompt) + len(completion) > max_length:
            dropped.append(sample.example_id)
        else:
            rows.append(TrainingRow(prompt + completion, len(prompt), sample.weight))
    return rows, dropped


def close_turn(token_ids: Sequence[int], chat: Chat, stop_ids: frozenset[int]) -> tuple[int, ...]:
    """Return the completion's ids, ending with exactly one end-of-turn token after the verdict."""
    ids = tuple(token_ids)
    if ids and ids[-1] in stop_ids | {chat.end_of_turn}:
        return (*ids[:-1], chat.end_of_turn)
    while ids and not chat.decode(ids[-1:]).strip():
        ids = ids[:-1]
    return (*ids, chat.end_of_turn)


def collate(rows: Sequence[TrainingRow], pad: int, total: int) -> dict[str, torch.Tensor]:
    """Return a micro-batch, padded on the right.

    Causal attention never sees later tokens, so no mask is needed and attention can use its fastest kernel.

    Args:
        rows: B rows; an empty batch becomes one token without a loss, so that every process runs a pass.
        pad: any token.
        total: N, the samples of the whole optimizer step, over all micro-batches and processes.

    Returns:
        ``input_ids`` (B, T), and flat arrays over the n tokens with a loss: ``places`` (n,), the index in B * T of the
        token *before* each; ``targets`` (n,); ``weights`` (n,), the sample's weight divided by N.
    """
    width = max((len(row.token_ids) for row in rows), default=1)
    ids = torch.full((max(len(rows), 1), width), pad)
    places: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    for i, row in enumerate(rows):
        ids[i, : len(row.token_ids)] = torch.tensor(row.token_ids)
        begin = i * width + row.prompt_length - 1
        places += range(begin, begin + row.trained)
        targets += row.token_ids[row.prompt_length :]
        weights += [row.weight / total] * row.trained
    return {
        "input_ids": ids,
        "places": torch.tensor(places, dtype=torch.long),
        "targets": torch.tensor(targets, dtype=torch.long),
        "weights": torch.tensor(weights, dtype=torch.float32),
    }
