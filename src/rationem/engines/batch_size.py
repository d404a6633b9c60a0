"""Finds the fastest batch size for sampling, by trying growing batches of the user's own prompts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice, zip_longest
from typing import Any

import torch

from rationem.engines.memory import ran_out
from rationem.engines.models import LoadedModel
from rationem.engines.transformers import TransformersEngine
from rationem.tasks.scale import MARKER
from rationem.types import Prompt, Request, Sampling

#: Sizes to try, in growing order.
CANDIDATES = (8, 16, 32, 64, 128, 256, 512)

#: A larger batch must be faster by this share, and the smallest size within this share of the fastest is chosen.
_WORTH = 0.05

#: Tokens sampled per row in a measurement.
_STEPS = 32

#: Largest expected share of the free memory that a batch may use.
_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Measured:
    """The chosen batch size, and the new tokens per second at every measured size."""

    batch_size: int
    tokens_per_second: dict[int, float]


def best_batch_size(
    loaded: LoadedModel,
    prompts: Sequence[Prompt],
    *,
    new_tokens: int,
    candidates: Sequence[int] = CANDIDATES,
    seconds: float = 60.0,
) -> Measured:
    """Return the smallest batch size within 5 % of the fastest measured one.

    Batches grow until one is less than 5 % faster than the one before, until memory could not hold the next at full
    length, or until the next would exceed the time limit. The state of models and engines does not change.

    Args:
        loaded: the model.
        prompts: some of the user's prompts, sorted by length like batches. They are repeated in larger batches, where
            repeats are read only once, so few prompts make large batches look slightly too fast.
        new_tokens: the length limit of completions, which determines a row's largest memory.
        candidates: sizes to try, growing.
        seconds: no batch starts that is expected to end later than this.

    Raises:
        ValueError: no prompts, no candidates, or candidates that do not grow.
        ModelError: not even one row fits into memory.
    """
    if not prompts or not candidates or list(candidates) != sorted(set(candidates)) or candidates[0] < 1:
        raise ValueError(f"Needed: prompts, and growing candidates of at least 1; found {candidates!r}.")
    began, rates = time.perf_counter(), dict[int, float]()
    engine = TransformersEngine(loaded, marker=MARKER, batch_size=candidates[0])
    engine.sample(_requests(prompts, 1, 2))  # the first calls of a process are slower
    longest = max(engine.prompt_tokens(prompt) for prompt in prompts) + new_tokens
    for size, larger in zip_longest(candidates, candidates[1:], fillvalue=0):
        rate, taken = _tried(loaded, prompts, size, min(_STEPS, new_tokens))
        if rate is None:
            break
        rates[size] = rate
        gained = len(rates) < 2 or rate > (1 + _WORTH) * list(rates.values())[-2]
        late = time.perf_counter() - began + larger / size * taken > seconds
        if not gained or late or larger * row_bytes(loaded, longest) > _SHARE * free_bytes(loaded):
            break
    return Measured(chosen(rates) if rates else candidates[0], rates)


def chosen(rates: dict[int, float]) -> int:
    """Return the smallest size whose rate is within 5 % of the best.

    >>> chosen({8: 100.0, 16: 190.0, 32: 197.0, 64: 199.0})
    16
    """
    best = max(rates.values())
    return min(size for size, rate in rates.items() if rate >= (1 - _WORTH) * best)


def row_bytes(loaded: LoadedModel, tokens: int) -> float:
    """Return the most bytes that a row of ``tokens`` tokens needs: keys, values, some activations, logits twice."""
    config, width = loaded.model.config.get_text_config(), loaded.model.dtype.itemsize
    cached = held_per_token(config)
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    # Reading the prompt needs a few tensors of one layer at a time; sampling uses logits in single precision.
    return float(tokens * width * (cached + 3 * inner + 6 * config.hidden_size) + 12 * config.vocab_size)


def held_per_token(config: Any) -> int:
    """Return the numbers of keys and values per token, as if all layers had attention; 0 if none has."""
    heads = getattr(config, "num_attention_heads", None)
    if not heads:
        return 0
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * (getattr(config, "num_key_value_heads", None) or heads) * size)


def free_bytes(loaded: LoadedModel) -> float:
    """Return the free memory of the model's device (GPU or this machine), in bytes."""
    device = loaded.model.device
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + unused)
    import psutil  # type: ignore[import-untyped]  # a dependency of accelerate

    return float(psutil.virtual_memory().available)


def _tried(loaded: LoadedModel, prompts: Sequence[Prompt], size: int, steps: int) -> tuple[float | None, float]:
    """Return the new tokens per second of one batch (None if memory ran out) and the seconds it took."""
    engine = TransformersEngine(loaded, marker=MARKER, batch_size=size)
    requests = _requests(prompts, size, steps)
    started = time.perf_counter()
    try:
        drafts = engine.sample_at_once(requests)
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        return None, time.perf_counter() - started
    taken = time.perf_counter() - started
    return sum(len(draft.token_ids) for draft in drafts) / taken, taken


def _requests(prompts: Sequence[Prompt], size: int, steps: int) -> list[Request]:
    sampling = Sampling(max_new_tokens=steps)
    return [Request(prompt, sampling, seed) for seed, prompt in enumerate(islice(cycle(prompts), size))]
