"""Samples to token ids, and token ids to the tensors of a micro-batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from rationem.engines.chat import Chat
from rationem.types import Sample


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A tokenized sample of an example: prompt and completion; the first ``prompt_length`` tokens have no loss."""

    token_ids: tuple[int, ...]
    prompt_length: int
    weight: float
    example_id: str = ""

    @property
    def trained(self) -> int:
        """The number of tokens with a loss."""
        return len(self.token_ids) - self.prompt_length


def tokenize(
    samples: Sequence[Sample], chat: Chat, stop_ids: frozenset[int], max_length: int
) -> tuple[list[TrainingRow], list[str]]:
    """Return training rows, and the ids of the examples dropped because all their samples are too long.

    The rows of an example share its weight, the sum of its samples' weights, also where some of them are too long. The
    completion's ids are the sampled ones, with one exception: it always ends with the template's end-of-turn token,
    even if generation stopped after the verdict line or ended with another stop token.
    """
    rows: list[TrainingRow] = []
    whole: dict[str, float] = {}
    for sample in samples:
        whole[sample.example_id] = whole.get(sample.example_id, 0.0) + sample.weight
        prompt = tuple(chat.encode(sample.prompt))
        completion = close_turn(sample.token_ids, chat, stop_ids)
        if len(prompt) + len(completion) <= max_length:
            rows.append(TrainingRow(prompt + completion, len(prompt), sample.weight, sample.example_id))
    if len(rows) < len(samples):
        rows = _sharing(rows, whole)
    return rows, sorted(whole.keys() - {row.example_id for row in rows}, key=list(whole).index)


def by_example(rows: Sequence[TrainingRow]) -> list[list[int]]:
    """Return the places of each example's rows, in the order of the examples' first rows."""
    found: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        found.setdefault(row.example_id, []).append(place)
    return list(found.values())


def _sharing(rows: Sequence[TrainingRow], whole: Mapping[str, float]) -> list[TrainingRow]:
    """Return the rows with weights that add up to the whole weight of each example."""
    left: dict[str, float] = {}
    for row in rows:
        left[row.example_id] = left.get(row.example_id, 0.0) + row.weight
    return [replace(row, weight=row.weight * (whole[row.example_id] / left[row.example_id])) for row in rows]


def close_turn(token_ids: Sequence[int], chat: Chat, stop_ids: frozenset[int]) -> tuple[int, ...]:
    """Return the completion's ids, ending with exactly one end-of-turn token after the verdict."""
    ids = tuple(token_ids)
    if ids and ids[-1] in stop_ids | {chat.end_of_turn}:
        return (*ids[:-1], chat.end_of_turn)
    while ids and not chat.decode(ids[-1:]).strip():
        ids = ids[:-1]
    return (*ids, chat.end_of_turn)


def collate(rows: Sequence[TrainingRow], pad: int, total: float) -> dict[str, torch.Tensor]:
    """Return a micro-batch, padded on the right.

    Causal attention never sees later tokens, so no mask is needed and attention can use its fastest kernel.

    Args:
        rows: B rows; an empty batch becomes one token without a loss, so that every process runs a pass.
        pad: any token.
        total: B, the examples of the whole optimizer step, over all micro-batches and processes; B N / n with
            ``normalise="all"``, where n of N training examples are kept.

    Returns:
        ``input_ids`` (B, T), and flat arrays over the n tokens with a loss: ``places`` (n,), the index in B * T of the
        token *before* each; ``targets`` (n,); ``weights`` (n,), the sample's weight divided by ``total``.
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
