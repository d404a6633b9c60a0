"""What every sampler in batches shares, in training, evaluation and judging: rounds, order, batches, scored levels.

The members of a round follow from finished rounds and the order of a batch from its requests, so the same work is cut
into the same batches whatever was already done.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from rationem.types import Engine, LevelQuery, Outcome, Prompt

#: What is asked, by name, and the number of the draft.
Key = tuple[str, int]


class Keyed(Protocol):
    """A draft to make."""

    @property
    def key(self) -> Key:
        """Its name among the drafts of one job."""
        ...


_Request = TypeVar("_Request", bound=Keyed)
_Name = TypeVar("_Name", bound=Hashable)
_Item = TypeVar("_Item")


def nothing() -> None:
    """Do nothing: the default callback after a batch."""


def in_rounds(
    requests: Sequence[_Request], history: Callable[[], Mapping[Key, Sequence[Outcome | None]]], retries: int
) -> Iterator[tuple[int, list[_Request]]]:
    """Yield (retry, members) of each round: all requests, then those that the engine failed in every earlier round.

    Args:
        history: returns what is known so far, by request and retry; asked before each round.
        retries: the number of rounds after the first.
    """
    for retry in range(retries + 1):
        known = history()
        due = [request for request in requests if _is_due(known.get(request.key, ()), retry)]
        if not due:
            return
        yield retry, due


def _is_due(outcomes: Sequence[Outcome | None], retry: int) -> bool:
    """A draw belongs to a round if it failed in every earlier one, whatever later rounds already hold."""
    return len(outcomes) >= retry and all(outcome is Outcome.ENGINE_FAILED for outcome in outcomes[:retry])


def ordered(requests: Sequence[_Request], prompt_of: Callable[[_Request], Prompt], engine: Engine) -> list[_Request]:
    """Return requests by length of prompt, for less padding; their keys alone decide between equal lengths."""
    prompts = {request.key: prompt_of(request) for request in requests}
    lengths = {prompt: engine.prompt_tokens(prompt) for prompt in dict.fromkeys(prompts.values())}
    return sorted(requests, key=lambda request: (lengths[prompts[request.key]], *request.key))


def cut(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Yield the items in parts of ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))


def score_levels(
    queries: Mapping[_Name, LevelQuery], engine: Engine, tick: Callable[[], None] = nothing
) -> dict[_Name, tuple[float, ...]]:
    """Return log pi(level | x, z) of every level for each query; ``tick`` is called after every batch."""
    scored: dict[_Name, tuple[float, ...]] = {}
    for batch in cut(list(queries), engine.batch_size):
        scored.update(zip(batch, engine.score_levels([queries[name] for name in batch]), strict=True))
        tick()
    return scored
