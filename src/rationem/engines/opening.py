"""From a setting to what opens engines: transformers in this process, a server of our own, or servers that run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from rationem.engines import models
from rationem.engines.chat import Chat, Conversation
from rationem.errors import ConfigError, RunError, closest
from rationem.tasks.protocol import Task
from rationem.types import Engine

if TYPE_CHECKING:
    from rationem.engines.remote.client import Client
    from rationem.engines.vllm.flags import Launch
    from rationem.engines.vllm.pool import Handover

#: Environment variables that hold the keys; never a flag, which everybody on the machine could read.
KEY, TEACHER_KEY = "RATIONEM_API_KEY", "RATIONEM_TEACHER_KEY"
#: Rows generated together by transformers, where nothing says how many.
BATCH = 64
#: Tokens that a verdict line may have, which is scored behind a completion of full length.
VERDICT_TOKENS = 64


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Which engine, and how.

    Args:
        marker: the text that opens the verdict line.
        closings: whole verdict lines, at which a server may stop early.
        device: for transformers: "cpu", "cuda", or None for the GPU where there is one.
        batch_size: for transformers: completions generated together.
        concurrency: requests under way together, on servers.
        handover: see ``rationem.engines.vllm.pool.Pool``.
        vllm_python: see ``rationem.engines.vllm.install.find_python``.
        vllm_args: further flags of vLLM's server.
        length: tokens of prompt and completion that must fit; None for all that the model holds.
        models: how many are held at once, and share the GPU's memory: the current one, and the frozen base.
        urls: of running servers.
        model: the name by which these know the model; None where they serve but one.
        conversation: what is added to the chat template; None for what a checkpoint was saved with.
    """

    marker: str
    closings: tuple[str, ...] = ()
    engine: Literal["transformers", "vllm", "endpoint"] = "transformers"
    device: str | None = None
    batch_size: int = BATCH
    concurrency: int = 256
    handover: Handover = "auto"
    vllm_python: str | None = None
    vllm_args: tuple[str, ...] = ()
    length: int | None = None
    models: int = 1
    urls: tuple[str, ...] = ()
    model: str | None = None
    conversation: Conversation | None = None

    @property
    def held(self) -> int:
        """How many completions are asked for at once."""
        return self.batch_size if self.engine == "transformers" else 4 * self.concurrency


def closings(task: Task) -> tuple[str, ...]:
    """Return the verdict lines of a task's levels, whole: behind one of them nothing more is wanted.

    The line break before the marker keeps a server from stopping at prose that only mentions it.
    """
    return tuple(f"\n{task.marker}{continuation}\n" for continuation in task.continuations)


def longest_text(lengths: tuple[int, int], positions: int | None, all_of: str | None = None) -> int | None:
    """Return how many tokens a text of a run may have; see ``Choice.length``.

    Args:
        lengths: tokens of a prompt and of a completion at most.
        positions: how many the model can hold; None where it does not say.
        all_of: where the model's configuration is, where something else, read in the run's way, may need all of them.
    """
    longest = sum(lengths) + VERDICT_TOKENS
    if all_of is None:
        return min(longest, positions or longest)
    from rationem.engines import rope

    return rope.reach(all_of, longest, positions)


@contextmanager
def opening(choice: EngineConfig) -> Iterator[Callable[[str], Engine]]:
    """Yield what opens an engine on a checkpoint; at the end, every server that was started is ended.

    Raises:
        ConfigError: what the engine needs is not there.
    """
    if choice.engine == "vllm":
        from rationem.engines.vllm.pool import Pool, PoolSettings

        launch = vllm_launch(choice)
        reading = PoolSettings(choice.marker, choice.closings, choice.concurrency, choice.conversation)
        with Pool(launch, reading, choice.handover, choice.models) as pool:
            yield pool.open
    elif choice.engine == "endpoint":
        if not choice.urls:
            raise ConfigError("--engine endpoint asks servers that run already; name them: --url http://HOST:PORT")
        check_urls(choice.urls)
        yield partial(_endpoint, choice)
    else:
        yield partial(open_transformers, choice)


def vllm_launch(choice: EngineConfig) -> Launch:
    """Return how a vLLM server is started.

    Raises:
        ConfigError: there is no environment that has it, or a flag is not the user's to give.
    """
    from rationem.engines.vllm.flags import Launch, check_flags
    from rationem.engines.vllm.install import find_python, is_cpu_build

    python = find_python(choice.vllm_python)
    launch = Launch(
        python,
        cpu=is_cpu_build(python),
        max_model_len=choice.length,
        max_num_seqs=choice.concurrency,
        memory_share=0.85 / choice.models,
        extra=choice.vllm_args,
    )
    check_flags(launch)
    return launch


def open_teacher(choice: EngineConfig, checkpoint: str) -> Engine:
    """Open the engine of a teacher: a chat server whose texts are read with the student's tokenizer.

    Args:
        choice: of which ``urls`` and ``model`` are the teacher's.
        checkpoint: the student's.

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


def check_urls(urls: Sequence[str]) -> None:
    """Refuse what is no address of a server, or holds a password.

    Raises:
        ConfigError: names it.
    """
    if urls:
        from rationem.engines.remote.address import address

        for url in urls:
            address(url)


def teacher_model(urls: Sequence[str], named: str | None = None) -> str:
    """Return the name of the model to ask a teacher's server for: the one named, or the only one.

    Raises:
        RunError: the server does not answer, serves several models and none is named, or not the one named.
    """
    from rationem.engines.remote.client import Client

    client = Client(urls, key=os.environ.get(TEACHER_KEY))
    try:
        return _only_model(client, "--teacher-model", named)
    finally:
        client.close()


def open_transformers(choice: EngineConfig, checkpoint: str) -> Engine:
    """Open the transformers engine on a checkpoint."""
    from rationem.engines import rope
    from rationem.engines.transformers import TransformersEngine

    loaded = models.load(checkpoint, device=choice.device, conversation=choice.conversation, published=True)
    rope.read_as(loaded.model, choice.length)
    return TransformersEngine(loaded, marker=choice.marker, batch_size=choice.batch_size)


def _endpoint(choice: EngineConfig, checkpoint: str) -> Engine:
    """Connect to running servers, and prove that they hold the checkpoint, as far as they say."""
    from rationem.engines import rope
    from rationem.engines.remote.client import Client
    from rationem.engines.remote.completions import CompletionsEngine
    from rationem.engines.remote.proof import prove

    client = Client(choice.urls, key=os.environ.get(KEY), concurrency=2 * choice.concurrency)
    try:
        only = _only_model(client, "--url-model", choice.model)  # before any weight is loaded: is it there at all?
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
    except BaseException:  # whatever it was: the connection must not outlive the attempt; re-raised
        client.close()
        raise
    return engine


def _only_model(client: Client, flag: str, named: str | None) -> str:
    try:
        served = client.models()
    except RunError as error:
        raise RunError(f"No server answers at {client.where}. Is it up? {error}") from error
    if named is None and len(served) != 1:
        raise RunError(f"The server serves {len(served)} models: {', '.join(served[:9])}. Name one: {flag} NAME")
    if named is not None and served and named not in served:
        raise RunError(f"The server has no model {named!r}.{closest(named, served)} It serves {', '.join(served[:9])}.")
    return named or served[0]
