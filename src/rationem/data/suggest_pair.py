"""Values of a comparison's rating column -> the scale that they suggest, if they identify the response they mean.

The first level means the first response and the second the second, so an alphabetical order could silently swap every
label. Nothing is suggested for names that only the user can assign, or for ambiguous numbers: 0 can be the first
response or a tie, and the lowest degree can favour the first response or the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

from rationem.data.unusable import rated
from rationem.errors import ConfigError
from rationem.tasks.pairs import fields_of
from rationem.tasks.scale import Scale

#: Words that say "the first" and "the second", beside letters, numbers and the usual names of the columns.
_WORDS = (("left", "right"), ("first", "second"))
#: The start of a value that prefers neither response.
_TIE = re.compile(r"(?:tie|tied|draw|both|same|equal|equally|neither)(?![^\W_])|no (?:preference|difference)\b", re.I)
_NUMBER = re.compile(r"[0-9]{1,4}(?:\.0{1,4})?")
#: Integers that may be degrees of preference, and the fewest and most steps for which they are proposed as such.
_DEGREE = re.compile(r"[+-]?[0-9]{1,2}(?:\.0{1,4})?")
_FEWEST, _MOST = 2, 21
#: Possible meanings of a few numbers: a scale, and its description.
_PLACES = (
    ("0 | 1", "0 means the first response"),
    ("1 | 0", "1 means the first response"),
    ("0 | 1 | 2", "0 means the first response and 2 a tie"),
    ("1 | 2 | 0", "1 means the first response and 0 a tie"),
    ("1 | 2 | 3", "1 means the first response and 3 a tie"),
)
_LONGEST, _SHOWN = 60, 12


def suggest_pair(values: Iterable[object], responses: Sequence[str]) -> str | None:
    """Return the text of a scale for comparisons, or None if the values do not identify the response.

    Names of three or more columns become letters, and cells are read as letters, so a prompt does not show who wrote
    which response. If the columns' own names end in letters, numbers or words such as "left", no other words are used.

    Args:
        values: the values of the rating column.
        responses: the names of the response columns, in order.

    >>> suggest_pair(["b", "a", "Tie"], ("x", "y")), suggest_pair([2, 1, 0], ("x", "y"))
    ('a | b | Tie', None)
    >>> suggest_pair(["GPT-4", "Claude"], ("Claude", "GPT-4")), suggest_pair(["GPT-4", "Claude"], ("x", "y"))
    ('Claude | GPT-4', None)
    >>> suggest_pair([-2, 3, 0], ("x", "y")), suggest_pair(["z", "x", "tie"], ("x", "y", "z"))
    (None, 'A | B | C | tie')
    """
    found, count = _distinct(values), len(responses)
    columns = tuple(" ".join(name.split()) for name in responses)
    usual = _usual(responses)
    for words in (columns, *usual) if count == 2 else (*usual, columns):
        named = [word.casefold() for word in words]
        ties = [value for key, value in found.items() if key not in named]
        if len(ties) < len(found) and all(map(_is_tie, ties)):
            called = _letters(count) if count > 2 and words == columns else _spelt(words, found)
            return _scale([*called, *sorted(ties)])
    return None


def meant(scale: str, responses: Sequence[str]) -> str:
    """Return the sentence on which levels of a suggested scale mean which response."""
    if len(responses) > 2:
        names = ", ".join(map(repr, responses))
        return f"The first {len(responses)} levels mean that one of the responses is the best, in the order {names}"
    first, second = responses
    return f"The first level means that {first!r} is better, the second that {second!r} is"


def unclear(values: Iterable[object], responses: Sequence[str]) -> str:
    """Return the message with the values found and the question what they mean."""
    found, count = list(_distinct(values).values()), len(responses)
    more = ", ..." if len(found) > _SHOWN else ""
    shown = ", ".join(map(repr, found[:_SHOWN])) + more
    if count > 2:
        form = f"{' | '.join(_letters(count))} | TIE"
        return (
            f"The ratings of the comparisons are {shown}. Which of them means which response? The first {count} "
            f'levels mean the {count} responses, in their order: --scale "{form}".'
        )
    first = f"the first response, {responses[0]!r}, is better"
    whole = [str(Fraction(value)) for value in found if _DEGREE.fullmatch(value)]
    numbers = sorted({int(one) for one in whole if one.lstrip("-").isdecimal()})
    if len(numbers) == len(found) > 1:
        told = f"The ratings of the pairs are {shown}. Numbers do not say which of them means that {first}."
        return f"{told} {_readings(numbers)}"
    return (
        f"The ratings of the pairs are {shown}. Which of them means that {first}? The first level means the first "
        'response: --scale "FIRST | SECOND | TIE".'
    )


def _readings(numbers: Sequence[int]) -> str:
    """Return the possible meanings of integers about a pair, each with its scale as typed."""
    found = set(map(str, numbers))
    ways = [(meaning, scale) for scale, meaning in _PLACES if set(scale.split(" | ")) == found]
    ways += _as_degrees(numbers)
    told = [f'if {meaning}: --scale "{scale}"' for meaning, scale in ways]
    return f"I{'; '.join(told)[1:]}." if told else 'The first level means the first response: --scale "FIRST | SECOND".'


def _as_degrees(numbers: Sequence[int]) -> list[tuple[str, str]]:
    """Return (meaning, scale) of numbers that may be degrees of preference, in both directions."""
    low, high = numbers[0], numbers[-1]
    if low < 0:
        low, high = -max(-low, high), max(-low, high)
    if high - low < _FEWEST or high - low >= _MOST:
        return []
    falling = " < ".join(map(str, range(high, low - 1, -1)))
    return [
        (f"{low} most favours the first response and {high} the second", f"{low} to {high}"),
        (f"{high} most favours the first response and {low} the second", falling),
    ]


def _words(count: int) -> list[tuple[str, ...]]:
    """Return the words that name ``count`` responses by their places."""
    letters = _letters(count)
    usual = [letters, _numbers(count), *(_WORDS if count == 2 else ())]
    return [*usual, fields_of(count), tuple(f"model_{letter.lower()}" for letter in letters)]


def _letters(count: int) -> tuple[str, ...]:
    return tuple(name[-1].upper() for name in fields_of(count))


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(1, count + 1)))


def _distinct(values: Iterable[object]) -> dict[str, str]:
    """Return casefolded value -> its first spelling, with 1.0 as 1, without values that mean no rating."""
    found: dict[str, str] = {}
    for text in sorted({" ".join(str(value).split()) for value in values}):
        if rated(text):
            plain = str(Fraction(text)) if _NUMBER.fullmatch(text) else text
            found.setdefault(plain.casefold(), plain)
    return found


def _usual(responses: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the usual words in the order of the columns: for response_b,response_a the word A means the second.

    If the columns' numbers or letters are in another order than the columns, other words would be ambiguous (place or
    name) and are left out.
    """
    ends = [re.split(r"[\W_]+", name.casefold())[-1] for name in responses]
    usual = _words(len(responses))
    tails = [[word.casefold().rpartition("_")[-1] for word in words] for words in usual]
    named = [n for n, of in enumerate(tails) if sorted(of) == sorted(ends)]
    if any(tails[n] != ends for n in named):
        return [tuple(usual[n][tails[n].index(end)] for end in ends) for n in named]
    return usual


def _spelt(words: Sequence[str], found: dict[str, str]) -> list[str]:
    """Return the words as spelled in the values; a word that does not occur gets the others' case."""
    given = [found[word.casefold()] for word in words if word.casefold() in found]
    small = bool(given) and all(word.islower() for word in given)
    return [found.get(word.casefold(), word.casefold() if small else word) for word in words]


def _is_tie(value: str) -> bool:
    return len(value) <= _LONGEST and _TIE.match(value) is not None


def _scale(levels: list[str]) -> str | None:
    """Return the text of a scale with exactly these levels; None if there is none (a name contains "|")."""
    text = " | ".join(levels)
    try:
        return text if Scale.parse(text).levels == tuple(levels) else None
    except ConfigError:  # levels that no verdict line can say
        return None
