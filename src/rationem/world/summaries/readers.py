"""Hidden readers: which facts matter to whom is what a rationale must find out, and nobody is told.

A reader cares for three of the six kinds of fact, in an order. Of what a post states the two most important to the
reader are its *gist*. The summary that people preferred states the gist. Of two summaries the reader prefers the one
that covers more of it: :data:`WEIGHTS`, 2 for the first and 1 for the second. The two tasks, and what a good rationale
says::

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

#: What the most and the second most important fact of a post count.
WEIGHTS = (2, 1)
_CARED = 3

#: (c): post in; what matters, what to leave out, and the summary that people preferred.
WRITE = AnswerTask(
    "summarize",
    Template("{{ prompt }}\nSummarize. {{ marker }}", "the world's prompt"),
    Template("people liked: {{ answer }}", "the world's hint"),
    form="text",
    rule="rouge-l",
    optional=(),
    marker="Summary:",
)
#: (b): post and two summaries in, the human choice out.
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
#: By the names that a configuration has for them.
TASKS = {task.name: task for task in (WRITE, PREFER)}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who cares for some kinds of fact, the most important first, and for no other."""

    kinds: tuple[str, ...]

    def gist(self, said: Post) -> tuple[str, ...]:
        """Return the two most important kinds that a post states, the most important first."""
        return tuple(kind for kind in self.kinds if kind in said.facts)[: len(WEIGHTS)]

    def worth(self, said: Post, kinds: tuple[str, ...]) -> int:
        """Return how much of the gist some kinds cover, 0..3."""
        return sum(weight for weight, kind in zip(WEIGHTS, self.gist(said), strict=True) if kind in kinds)


READERS = tuple(Reader(kinds) for kinds in permutations(KINDS, _CARED))


def candidates(rng: np.random.Generator, said: Post) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Draw two sets of two facts that a post states, no fact in both: every reader prefers one of them."""
    a, b, c, d = (tuple(said.facts)[int(i)] for i in rng.permutation(len(said.facts))[:4])
    return said.stated((a, b)), said.stated((c, d))


def written(said: Post, reader: Reader) -> str:
    """Return the rationale of a summary: what matters, and what to leave out."""
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
    """Return the rationale of a preference: which summary states what, and what of it matters, most of all first."""
    stated, keep = (
        " ".join(f"{kind} {owner(kind, one, other)}" for kind in kinds) for kinds in (one + other, reader.gist(said))
    )
    return f"{said.topic} says {stated}; keep {keep}"


def preferred(said: Post, reader: Reader, one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """Return which of two summaries the reader prefers, A or B."""
    return PREFER.levels[int(reader.worth(said, other) > reader.worth(said, one))]
