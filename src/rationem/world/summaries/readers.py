"""Hidden readers: a rationale must infer which facts matter to the reader; no prompt says so.

A reader ranks three of the six kinds of fact. The two most important kinds that a post states are its *gist*. The
preferred summary states the gist. Of two summaries the reader prefers the one that covers more of the gist:
:data:`WEIGHTS`, 2 for the first kind and 1 for the second. The two tasks with good completions::

    write    trip keep cost reason; drop place who feeling
             Summary: paid five because of rain
    prefer   trip says cost A who A time B place B; keep cost A reason none
             Final rating: A
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from rationem.tasks.answer import AnswerTask
from rationem.tasks.judge import JudgeTask
from rationem.tasks.scale import Scale
from rationem.tasks.template import Template
from rationem.world.summaries.posts import KINDS, Post

#: Weights of the most and the second most important fact of a post.
WEIGHTS = (2, 1)
_CARED = 3

#: Input: a post. Output: kinds to keep, kinds to drop, and the summary that people preferred.
WRITE = AnswerTask(
    "summarize",
    Template("{{ prompt }}\nSummarize. {{ marker }}", "the world's prompt"),
    Template("people liked: {{ answer }}", "the world's hint"),
    form="text",
    rule="rouge-l",
    optional=(),
    marker="Summary:",
)
#: Input: a post and two summaries. Output: the human choice.
PREFER = JudgeTask(
    Scale.parse("A | B"),
    template=Template(
        "{{ prompt }}\n{{ first }}: {{ response_a }}\n{{ second }}: {{ response_b }}\n"
        "better: {{ scale }}? {{ marker }}",
        "the world's prompt",
    ),
    hint=Template("people liked: {{ answer }}", "the world's hint"),
    pair=True,
)
#: The tasks by their names in a configuration.
TASKS = {task.name: task for task in (WRITE, PREFER)}


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader, as the kinds of fact that matter, the most important first."""

    kinds: tuple[str, ...]

    def gist(self, said: Post) -> tuple[str, ...]:
        """Return the reader's two most important kinds among those that a post states, in order of importance."""
        return tuple(kind for kind in self.kinds if kind in said.facts)[: len(WEIGHTS)]

    def worth(self, said: Post, kinds: tuple[str, ...]) -> int:
        """Return the weight of the gist that the given kinds cover, 0..3."""
        return sum(weight for weight, kind in zip(WEIGHTS, self.gist(said), strict=True) if kind in kinds)


READERS = tuple(Reader(kinds) for kinds in permutations(KINDS, _CARED))


def candidates(rng: np.random.Generator, said: Post) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Draw two disjoint sets of two facts that a post states, such that every reader prefers one of them."""
    a, b, c, d = (tuple(said.facts)[int(i)] for i in rng.permutation(len(said.facts))[:4])
    return said.stated((a, b)), said.stated((c, d))


def written(said: Post, reader: Reader) -> str:
    """Return the rationale of a summary: kinds to keep, and kinds to drop."""
    keep = said.stated(reader.gist(said))
    drop = tuple(kind for kind in said.facts if kind not in keep)
    return f"{said.topic} keep {' '.join(keep)}; drop {' '.join(drop)}"


def owner(kind: str, one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """Return which of two summaries states a kind of fact: A, B, both or none.

    >>> owner("cost", ("cost", "who"), ("place", "cost"))
    'both'
    """
    return {(True, True): "both", (True, False): "A", (False, True): "B"}.get((kind in one, kind in other), "none")


def compared(said: Post, reader: Reader, one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """Return the rationale of a preference: the owner of every stated fact, then of the facts that matter."""
    stated, keep = (
        " ".join(f"{kind} {owner(kind, one, other)}" for kind in kinds) for kinds in (one + other, reader.gist(said))
    )
    return f"{said.topic} says {stated}; keep {keep}"


def preferred(said: Post, reader: Reader, one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """Return which of two summaries the reader prefers, A or B."""
    return PREFER.levels[int(reader.worth(said, other) > reader.worth(said, one))]
