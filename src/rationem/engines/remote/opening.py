"""Opens engines on running servers: with a judge's weights, or a teacher's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rationem.engines import models
from rationem.engines.chat import Chat
from rationem.engines.remote.address import check_urls
from rationem.errors import ConfigError, RunError, closest
from rationem.types import Engine

if TYPE_CHECKING:
    from rationem.engines.opening import EngineConfig
    from rationem.engines.remote.client import Client

#: Environment variables that hold the keys; never flags, which every user of the machine can read.
KEY, TEACHER_KEY = "RATIONEM_API_KEY", "RATIONEM_TEACHER_KEY"


@contextmanager
def opening(choice: EngineConfig) -> Iterator[Callable[[str], Engine]]:
    """Yield a function that connects to the servers as the engine on a checkpoint.

    Raises:
        ConfigError: no server is named, or an address is invalid.
    """
    if not choice.urls:
        raise ConfigError("--engine endpoint uses running servers; name them: --url http://HOST:PORT")
    check_urls(choice.urls)
    yield partial(_connect, choice)


def _connect(choice: EngineConfig, checkpoint: str) -> Engine:
    """Connect to running servers, and verify that they hold the checkpoint, as far as they allow."""
    from rationem.engines import rope
    from rationem.engines.remote.client import Client
    from rationem.engines.remote.completions import CompletionsEngine
    from rationem.engines.remote.proof import prove

    client = Client(choice.urls, key=os.environ.get(KEY), concurrency=2 * choice.concurrency)
    try:
        only = _only_model(client, "--url-model", choice.model)  # before loading weights: does the server answer?
        loaded = models.load(checkpoint, device="cpu", conversation=choice.conversation)
        rope.read_as(loaded.model, choice.length)
        engine = CompletionsEngine(
            client,
            Chat(loaded.tokenizer),
            model=only,
            marker=choice.marker,
            stop_ids=loaded.stop_ids,
            concurrency=choice.concurrency,
            processed=False,
        )
        prove(engine, loaded, choice.marker, checkpoint)
    except BaseException:  # on any error the connection must be closed; re-raised
        client.close()
        raise
    return engine


def open_teacher(choice: EngineConfig, checkpoint: str) -> Engine:
    """Open the engine of a teacher: a chat server whose texts are encoded with the student's tokenizer.

    Args:
        choice: settings whose ``urls`` and ``model`` are the teacher's.
        checkpoint: the student's checkpoint.

    Raises:
        RunError: the server does not answer, or serves several models and none is named.
    """
    from rationem.engines.remote.client import Client
    from rationem.engines.remote.teacher import ChatEngine

    return ChatEngine(
        Client(choice.urls, key=os.environ.get(TEACHER_KEY), concurrency=choice.concurrency),
        models.chat(checkpoint, checkpoint, choice.conversation),
        model=teacher_model(choice.urls, choice.model),
        marker=choice.marker,
        concurrency=choice.concurrency,
    )


def teacher_model(urls: Sequence[str], named: str | None = None) -> str:
    """Return the name of the teacher's model on its server: the given one, or the only one.

    Raises:
        RunError: the server does not answer, lacks the named model, or serves several and none is named.
    """
    from rationem.engines.remote.client import Client

    client = Client(urls, key=os.environ.get(TEACHER_KEY))
    try:
        return _only_model(client, "--teacher-model", named)
    finally:
        client.close()


def _only_model(client: Client, flag: str, named: str | None) -> str:
    try:
        served = client.models()
    except RunError as error:
        raise RunError(f"No server answers at {client.where}. Is it running? {error}") from error
    if named is None and len(served) != 1:
        raise RunError(f"The server serves {len(served)} models: {', '.join(served[:9])}. Name one: {flag} NAME")
    if named is not None and served and named not in served:
        raise RunError(f"The server has no model {named!r}.{closest(named, served)} It serves {', '.join(served[:9])}.")
    return named or served[0]
