"""The batch size at which a model draws fastest, by trying: larger and larger batches of the user's own prompts."""

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

#: Sizes that are tried, in growing order.
CANDIDATES = (8, 16, 32, 64, 128, 256, 512)

#: A larger batch must draw this much faster to be worth it, and the smallest within this share of the best is chosen.
_WORTH = 0.05

#: Tokens drawn per row in a trial.
_STEPS = 32

#: Share of the free memory that a batch may be expected to fill.
_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Measured:
    """The chosen batch size, and the new tokens per second at every size that was tried."""

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
    """Return the smallest batch size within 5 % of the fastest of those tried.

    Batches grow until one draws less than 5 % faster than the one before, until memory would not hold the next at
    full length, or until the next would pass the time limit. No state of the model or of an engine is changed.

    Args:
        loaded: the model.
        prompts: some of the user's, sorted by length as batches are; repeated where a batch is larger, which spares
            reading them again, so that few prompts make large batches look a little better than they are.
        new_tokens: the length cut of completions: what a row may come to need of memory.
        candidates: sizes to try, growing.
        seconds: no further batch is begun that would be expected to end later than this.

    Raises:
        ValueError: no prompts, or no candidates, or not growing.
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
    """Return what a row of so many tokens holds at most: keys and values, some activations, and logits twice."""
    config, width = loaded.model.config.get_text_config(), loaded.model.dtype.itemsize
    cached = held_per_token(config)
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    # Reading the prompt holds a few tensors of one layer at a time; the logits are drawn from in single precision.
    return float(tokens * width * (cached + 3 * inner + 6 * config.hidden_size) + 12 * config.vocab_size)


def held_per_token(config: Any) -> int:
    """Return how many numbers of keys and values a token adds, as if all layers attended; 0 where none does."""
    heads = getattr(config, "num_attention_heads", None)
    if not heads:
        return 0
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * (getattr(config, "num_key_value_heads", None) or heads) * size)


def free_bytes(loaded: LoadedModel) -> float:
    """Return how much memory more the model's device could give: of the GPU, or of this machine."""
    device = loaded.model.device
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + unused)
    import psutil  # type: ignore[import-untyped]  # accelerate needs it, so that it is there

    return float(psutil.virtual_memory().available)


def _tried(loaded: LoadedModel, prompts: Sequence[Prompt], size: int, steps: int) -> tuple[float | None, float]:
    """Return the new tokens per second of one batch (None where memory ends) and the seconds it took."""
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
