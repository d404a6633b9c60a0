"""Proof that servers which somebody else runs hold the weights that they are believed to hold."""

from __future__ import annotations

from rationem import progress
from rationem.chat import Chat
from rationem.engines import probe
from rationem.engines.transformers import TransformersEngine
from rationem.errors import RunError
from rationem.models import Loaded
from rationem.types import Engine


def prove(engine: Engine, loaded: Loaded, marker: str, checkpoint: str) -> None:
    """Compare the probes' log-probabilities with those of the checkpoint; say so where a server does not tell them.

    Args:
        engine: on the servers; closed where it is refused.
        loaded: the checkpoint, in single precision.

    Raises:
        RunError: the servers hold other weights.
    """
    queries = probe.probes(Chat(loaded.tokenizer))
    try:
        said = probe.answers(engine, queries)
    except RunError as error:
        progress.say(f"Warning: it is not proven that the server holds the weights of {checkpoint}: {error}")
        return
    wanted = probe.answers(TransformersEngine(loaded, marker=marker), queries)
    try:
        # Which precision a server computes in is not known.
        probe.check(probe.compare(said, wanted, None, probe.HALF), probe.HALF, checkpoint, "connection")
    except RunError:
        engine.close()
        raise
