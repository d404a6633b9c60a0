"""Questions, scratchpads and examples of the addition world.

Each digit follows the letter of its place: units, tens, hundreds, then m and z, lower case in the first number and
upper case in the second. The sum uses a, b, c, ... from the right: "h6t2u4 + H2T5U9" is 624 + 259, "a3b8c8d0" is 883.
The letters identify a column's digits; a model of this size learns to find them by counting last. The sum's last letter
holds the carry out of the last column. A column states its carry before its digit: given the carry, the digit follows
by plain addition instead of addition modulo 10.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from rationem.seeds import generator
from rationem.tasks.answer import AnswerTask
from rationem.tasks.choices import SUBJECT
from rationem.tasks.template import Template
from rationem.types import Example, Fields

#: Possible numbers of digits of both summands.
DIGITS = (1, 2, 3, 4, 5)
#: Share of one-digit questions in a mixture of lengths: there are only a hundred of them.
_SHARE_OF_ONE = 0.04

TASK = AnswerTask(
    "addition",
    Template("{{ prompt }}\nEnd with {{ marker }} SUM", "the addition world's template"),
    Template("It is {{ answer }}.", "the addition world's hint"),
    form="pattern:((?:[a-f][0-9])+)",
    optional=(),
)

#: The letters of the places, from the right, and those of the sum.
PLACES, SUM = "uthmz", "abcdef"
_QUESTION = re.compile(r"(?P<a>(?:[uthmz]\d)+) \+ (?P<b>(?:[UTHMZ]\d)+)")
_COLUMN = re.compile(r"[uthmz]\d\+[UTHMZ]\d\+[01]=C[01],[a-e]\d")


def question(rng: np.random.Generator, digits: int) -> tuple[int, int]:
    """Draw two numbers with that many digits; one-digit numbers include 0."""
    low, high = (0 if digits == 1 else 10 ** (digits - 1)), 10**digits
    a, b = (int(number) for number in rng.integers(low, high, 2))
    return a, b


def asked(a: int, b: int) -> Fields:
    """Return the fields of a question; reports group by its number of digits, which no prompt shows."""
    count = len(str(a))
    return {"prompt": f"{lettered(a)} + {lettered(b).upper()}", SUBJECT: f"{count} digit{'s' if count > 1 else ''}"}


def lettered(number: int) -> str:
    """Return a number with each digit after the letter of its place.

    >>> lettered(624)
    'h6t2u4'
    """
    digits = str(number)
    return "".join(f"{PLACES[len(digits) - n]}{digit}" for n, digit in enumerate(digits, start=1))


def scratchpad(a: int, b: int, slips: Sequence[int | None] = ()) -> tuple[str, str]:
    """Return the rationale and its answer.

    Args:
        a: a number.
        b: a number with as many digits.
        slips: by column, from the right, a digit to write instead of the right one, or None. Carries stay right.

    >>> print(*scratchpad(67, 58), sep="; ")
    u7+U8+0=C1,a5
    t6+T5+1=C1,b2; a5b2c1
    >>> scratchpad(67, 58, (9, None))[1]
    'a9b2c1'
    """
    lines, said, carry = [], [], 0
    for place, (x, y) in enumerate(zip(reversed(str(a)), reversed(str(b)), strict=True)):
        both = int(x) + int(y) + carry
        slip = slips[place] if place < len(slips) else None
        digit = both % 10 if slip is None else slip
        lines.append(column(place, int(x), int(y), carry, digit))
        said.append(digit)
        carry = both // 10
    return "\n".join(lines), total(said, carry)


def total(digits: Sequence[int], carry: int) -> str:
    """Return an answer: its digits from the right, then the carry out of the last column."""
    return "".join(f"{SUM[place]}{digit}" for place, digit in enumerate((*digits, carry)))


def column(place: int, x: int, y: int, carry: int, digit: int) -> str:
    """Return a line of a scratchpad: two digits and the carry in, then the carry out and the written digit."""
    letter = PLACES[place]
    return f"{letter}{x}+{letter.upper()}{y}+{carry}=C{(x + y + carry) // 10},{SUM[place]}{digit}"


def faithful(fields: Fields, rationale: str) -> bool | None:
    """Say whether every column of a scratchpad is true of the question; None if there is no readable column.

    >>> faithful({"prompt": "t6u7 + T5U8"}, "u7+U8+0=C1,a5"), faithful({"prompt": "t6u7 + T5U8"}, "as you see")
    (False, None)
    """
    found = _QUESTION.fullmatch(fields["prompt"])
    stated = rationale.strip().split("\n")
    if found is None or not all(map(_COLUMN.fullmatch, stated)):
        return None
    a, b = (int(re.sub(r"\D", "", found[name])) for name in "ab")
    return stated == scratchpad(a, b)[0].split("\n")


def examples(size: int, digits: Sequence[int] = DIGITS, seed: int = 0, start: int = 0) -> tuple[Example, ...]:
    """Return examples ``start`` to ``start + size - 1`` of the world with this seed; no question occurs twice.

    Args:
        size: the number of examples.
        digits: lengths of the numbers, drawn uniformly, except that one digit is rare in a mixture.
        seed: the world; example i does not depend on the requested range.
        start: index of the first.
    """
    drawn = _distinct(seed, tuple(digits), start + size)
    return tuple(_example(a, b) for a, b in drawn[start:])


def _example(a: int, b: int) -> Example:
    name = f"{a}+{b}"
    return Example(name, asked(a, b), scratchpad(a, b)[1], group=name)


@lru_cache(maxsize=4)
def _distinct(seed: int, digits: tuple[int, ...], count: int) -> tuple[tuple[int, int], ...]:
    rng = generator(seed, "addition", *digits)
    rare = [_SHARE_OF_ONE if one == 1 and len(digits) > 1 else 1.0 for one in digits]
    left = len(digits) - 1 if 1 in digits and len(digits) > 1 else len(digits)
    weights = np.array([one if one < 1 else (1 - _SHARE_OF_ONE * (left < len(digits))) / left for one in rare])
    found: dict[tuple[int, int], None] = {}
    while len(found) < count:
        found[question(rng, int(rng.choice(digits, p=weights)))] = None
    return tuple(found)
