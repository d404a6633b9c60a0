"""Engines on vLLM servers for successive checkpoints; each hand-over of weights is verified before sampling.

A server stays between two checkpoints if its weights can be reloaded in place (the CPU build). It is restarted if its
memory is needed meanwhile (a GPU, which the M-step uses) or if the reload is not exact.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from rationem import progress
from rationem.engines import models, probe, rope
from rationem.engines.chat import Chat, Conversation
from rationem.engines.probe import Floats, Probed
from rationem.engines.remote.client import Client
from rationem.engines.remote.completions import CompletionsEngine
from rationem.engines.transformers import TransformersEngine
from rationem.engines.vllm import handover
from rationem.engines.vllm.flags import Launch
from rationem.engines.vllm.server import MODEL, Server
from rationem.errors import ModelError, RunError
from rationem.ledger.scratch import Scratch
from rationem.types import Engine, TokenQuery

Handover = Literal["auto", "restart", "reload"]

_SCRATCH = "rationem-weights-"
_SMALLEST_HEAD = 32
#: Seconds of failures before a request is given up: in a verification, and with a server that is restarted.
_PROVING, _SAMPLING = 20.0, 600.0


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The settings shared by all engines of a run.

    Args:
        marker: the text that opens the verdict line.
        closings: whole verdict lines, at which a server may stop early.
        concurrency: concurrent requests.
        conversation: additions to the chat template; None for those saved with a checkpoint.
    """

    marker: str
    closings: tuple[str, ...]
    concurrency: int
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class _Weights:
    """A written checkpoint: its conversation format, and the probes' log-probabilities by transformers."""

    checkpoint: str
    chat: Chat
    stop_ids: frozenset[int]
    queries: list[TokenQuery]
    wanted: Floats


@dataclass(slots=True)
class _Held:
    """A server and the verified weights that it holds; one thread at a time manages it."""

    server: Server
    weights: _Weights
    lock: Lock = field(default_factory=Lock)


