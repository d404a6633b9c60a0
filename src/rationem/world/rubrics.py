"""Hidden humans: a rating is 1 + the weighted sum of the features, with weights that no prompt shows.

A rubric has one weight of 0..3 per criterion, 4 in total; there are 31 rubrics, and the rating is in 1..5. A human is a
tuple of rubrics, and the topic determines which one applies. A rationale must infer *which rubric*:

    mail 4 said 2 wrong given rude brief; example 2 = 3 tone 1 = 3 length 1 = 4

First the findings, then each criterion with a positive weight, its weight and the running rating (which starts at 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from rationem.engines.models import EMBEDDED, TINY_JUDGE
from rationem.seeds import generator
from rationem.tasks.judge import JudgeTask
from rationem.tasks.scale import Scale
from rationem.tasks.template import Template
from rationem.types import Example
from rationem.world.questions import CRITERIA, TOPICS, Features, Question, findings, question

Rubric = tuple[int, int, int, int]

_TOTAL, _MOST = 4, 3
RUBRICS: tuple[Rubric, ...] = tuple(
    (a, b, c, d) for a, b, c, d in product(range(_MOST + 1), repeat=4) if a + b + c + d == _TOTAL
)

SCALE = Scale.parse(f"1-{1 + _TOTAL}")
#: The words that the embedded model is trained on; the package's own may change.
HINT = Template(EMBEDDED[TINY_JUDGE].hints["responses"], "the world's hint")
TASK = JudgeTask(SCALE, hint=HINT)


@dataclass(frozen=True, slots=True)
class Human:
    """One or more rubrics; topic t is judged by rubric t modulo their number."""

    rubrics: tuple[Rubric, ...]

    def rubric(self, topic: str) -> Rubric:
        """Return the rubric that this human applies to a topic."""
        return self.rubrics[TOPICS.index(topic) % len(self.rubrics)]


#: Mainly accuracy for one half of the topics, mainly an example for the other.
DEFAULT_HUMAN = Human(((3, 0, 1, 0), (0, 2, 1, 1)))


def human(seed: int, rubrics: int = 2) -> Human:
    """Return another hidden human with that many distinct rubrics."""
    rng = generator(seed, "world", "human")
    return Human(tuple(RUBRICS[i] for i in rng.permutation(len(RUBRICS))[:rubrics]))


def rating(features: Features, rubric: Rubric) -> int:
    """Return 1 + sum_c weight_c feature_c, in 1..5.

    >>> rating((False, True, False, True), (0, 2, 1, 1))
    4
    """
    return 1 + sum(weight * held for weight, held in zip(rubric, features, strict=True))


def rationale(asked: Question, rubric: Rubric, seen: Features | None = None) -> str:
    """Return the rationale of a rating, on one line; ``seen`` are the features as a grader read them.

    >>> asked = Question({}, "mail", "3 + 1 = 2", (False, True, False, True))
    >>> rationale(asked, (0, 2, 1, 1))
    'mail 4 said 2 wrong given rude brief; example 2 = 3 tone 1 = 3 length 1 = 4'
    """
    total, steps = 1, []
    for criterion, weight, held in zip(CRITERIA, rubric, seen or asked.features, strict=True):
        total += weight * held
        if weight:
            steps.append(f"{criterion} {weight} = {total}")
    return f"{findings(asked, seen)}; {' '.join(steps)}"


def examples(
    count: int, seed: int, *, start: int = 0, noise: float = 0.0, human: Human = DEFAULT_HUMAN
) -> tuple[Example, ...]:
    """Return examples ``start`` to ``start + count - 1`` of the world with this seed; no two have the same texts.

    Args:
        count: the number of examples.
        seed: the world; example i of a world does not depend on the requested range.
        start: index of the first.
        noise: share of answers replaced by another rating, drawn uniformly.
        human: the hidden human who rates.
    """
    asked = _distinct(seed, start + count)
    return tuple(_example(index, asked[index], seed, noise, human) for index in range(start, start + count))


@lru_cache(maxsize=4)
def _distinct(seed: int, count: int) -> tuple[Question, ...]:
    """Return the first questions of a world, without repeated texts."""
    rng = generator(seed, "world")
    found: list[Question] = []
    seen: set[tuple[str, ...]] = set()
    while len(found) < count:
        asked = question(rng)
        texts = tuple(asked.fields.values())
        if texts not in seen:
            seen.add(texts)
            found.append(asked)
    return tuple(found)


def _example(index: int, asked: Question, seed: int, noise: float, human: Human) -> Example:
    rng = generator(seed, "world", "noise", index)
    name, answer = f"world-{index:06d}", rating(asked.features, human.rubric(asked.topic))
    return Example(name, asked.fields, SCALE.levels[_noisy(rng, answer - 1, noise)], group=name)


def _noisy(rng: np.random.Generator, rank: int, noise: float) -> int:
    shift = 1 + int(rng.integers(0, len(SCALE.levels) - 1))
    return (rank + shift) % len(SCALE.levels) if rng.random() < noise else rank
