"""Proof that servers which somebody else runs hold the weights that they are believed to hold."""

from __future__ import annotations

from rationem import progress
from rationem.engines import probe
from rationem.engines.chat import Chat
from rationem.engines.models import LoadedModel
from rationem.engines.remote.completions import NotTold
from rationem.engines.transformers import TransformersEngine
from rationem.types import Engine

_ADVICE = "Let the server serve that directory, or judge without one (--engine transformers or vllm)."


def prove(engine: Engine, loaded: LoadedModel, marker: str, checkpoint: str) -> None:
    """Compare the probes' log-probabilities with those of the checkpoint; say so where they cannot prove it.

    Args:
        engine: on the servers; closed where an error is raised.
        loaded: the checkpoint, in single precision.

    Raises:
        RunError: the servers hold other weights, or do not answer as they should.
    """
    try:
        _compare(engine, loaded, marker, checkpoint)
    except NotTold as error:
        progress.say(f"Warning: it is not proven that the server holds the weights of {checkpoint}: {error}")
    except BaseException:  # whatever it was, an interrupt too: the connection must not outlive it; re-raised
        engine.close()
        raise


def _compare(engine: Engine, loaded: LoadedModel, marker: str, checkpoint: str) -> None:
    """Refuse what is no rounding even in half precision; warn of what is none in single precision."""
    queries = probe.probes(Chat(loaded.tokenizer))
    said = probe.answers(engine, queries)
    wanted = probe.answers(TransformersEngine(loaded, marker=marker), queries)
    found = probe.compare(said, wanted, None, probe.SINGLE)
    if found.largest <= probe.SINGLE.largest and found.mean <= probe.SINGLE.mean:
        return
    probe.check(found, probe.HALF, checkpoint, "connection", _ADVICE)
    progress.say(
        f"Warning: the server's log-probabilities of the probe texts differ from those of {checkpoint} by up to "
        f"{found.largest:.2g} nats, {found.mean:.2g} on average. It computes in half precision, or holds weights close "
        "to these: the base model that they were trained from, for one, could not be told apart. See that it serves "
        "this checkpoint; in single precision (--dtype float32) that would be proven."
    )
