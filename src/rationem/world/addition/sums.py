"""Questions, scratchpads and examples of the addition world.

Every digit has the letter of its place before it: units, tens, hundreds, then m and z, small in the first number and
capital in the second, and in the sum a, b, c, ... from the right: "h6t2u4 + H2T5U9" is 624 + 259, "a3b8c8d0" is 883. So
a column's digits are found by their letters; finding them by counting is what a model of this size learns last. The
sum's last letter holds the carry that comes out of the last column. A column says its carry before its digit: whoever
knows the carry finds the digit by plain addition, and not modulo 10.
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

#: How many digits both numbers of a question have.
DIGITS = (1, 2, 3, 4, 5)
#: Of a mixture of lengths so large a part has one digit: there are only a hundred such questions.
_SHARE_OF_ONE = 0.04

TASK = AnswerTask(
    "addition",
    Template("{{ prompt }}\nEnd with {{ marker }} SUM", "the addition world's template"),
    Template("It is {{ answer }}.", "the addition world's hint"),
    form="pattern:((?:[a-f][0-9])+)",
    optional=(),
)

#: The letters of the places, from the right, and those of the sum's.
PLACES, SUM = "uthmz", "abcdef"
_QUESTION = re.compile(r"(?P<a>(?:[uthmz]\d)+) \+ (?P<b>(?:[UTHMZ]\d)+)")
_COLUMN = re.compile(r"[uthmz]\d\+[UTHMZ]\d\+[01]=C[01],[a-e]\d")


def question(rng: np.random.Generator, digits: int) -> tuple[int, int]:
    """Draw two numbers of so many digits; of one digit 0 is among them."""
    low, high = (0 if digits == 1 else 10 ** (digits - 1)), 10**digits
    a, b = (int(number) for number in rng.integers(low, high, 2))
    return a, b


def asked(a: int, b: int) -> Fields:
    """Return the fields of a question; its number of digits is what a report lists it under, and no prompt's part."""
    count = len(str(a))
    return {"prompt": f"{lettered(a)} + {lettered(b).upper()}", SUBJECT: f"{count} digit{'s' if count > 1 else ''}"}


def lettered(number: int) -> str:
    """Return a number with the letter of its place before every digit.

    >>> lettered(624)
    'h6t2u4'
    """
    digits = str(number)
    return "".join(f"{PLACES[len(digits) - n]}{digit}" for n, digit in enumerate(digits, start=1))


def scratchpad(a: int, b: int, slips: Sequence[int | None] = ()) -> tuple[str, str]:
    """Return the rationale and the answer that it comes to.

    Args:
        a: a number, and
        b: one of as many digits.
        slips: by column, from the right, the digit that is written down whatever the sum is; None for the right one.
            The carry is right all the same.

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
    """Return an answer: its digits from the right, then the carry that comes out of the last column."""
    return "".join(f"{SUM[place]}{digit}" for place, digit in enumerate((*digits, carry)))


def column(place: int, x: int, y: int, carry: int, digit: int) -> str:
    """Return a line of a scratchpad: two digits and the carry that comes in, the carry, the digit written down."""
    letter = PLACES[place]
    return f"{letter}{x}+{letter.upper()}{y}+{carry}=C{(x + y + carry) // 10},{SUM[place]}{digit}"


def faithful(fields: Fields, rationale: str) -> bool | None:
    """Say whether every column of a scratchpad is true of the question; None where there is none to read.

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
    """Return examples ``start`` to ``start + size - 1`` of the world with this seed; no question comes twice.

    Args:
        size: how many.
        digits: lengths of the numbers, drawn evenly, but one digit rarely beside others.
        seed: the world; example i is the same whichever range asks for it.
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
