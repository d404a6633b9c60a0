"""The tokens with which a model ends a turn, and the padding token."""

from __future__ import annotations

from typing import Any

from rationem.engines import architectures, models
from rationem.engines.checkpoint import read_by_library


def stop_ids(checkpoint: str, tokenizer: Any) -> frozenset[int]:
    """Return all tokens with which a checkpoint's model may end a turn, without loading its weights.

    Raises:
        ModelError: there is no configuration.
    """
    from transformers import GenerationConfig

    found = models.settings(checkpoint, checkpoint)
    try:
        with architectures.at_hand(checkpoint), read_by_library(checkpoint, OSError):
            generation = GenerationConfig.from_pretrained(models.weights_of(checkpoint))
    except OSError:
        generation = GenerationConfig.from_model_config(found)
    return declared(generation, tokenizer)


def pad_id(tokenizer: Any, end_of_turn: int) -> int:
    """Return a token for padding; it is masked everywhere, so it may be the end-of-turn token."""
    pad = tokenizer.pad_token_id
    return int(pad) if pad is not None else end_of_turn


def declared(generation_config: Any, tokenizer: Any) -> frozenset[int]:
    """Return the stop tokens of a generation config and a tokenizer."""
    named = generation_config.eos_token_id if generation_config is not None else None
    ids = named if isinstance(named, list) else [named]
    return frozenset(int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None)
