"""The posts: short texts that state five facts of different kinds, in random order, with filler words between.

    trip. well spent five, in rome, with ann, honestly was sad, owing to rain.

A post has two wordings for most kinds; a summary has one, so its text is determined by the facts that it keeps::

    paid five because of rain
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

TOPICS = ("trip", "party", "job", "storm")

#: Kind of fact -> its wordings; summaries use the first.
WORDINGS = {
    "cost": ("paid", "spent"),
    "place": ("in", "around"),
    "time": ("on", "last"),
    "who": ("with", "beside"),
    "reason": ("because of", "owing to"),
    "feeling": ("felt", "was"),
}
KINDS = tuple(WORDINGS)

VALUES = {
    "cost": ("two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "place": ("rome", "paris", "oslo", "cairo", "lima", "delhi", "tokyo", "dublin"),
    "time": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "easter"),
    "who": ("ann", "bob", "carl", "dora", "emil", "fred", "gina", "hugo"),
    "reason": ("rain", "work", "snow", "noise", "fever", "debt", "luck", "fog"),
    "feeling": ("sad", "glad", "tired", "angry", "calm", "proud", "bored", "scared"),
}
FILLERS = ("well", "honestly", "anyway", "frankly", "sadly", "today")
STATED = 5
_FILLED = 0.3

_FACTS = {
    f"{wording} {value}": (kind, value)
    for kind, wordings in WORDINGS.items()
    for wording in wordings
    for value in VALUES[kind]
}
_POST = re.compile(r"(?P<topic>\w+)\. (?P<facts>[^.]+)\.")
_FILLER = re.compile(rf"(?:{'|'.join(FILLERS)}) ")
_SAID = re.compile("|".join(f"{re.escape(wordings[0])} \\w+" for wordings in WORDINGS.values()))


@dataclass(frozen=True, slots=True)
class Post:
    """A post with its topic and its facts (kind -> value), in the order of the text."""

    text: str
    topic: str
    facts: dict[str, str]

    def stated(self, kinds: Collection[str]) -> tuple[str, ...]:
        """Return the given kinds that the post states, in its order."""
        return tuple(kind for kind in self.facts if kind in kinds)

    @property
    def unstated(self) -> tuple[str, ...]:
        """The kinds that the post does not state."""
        return tuple(kind for kind in KINDS if kind not in self.facts)


def post(rng: np.random.Generator) -> Post:
    """Draw a post with five facts."""
    topic = pick(rng, TOPICS)
    kinds = [KINDS[int(i)] for i in rng.permutation(len(KINDS))[:STATED]]
    facts = {kind: pick(rng, VALUES[kind]) for kind in kinds}
    said = [
        (f"{pick(rng, FILLERS)} " if rng.random() < _FILLED else "") + f"{pick(rng, WORDINGS[kind])} {value}"
        for kind, value in facts.items()
    ]
    return Post(f"{topic}. {', '.join(said)}.", topic, facts)


def read(text: str) -> Post | None:
    """Parse a post of this world from its text; None if it is not one.

    >>> read("trip. well spent five, in rome.").facts
    {'cost': 'five', 'place': 'rome'}
    """
    whole = _POST.fullmatch(text)
    if whole is None:
        return None
    found = [_FACTS.get(_FILLER.sub("", fact, count=1)) for fact in whole["facts"].split(", ")]
    known = [one for one in found if one is not None]
    return Post(text, whole["topic"], dict(known)) if len(known) == len(found) else None


def summary(said: Post, kinds: Collection[str]) -> str:
    """Return the summary that keeps the given kinds of fact, in the post's order, in the fixed wording.

    >>> summary(read("trip. well spent five, in rome, with ann."), ("who", "cost"))
    'paid five with ann'
    """
    return " ".join(f"{WORDINGS[kind][0]} {said.facts[kind]}" for kind in said.stated(kinds))


def kept(text: str) -> tuple[str, ...]:
    """Return the kinds of fact that a summary states, in its order.

    >>> kept("paid five because of rain")
    ('cost', 'reason')
    """
    return tuple(_FACTS[fact][0] for fact in _SAID.findall(text) if fact in _FACTS)


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Draw one of several texts uniformly."""
    return options[int(rng.integers(0, len(options)))]
