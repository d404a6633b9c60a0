"""Opens the transformers engine in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rationem.engines import models
from rationem.types import Engine

if TYPE_CHECKING:
    from rationem.engines.opening import EngineConfig


def open_transformers(choice: EngineConfig, checkpoint: str) -> Engine:
    """Open the transformers engine on a checkpoint, with the weights as published."""
    from rationem.engines import rope
    from rationem.engines.transformers import TransformersEngine

    loaded = models.load(checkpoint, device=choice.device, conversation=choice.conversation, published=True)
    rope.read_as(loaded.model, choice.length)
    return TransformersEngine(loaded, marker=choice.marker, batch_size=choice.batch_size)


@contextmanager
def opening(choice: EngineConfig) -> Iterator[Callable[[str], Engine]]:
    """Yield a function that opens an engine on a checkpoint."""
    yield partial(open_transformers, choice)
