"""A file of ratings to try things on: questions at a town's front desks, answers, and three people who rate them.

All sentences are written here. How people rate can be read off: 5 is a right answer with a helpful word more, 4 a
right one that is curt, 3 a right one that is unsure of itself, 2 the answer to another question, 1 none. Ana keeps to
that, Ben is strict with curt answers, Chen is kind to unsure ones, and everybody slips now and then.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

HEAD = ("prompt", "response", "rating", "rater")
RATERS = ("Ana", "Ben", "Chen")
#: Share of ratings that are one level off, for no reason.
SLIPS = 0.06
#: Of this many answers one is rated by a second person.
_TWICE = 4

_PLACES = ("library", "swimming pool", "museum", "post office", "bakery", "town hall", "cinema", "book shop", "market")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOURS = ("seven", "eight", "nine", "ten", "eleven")
_SUMS = ("two euros", "three euros", "four euros", "five euros", "six euros")
_STREETS = ("Mill Street", "Bridge Street", "Station Road", "Church Lane", "Park Road")
_BUSES = ("bus 1", "bus 3", "bus 5", "bus 7", "bus 9")
#: Question, right answer, and what both are about.
_ASKED: tuple[tuple[str, str, Sequence[str]], ...] = (
    ("When does the {place} open on {day}?", "The {place} opens at {fact} on {day}.", _HOURS),
    ("What does a ticket for the {place} cost on {day}?", "A ticket costs {fact} on {day}.", _SUMS),
    ("Where is the entrance of the {place} on {day}?", "On {day} the entrance is in {fact}.", _STREETS),
    ("How do I get to the {place} on {day}?", "On {day} you take {fact}.", _BUSES),
)
_HELPFUL = (
    "You are welcome to call us if you need anything else.",
    "I am happy to help with anything else you need.",
    "Please ask at the desk if you need help, we are glad to show you.",
    "Thank you for asking, and have a good day!",
)
_UNSURE = ("I am not sure, but maybe: {}", "I think so, though please check: {}", "Perhaps, I would have to ask: {}")
_NOTHING = (
    "I do not know. Look it up yourself.",
    "No idea, why do you ask me?",
    "That is not my job.",
    "Just search for it somewhere.",
    "We talked about the weather all morning.",
)


def write_ratings(path: Path, *, rows: int = 200, seed: int = 0) -> None:
    """Write a CSV file of rated answers; it is complete or does not exist.

    Args:
        rows: ratings, one per row; every fourth answer has two.
        seed: of sentences, ratings and raters.

    Raises:
        DiskError: it cannot be written.
    """
    from rationem.data.writers import write_rows

    write_rows(path, HEAD, rated(rows, seed))


def rated(rows: int, seed: int) -> list[tuple[str, ...]]:
    """Return the rows of the file: see :data:`HEAD`."""
    rng = random.Random(seed)
    found: list[tuple[str, ...]] = []
    for number, (question, answer, level) in enumerate(_answers(rng)):
        people = list(RATERS)
        rng.shuffle(people)
        for rater in people[: 1 if (number + 1) % _TWICE else 2]:
            found.append((question, answer, str(_rating(rng, rater, level)), rater))
        if len(found) >= rows:
            return found[:rows]
    return found


def _answers(rng: random.Random) -> Iterator[tuple[str, str, int]]:
    """Yield (question, answer, how good it is), two answers to every question."""
    asked = [(place, day, kind) for place in _PLACES for day in _DAYS for kind in range(len(_ASKED))]
    rng.shuffle(asked)
    for place, day, kind in asked:
        question, right, facts = _ASKED[kind]
        _, another, others = rng.choice(_ASKED[:kind] + _ASKED[kind + 1 :])
        fact = rng.choice(facts)
        told = right.format(place=place, day=day, fact=fact)
        beside = another.format(place=place, day=day, fact=rng.choice(others))
        first = rng.choice((1, 3, 4, 5))
        for level in (first, rng.choice([level for level in (2, 3, 4, 5) if level != first])):
            yield question.format(place=place, day=day), _said(rng, level, fact, told, beside), level


def _said(rng: random.Random, level: int, fact: str, told: str, beside: str) -> str:
    said = {
        1: rng.choice(_NOTHING),
        2: beside,
        3: rng.choice(_UNSURE).format(fact),
        4: f"{fact[0].upper()}{fact[1:]}.",
        5: f"{told} {rng.choice(_HELPFUL)}",
    }
    return said[level]


def _rating(rng: random.Random, rater: str, level: int) -> int:
    """Return how a person rates an answer of this level."""
    habits = {("Ben", 4): -1, ("Chen", 3): 1}
    if rng.random() < 0.3:
        level += habits.get((rater, level), 0)
    if rng.random() < SLIPS:
        level += rng.choice((-1, 1))
    return min(5, max(1, level))
