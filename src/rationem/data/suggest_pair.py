"""Values of a pair's rating column -> the scale that they suggest, where they say themselves which response they mean.

The first level of a pair's scale means the first response and the second the second: an order by the alphabet could
turn every label around without a word. So nothing is suggested for names that only the user can place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

from rationem.data.unusable import rated
from rationem.errors import ConfigError
from rationem.scale import Scale

#: Words that say "the first" and "the second", and what may end the names of their response columns.
_WORDS = (
    ("A", "B"),
    ("1", "2"),
    ("left", "right"),
    ("first", "second"),
    ("response_a", "response_b"),
    ("model_a", "model_b"),
)
#: How a value begins that prefers neither.
_TIE = re.compile(r"(?:tie|tied|draw|both|same|equal|equally|neither)(?![^\W_])|no (?:preference|difference)\b", re.I)
_NUMBER = re.compile(r"[0-9]{1,4}(?:\.0{1,4})?")
_LONGEST, _SHOWN = 60, 12


def suggest_pair(values: Iterable[object], responses: Sequence[str]) -> str | None:
    """Return the text of a scale for the ratings of pairs, or None where the values do not say which response is meant.

    Args:
        values: of the rating column.
        responses: the names of the two response columns, in order.

    >>> suggest_pair(["b", "a", "Tie"], ("x", "y")), suggest_pair([2, 1, 0], ("x", "y"))
    ('a | b | Tie', '1 | 2 | 0')
    >>> suggest_pair(["GPT-4", "Claude"], ("Claude", "GPT-4")), suggest_pair(["GPT-4", "Claude"], ("x", "y"))
    ('Claude | GPT-4', None)
    """
    found = _distinct(values)
    first, second = (" ".join(name.split()) for name in responses)
    for one, other in ((first, second), *(_ordered(words, responses) for words in _WORDS)):
        named = [one.casefold(), other.casefold()]
        ties = [value for key, value in found.items() if key not in named]
        zero = {*named} == {"1", "2"} <= found.keys()
        if len(ties) < len(found) and all(_is_tie(value) or (zero and value == "0") for value in ties):
            return _scale([_spelt(one, other, found), _spelt(other, one, found), *sorted(ties)])
    return None


def unclear(values: Iterable[object]) -> str:
    """Return the sentences that say which values were found, and that the user has to place them."""
    found = list(_distinct(values).values())
    more = ", ..." if len(found) > _SHOWN else ""
    said = "0 and 1 do not say which response they mean. " if set(found) == {"0", "1"} else ""
    shown = ", ".join(map(repr, found[:_SHOWN])) + more
    return (
        f"{said}The ratings of the pairs are {shown}. Which of them means that the "
        'first response is better? The first level means the first response: --scale "FIRST | SECOND | TIE".'
    )


def _distinct(values: Iterable[object]) -> dict[str, str]:
    """Return folded -> text of the values that somebody gave, each as it is spelt first, 1.0 as 1."""
    found: dict[str, str] = {}
    for text in sorted({" ".join(str(value).split()) for value in values}):
        if rated(text):
            plain = str(Fraction(text)) if _NUMBER.fullmatch(text) else text
            found.setdefault(plain.casefold(), plain)
    return found


def _ordered(words: tuple[str, str], responses: Sequence[str]) -> tuple[str, str]:
    """Return "the first, the second"; turned around where the columns are: A is the second of response_b,response_a."""
    ends = [re.split(r"[\W_]+", name.casefold())[-1] for name in responses]
    tails = [word.casefold().rpartition("_")[-1] for word in words]
    return (words[1], words[0]) if ends == tails[::-1] else words


def _spelt(word: str, other: str, found: dict[str, str]) -> str:
    """Return a word as the values spell it; where nobody gave it, in the letters of the other one."""
    if word.casefold() in found:
        return found[word.casefold()]
    return word.casefold() if found.get(other.casefold(), "").islower() else word


def _is_tie(value: str) -> bool:
    return len(value) <= _LONGEST and _TIE.match(value) is not None


def _scale(levels: list[str]) -> str | None:
    """Return the text of a scale that has exactly these levels: a name with a "|" in it, say, is none."""
    text = " | ".join(levels)
    try:
        return text if Scale.parse(text).levels == tuple(levels) else None
    except ConfigError:  # levels that no verdict line can say
        return None
