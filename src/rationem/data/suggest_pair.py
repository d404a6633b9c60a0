"""Values of a comparison's rating column -> the scale that they suggest, where they say which response they mean.

The first level means the first response and the second the second, or the ends of a scale mean them: an order by the
alphabet could turn every label around without a word. So nothing is suggested for names that only the user can place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

from rationem.data.unusable import rated
from rationem.errors import ConfigError
from rationem.pairs import fields_of
from rationem.scale import Scale

#: Words that say "the first" and "the second", beside letters, numbers and the usual names of the columns.
_WORDS = (("left", "right"), ("first", "second"))
#: How a value begins that prefers neither.
_TIE = re.compile(r"(?:tie|tied|draw|both|same|equal|equally|neither)(?![^\W_])|no (?:preference|difference)\b", re.I)
_NUMBER = re.compile(r"[0-9]{1,4}(?:\.0{1,4})?")
#: Degrees of preference, and the most that are suggested on one side.
_DEGREE = re.compile(r"[+-]?[0-9]{1,2}(?:\.0{1,4})?")
_MOST = 10
_LONGEST, _SHOWN = 60, 12


def suggest_pair(values: Iterable[object], responses: Sequence[str]) -> str | None:
    """Return the text of a scale for comparisons, or None where the values do not say which response is meant.

    Whole numbers on both sides of 0, or below it, are degrees: the lowest says that the first is much better. Names of
    three or more columns become letters, which the cells are read as: a prompt need not name who wrote what.

    Args:
        values: of the rating column.
        responses: the names of the response columns, in order.

    >>> suggest_pair(["b", "a", "Tie"], ("x", "y")), suggest_pair([2, 1, 0], ("x", "y"))
    ('a | b | Tie', '1 | 2 | 0')
    >>> suggest_pair(["GPT-4", "Claude"], ("Claude", "GPT-4")), suggest_pair(["GPT-4", "Claude"], ("x", "y"))
    ('Claude | GPT-4', None)
    >>> suggest_pair([-2, 3, 0], ("x", "y")), suggest_pair(["z", "x", "tie"], ("x", "y", "z"))
    ('-3 to 3', 'A | B | C | tie')
    """
    found, count = _distinct(values), len(responses)
    if count == 2 and (degrees := _degrees(found.values())):
        return degrees
    columns = tuple(" ".join(name.split()) for name in responses)
    usual = [_ordered(words, responses) for words in _words(count)]
    for words in (columns, *usual) if count == 2 else (*usual, columns):
        named = [word.casefold() for word in words]
        ties = [value for key, value in found.items() if key not in named]
        zero = set(named) == set(_numbers(count)) <= found.keys()
        if len(ties) < len(found) and all(_is_tie(value) or (zero and value == "0") for value in ties):
            called = _letters(count) if count > 2 and words == columns else _spelt(words, found)
            return _scale([*called, *sorted(ties)])
    return None


def meant(scale: str, responses: Sequence[str]) -> str:
    """Return the words that say which levels of a suggested scale mean which response."""
    if len(responses) > 2:
        names = ", ".join(map(repr, responses))
        return f"The first {len(responses)} levels mean that one of the responses is the best, in the order {names}"
    first, second = responses
    if Scale.parse(scale).ordered:
        return f"The lowest level means that {first!r} is much better, the highest that {second!r} is"
    return f"The first level means that {first!r} is better, the second that {second!r} is"


def unclear(values: Iterable[object], count: int = 2) -> str:
    """Return the sentences that say which values were found, and that the user has to place them."""
    found = list(_distinct(values).values())
    more = ", ..." if len(found) > _SHOWN else ""
    said = "0 and 1 do not say which response they mean. " if set(found) == {"0", "1"} else ""
    shown = ", ".join(map(repr, found[:_SHOWN])) + more
    if count > 2:
        form = f"{' | '.join(_letters(count))} | TIE"
        return (
            f"{said}The ratings of the comparisons are {shown}. Which of them means which response? The first {count} "
            f'levels mean the {count} responses, in their order: --scale "{form}".'
        )
    degrees = ""
    if len(found) > 2 and all(map(_DEGREE.fullmatch, found)):
        low, *_, high = sorted(found, key=Fraction)
        degrees = (
            f" If they are degrees, from the first response being much better to the second: --scale "
            f'"{low} to {high}"; from the second to the first: all levels, with < between them, the other way around.'
        )
    return (
        f"{said}The ratings of the pairs are {shown}. Which of them means that the "
        f'first response is better? The first level means the first response: --scale "FIRST | SECOND | TIE".{degrees}'
    )


def _degrees(values: Iterable[str]) -> str | None:
    """Return the scale of whole numbers about 0; None where they are none, or none is below 0."""
    texts = list(values)
    if not texts or not all(map(_DEGREE.fullmatch, texts)):
        return None
    numbers = [int(Fraction(text)) for text in texts]
    most = max(map(abs, numbers))
    return f"{-most} to {most}" if min(numbers) < 0 and most <= _MOST else None


def _words(count: int) -> list[tuple[str, ...]]:
    """Return the words that name so many responses by their places."""
    letters = _letters(count)
    usual = [letters, _numbers(count), *(_WORDS if count == 2 else ())]
    return [*usual, fields_of(count), tuple(f"model_{letter.lower()}" for letter in letters)]


def _letters(count: int) -> tuple[str, ...]:
    return tuple(name[-1].upper() for name in fields_of(count))


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(1, count + 1)))


def _distinct(values: Iterable[object]) -> dict[str, str]:
    """Return folded -> text of the values that somebody gave, each as it is spelt first, 1.0 as 1."""
    found: dict[str, str] = {}
    for text in sorted({" ".join(str(value).split()) for value in values}):
        if rated(text):
            plain = str(Fraction(text)) if _NUMBER.fullmatch(text) else text
            found.setdefault(plain.casefold(), plain)
    return found


def _ordered(words: tuple[str, ...], responses: Sequence[str]) -> tuple[str, ...]:
    """Return the words in the order of the columns: of response_b,response_a the word A means the second."""
    ends = [re.split(r"[\W_]+", name.casefold())[-1] for name in responses]
    tails = [word.casefold().rpartition("_")[-1] for word in words]
    return tuple(words[tails.index(end)] for end in ends) if sorted(ends) == sorted(tails) else words


def _spelt(words: Sequence[str], found: dict[str, str]) -> list[str]:
    """Return the words as the values spell them; one that nobody gave in the letters of the others."""
    given = [found[word.casefold()] for word in words if word.casefold() in found]
    small = bool(given) and all(word.islower() for word in given)
    return [found.get(word.casefold(), word.casefold() if small else word) for word in words]


def _is_tie(value: str) -> bool:
    return len(value) <= _LONGEST and _TIE.match(value) is not None


def _scale(levels: list[str]) -> str | None:
    """Return the text of a scale that has exactly these levels: a name with a "|" in it, say, is none."""
    text = " | ".join(levels)
    try:
        return text if Scale.parse(text).levels == tuple(levels) else None
    except ConfigError:  # levels that no verdict line can say
        return None
