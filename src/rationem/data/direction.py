"""Words beside numbers, "1 = very good" ... "5 = very bad": they say which end of a scale is the better one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction

from rationem.data.ladders import falls
from rationem.data.notations import read
from rationem.tasks.ranges import are_numbers
from rationem.tasks.scale import Scale


def worse_with_number(texts: Collection[str]) -> str:
    """Return the words of the lowest and the highest number, as a sentence, if they get worse as the numbers rise.

    >>> worse_with_number(["1 = very good", "2 = good", "3 = bad"])
    "The words say that 1 ('very good') is better than 3 ('bad')."
    >>> worse_with_number(["1 = bad", "2 = good"]), worse_with_number(["1", "2"])
    ('', '')
    """
    words = _words(texts)
    if len(words) < 2 or not falls(words):
        return ""
    low, high = min(words), max(words)
    return f"The words say that {low} ({words[low]!r}) is better than {high} ({words[high]!r})."


def against(texts: Collection[str], scale: Scale) -> str:
    """Return a sentence if the words beside the numbers run against a scale of numbers; else ""."""
    words = _words(texts)
    if len(words) < 2 or not are_numbers(scale.levels) or not scale.ordered:
        return ""
    rises, down = Fraction(scale.levels[0]) < Fraction(scale.levels[-1]), falls(words)
    if down is None or down != rises:
        return ""
    first, last = (min(words), max(words)) if rises else (max(words), min(words))
    turned = " < ".join(reversed(scale.levels))
    return (
        f"The scale {scale.sentence()!r} runs against the words of the cells: {first} is {words[first]!r}, {last} is "
        f'{words[last]!r}. If the words are right: --scale "{turned}".'
    )


def turned(scale: str) -> str:
    """Return a scale of numbers in the other direction, worst first.

    >>> turned("1-3")
    '3 < 2 < 1'
    """
    return " < ".join(reversed(Scale.parse(scale).levels))


def _words(texts: Collection[str]) -> Mapping[Fraction, str]:
    """Return number -> the word beside it; nothing if a number has two."""
    pairs = {
        (Fraction(one.value), one.words) for text in texts for name, one in read(text) if name == _WORDED and one.words
    }
    return dict(pairs) if len(dict(pairs)) == len(pairs) else {}


_WORDED = "number and words"
