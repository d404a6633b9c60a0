"""Hidden audiences and their examples: the part of the world that the base model does not know.

The topic of a post determines which reader of an audience applies. A rationale must infer *which reader*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rationem.seeds import generator
from rationem.types import Example
from rationem.world.summaries.posts import TOPICS, Post, post, summary
from rationem.world.summaries.readers import PREFER, READERS, WRITE, Reader, candidates, preferred


@dataclass(frozen=True, slots=True)
class Audience:
    """One or more readers; posts on topic t are read by reader t modulo their number."""

    readers: tuple[Reader, ...]

    def reader(self, topic: str) -> Reader:
        """Return the reader of posts on a topic."""
        return self.readers[TOPICS.index(topic) % len(self.readers)]


#: One half of the topics is read for cost, the other for feelings.
DEFAULT_AUDIENCE = Audience((Reader(("cost", "reason", "time")), Reader(("feeling", "who", "cost"))))


def audience(seed: int, readers: int = 2) -> Audience:
    """Return another hidden audience with that many distinct readers."""
    rng = generator(seed, "summaries", "audience")
    return Audience(tuple(READERS[i] for i in rng.permutation(len(READERS))[:readers]))


def examples(
    count: int, seed: int, *, start: int = 0, task: str = WRITE.name, audience: Audience = DEFAULT_AUDIENCE
) -> tuple[Example, ...]:
    """Return examples ``start`` to ``start + count - 1`` of the world with this seed; each has its own post.

    Args:
        count: the number of examples.
        seed: the world; example i of a world does not depend on the requested range.
        start: index of the first.
        task: "summarize" for posts with the summary that people preferred, "judge" for posts with two summaries and
            the human choice, in one order (``rationem.tasks.pairs`` makes the other).
        audience: the hidden audience whose preferences are the answers.
    """
    made = {WRITE.name: _to_write, PREFER.name: _to_compare}[task]
    return tuple(made(index, seed, audience) for index in range(start, start + count))


def _to_write(index: int, seed: int, audience: Audience) -> Example:
    name, said, reader, _ = _read_by(index, seed, audience)
    return Example(name, {"prompt": said.text}, summary(said, reader.gist(said)), group=name)


def _to_compare(index: int, seed: int, audience: Audience) -> Example:
    name, said, reader, rng = _read_by(index, seed, audience)
    one, other = candidates(rng, said)
    fields = {"prompt": said.text, "response_a": summary(said, one), "response_b": summary(said, other)}
    return Example(name, fields, preferred(said, reader, one, other), group=name)


def _read_by(index: int, seed: int, audience: Audience) -> tuple[str, Post, Reader, np.random.Generator]:
    rng = generator(seed, "summaries", index)
    said = post(rng)
    return f"post-{index:06d}", said, audience.reader(said.topic), rng