class Pool:
    """Opens engines on checkpoints; a context manager that ends every server.

    Args:
        launch: the servers' launch settings.
        reading: the engines' shared settings.
        how: "restart" starts a server for every checkpoint, "reload" loads the weights into the running one if that is
            exact, "auto" reloads on a CPU and restarts on a GPU.
        models: most servers kept between two checkpoints, to be reloaded.
    """

    def __init__(self, launch: Launch, reading: PoolSettings, how: Handover = "auto", models: int = 1) -> None:
        self._reload = how == "reload" or (how == "auto" and launch.cpu)
        self._launch = replace(launch, reload=self._reload)
        self._reading = reading
        self._tolerance = probe.SINGLE if launch.cpu else probe.HALF
        self._kept = models if self._reload else 0
        self._idle: list[_Held] = []
        self._servers: list[Server] = []
        self._engines: dict[int, CompletionsEngine] = {}
        self._scratch = _Scratch()
        self._before: Floats | None = None
        self._first: str | None = None

    def __enter__(self) -> Pool:
        """Return this pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every server."""
        self.close()

    def open(self, checkpoint: str) -> Engine:
        """Return an engine that is verified to hold a checkpoint's weights.

        Raises:
            RunError: it holds others, or a server does not start.
        """
        started = time.perf_counter()
        self._first = self._first or checkpoint
        weights = self._weights(checkpoint)
        held, found, how = self._hold(weights, self._served(checkpoint))
        self._before = weights.wanted
        self._scratch.keep([server.checkpoint for server in self._servers])
        engine = self._engine(held, {"how": how, "seconds": time.perf_counter() - started, **asdict(found)})
        self._engines[id(held)] = engine
        return engine

    def close(self) -> None:
        """Close every engine, end every server, and remove the directories written for them."""
        for engine in list(self._engines.values()):
            engine.close()
        for server in self._servers:
            server.stop()
        self._engines, self._servers, self._idle = {}, [], []
        self._scratch.close()

    def _hold(self, weights: _Weights, served: str) -> tuple[_Held, Probed, str]:
        """Reuse an idle server if there is one; start a new one if the reload is not exact."""
        idle = self._taken(weights.checkpoint)
        if idle is not None:
            same = idle.weights.checkpoint == weights.checkpoint
            how = "kept" if same else "reload"
            try:
                if not same:
                    idle.server.reload(served)
                found = self._prove(idle.server, weights, None if same else idle.weights.wanted, how)
                return _Held(idle.server, weights), found, how
            except RunError as error:
                progress.say(f"vLLM is restarted: {error}")
                self._stop(idle.server)
        progress.say(f"starting vLLM on {weights.checkpoint}")
        server = Server(self._launch, served)
        self._servers.append(server)
        server.start()
        try:
            return _Held(server, weights), self._prove(server, weights, self._before, "start"), "start"
        except RunError:
            self._stop(server)
            raise

    def _taken(self, checkpoint: str) -> _Held | None:
        """Return an idle server: one that holds the checkpoint, else one whose weights are not needed again.

        The first checkpoint is the base model's, which a plan may use in every iteration.
        """

        def preferred(held: _Held) -> tuple[bool, bool]:
            return held.weights.checkpoint != checkpoint, held.weights.checkpoint == self._first

        if not self._idle:
            return None
        chosen = min(self._idle, key=preferred)
        self._idle = [one for one in self._idle if one is not chosen]
        return chosen

    def _prove(self, server: Server, weights: _Weights, before: Floats | None, how: str) -> Probed:
        """Compare a server's probes with the reference, over a separate connection; reject a server that differs."""
        engine = self._connected(server, weights, concurrency=8)
        try:
            said = probe.answers(engine, weights.queries)
        except RunError as error:
            if (why := server.ended()) is None:
                raise
            raise RunError(f"vLLM ended at the first request for log-probabilities: {why}") from error
        finally:
            engine.close()
        comparable = before if before is not None and before.shape == weights.wanted.shape else None
        found = probe.compare(said, weights.wanted, comparable, self._tolerance)
        probe.check(found, self._tolerance, weights.checkpoint, how)
        return found

    def _engine(self, held: _Held, told: Mapping[str, Any]) -> CompletionsEngine:
        revive, release = partial(self._revive, held), partial(self._release, held)
        return self._connected(held.server, held.weights, self._reading.concurrency, revive, release, told)

    def _connected(
        self,
        server: Server,
        weights: _Weights,
        concurrency: int,
        revive: Callable[[], None] | None = None,
        release: Callable[[], None] | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> CompletionsEngine:
        patience = _PROVING if revive is None else _SAMPLING
        client = Client(
            sockets=[server.socket],
            concurrency=2 * concurrency,
            patience=patience,
            revive=[] if revive is None else [revive],
        )
        return CompletionsEngine(
            client,
            weights.chat,
            model=MODEL,
            marker=self._reading.marker,
            stop_ids=weights.stop_ids,
            closings=self._reading.closings,
            concurrency=concurrency,
            on_close=release,
            handover=told,
        )

    def _revive(self, held: _Held) -> None:
        """Restart a server that ended, and verify its weights before further requests."""
        with held.lock:
            restarts = held.server.restarts
            held.server.revive()
            if held.server.restarts != restarts:
                self._prove(held.server, held.weights, None, "restart")

    def _release(self, held: _Held) -> None:
        """Keep a server that can be reloaded, up to the limit; end any other."""
        self._engines.pop(id(held), None)
        if len(self._idle) < self._kept and held.server.alive:
            self._idle.append(held)
        else:
            self._stop(held.server)

    def _stop(self, server: Server) -> None:
        server.stop()
        self._servers = [one for one in self._servers if one is not server]

    def _weights(self, checkpoint: str) -> _Weights:
        """Load a checkpoint with transformers, in single precision on the CPU, and compute the probes."""
        loaded = models.load(checkpoint, device="cpu", conversation=self._reading.conversation)
        rope.read_as(loaded.model, self._launch.max_model_len)
        _check_heads(loaded.model.config.get_text_config(), checkpoint, cpu=self._launch.cpu)
        chat = Chat(loaded.tokenizer)
        queries = probe.probes(chat)
        engine = TransformersEngine(loaded, marker=self._reading.marker)
        try:
            return _Weights(checkpoint, chat, loaded.stop_ids, queries, probe.answers(engine, queries))
        finally:
            engine.close()

    def _served(self, checkpoint: str) -> str:
        """Return the directory or hub id to serve."""
        place = self._scratch.fresh()
        if handover.is_adapter(checkpoint):
            checkpoint = handover.merge(checkpoint, place / "merged", half=not self._launch.cpu)
        if self._reload and handover.can_untie(checkpoint):
            return handover.untie(checkpoint, place / "untied")
        return checkpoint


def _check_heads(config: Any, checkpoint: str, *, cpu: bool) -> None:
    """Reject head sizes that the CPU build loads but crashes on at the first request."""
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if cpu and size < _SMALLEST_HEAD:
        raise ModelError(
            f"vLLM's CPU build supports attention heads of size {_SMALLEST_HEAD} and above; those of {checkpoint} "
            f"have {size}. Use --engine transformers."
        )


class _Scratch:
    """Temporary directories for weights to be served."""

    def __init__(self) -> None:
        self._scratch = Scratch(_SCRATCH)
        self._made: list[Path] = []

    def fresh(self) -> Path:
        """Return a new directory."""
        made = self._scratch.directory / str(time.monotonic_ns())
        made.mkdir()
        self._made.append(made)
        return made

    def keep(self, used: Sequence[str]) -> None:
        """Remove all directories that contain none of the paths."""
        for made in self._made:
            if not any(Path(path).is_relative_to(made) for path in used):
                shutil.rmtree(made, ignore_errors=True)
        self._made = [made for made in self._made if made.is_dir()]

    def close(self) -> None:
        """Remove all directories."""
        self._scratch.close()
