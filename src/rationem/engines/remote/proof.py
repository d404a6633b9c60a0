"""Verifies that servers run by others hold the expected weights."""

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
    """Compare the probes' log-probabilities with those of the checkpoint; warn if that is impossible.

    Args:
        engine: the engine on the servers; closed if an error is raised.
        loaded: the checkpoint, in single precision.

    Raises:
        RunError: the servers hold other weights, or give invalid answers.
    """
    try:
        _compare(engine, loaded, marker, checkpoint)
    except NotTold as error:
        progress.say(f"Warning: not verified that the server holds the weights of {checkpoint}: {error}")
    except BaseException:  # on any error, even an interrupt, the connection must be closed; re-raised
        engine.close()
        raise


def _compare(engine: Engine, loaded: LoadedModel, marker: str, checkpoint: str) -> None:
    """Reject differences beyond half-precision rounding; warn about those beyond single-precision rounding."""
    queries = probe.probes(Chat(loaded.tokenizer))
    said = probe.answers(engine, queries)
    wanted = probe.answers(TransformersEngine(loaded, marker=marker), queries)
    found = probe.compare(said, wanted, None, probe.SINGLE)
    if found.largest <= probe.SINGLE.largest and found.mean <= probe.SINGLE.mean:
        return
    probe.check(found, probe.HALF, checkpoint, "connection", _ADVICE)
    progress.say(
        f"Warning: the server's log-probabilities of the probe texts differ from those of {checkpoint} by up to "
        f"{found.largest:.2g} nats, {found.mean:.2g} on average. It computes in half precision, or holds similar "
        "weights, such as those of the base model. Make sure that it serves "
        "this checkpoint; in single precision (--dtype float32) this could be verified."
    )
