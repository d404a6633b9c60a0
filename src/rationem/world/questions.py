"""The questions of the judge world: small sums with a reply that has four binary features.

    topic mail. ask 3 + 1                       (the prompt)
    duh 3 + 1 = 2 see oak anyway lamp paper     (the response)

The features, in the order of :data:`CRITERIA`: the sum is right, the reply shows an example ("see oak"), its tone is
polite, it is brief. The other words are distractors. A rationale begins with its findings::

    mail 4 said 2 wrong given rude long
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from rationem.types import Fields

CRITERIA = ("accuracy", "example", "tone", "length")

#: How a rationale states each feature: (if absent, if present).
FINDINGS = (("wrong", "right"), ("missing", "given"), ("rude", "polite"), ("long", "brief"))

TOPICS = ("mail", "bank", "farm", "school")
POLITE = ("please", "thanks", "gladly", "kindly", "welcome", "happily")
RUDE = ("duh", "whatever", "ugh", "obviously", "nonsense", "silly")
TAILS = ("anyway", "besides", "also", "moreover")
NOUNS = (
    *("oak", "pine", "maple", "rose", "lily", "wheat", "rice", "bread", "apple", "lemon", "cheese", "salt"),
    *("horse", "cow", "sheep", "wolf", "tiger", "bear", "mouse", "snake", "fish", "bird", "lion", "goat"),
    *("lamp", "clock", "chair", "spoon", "knife", "bottle", "coat", "shirt", "shoe", "hat", "paper", "pen"),
)

_LARGEST = 4  # the largest summand: a small model must learn every sum in a few minutes

_PROMPT = re.compile(r"topic (?P<topic>\w+)\. ask (?P<a>\d) \+ (?P<b>\d)")
_RESPONSE = re.compile(r"(?P<tone>\w+) (?P<a>\d) \+ (?P<b>\d) = (?P<c>\d)(?P<example> see \w+)?(?P<tail> \w+ \w+ \w+)?")

Features = tuple[bool, bool, bool, bool]


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its two texts and their true features; ``claim`` is the sum as the reply states it."""

    fields: Fields
    topic: str
    claim: str
    features: Features


@lru_cache(maxsize=1)
def words() -> tuple[str, ...]:
    """Return common English words, most frequent first."""
    return tuple((resources.files(__package__) / "words.txt").read_text(encoding="ascii").split())


def question(rng: np.random.Generator) -> Question:
    """Draw a question; its features are independent, each present with probability 1/2."""
    right, example, polite, brief = (bool(bit) for bit in rng.integers(0, 2, 4))
    topic = _pick(rng, TOPICS)
    sum_ = _claim(rng, right)
    response = f"{_pick(rng, POLITE if polite else RUDE)} {sum_}"
    if example:
        response += f" see {_pick(rng, NOUNS)}"
    if not brief:
        response += f" {_pick(rng, TAILS)} {_pick(rng, NOUNS)} {_pick(rng, NOUNS)}"
    prompt = f"topic {topic}. ask {sum_.partition(' =')[0]}"
    return Question({"prompt": prompt, "response": response}, topic, sum_, (right, example, polite, brief))


def _claim(rng: np.random.Generator, right: bool) -> str:
    """Draw a sum, right or wrong, e.g. ``"3 + 1 = 2"``; its result has one digit."""
    a, b = (int(number) for number in rng.integers(1, _LARGEST + 1, 2))
    said = a + b if right else (a + b + int(rng.integers(1, 10))) % 10
    return f"{a} + {b} = {said}"


def read(fields: Fields) -> Question | None:
    """Parse a question of this world from its texts; None if it is not one."""
    asked, reply = _PROMPT.fullmatch(fields["prompt"]), _RESPONSE.fullmatch(fields["response"])
    if asked is None or reply is None:
        return None
    right = int(asked["a"]) + int(asked["b"]) == int(reply["c"])
    features = (right, reply["example"] is not None, reply["tone"] in POLITE, reply["tail"] is None)
    claim = f"{reply['a']} + {reply['b']} = {reply['c']}"
    return Question(dict(fields), asked["topic"], claim, features)


def findings(asked: Question, seen: Features | None = None) -> str:
    """Return the first words of a rationale: topic, right sum, stated sum, and the features (as ``seen``)."""
    a, _, b, _, said = asked.claim.split()
    held = [pair[present] for pair, present in zip(FINDINGS, seen or asked.features, strict=True)]
    return " ".join([asked.topic, str(int(a) + int(b)), "said", said, *held])


def faithful(fields: Fields, rationale: str) -> bool | None:
    """Say whether a rationale's findings are true of the texts; None if it has no readable findings.

    >>> texts = {"prompt": "topic mail. ask 3 + 1", "response": "duh 3 + 1 = 2 see oak"}
    >>> faithful(texts, "mail 4 said 2 wrong given rude brief; example 2 = 3")
    True
    """
    truth = read(fields)
    stated = rationale.partition(";")[0].split()
    readable = len(stated) == 4 + len(FINDINGS) and all(
        word in pair for word, pair in zip(stated[4:], FINDINGS, strict=True)
    )
    return stated == findings(truth).split() if truth is not None and readable else None


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(0, len(options)))]
