"""Values of a rating column -> the scale that they suggest, for messages; a fit never uses it by itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

from rationem.data.unusable import other_notation, rated
from rationem.errors import ConfigError
from rationem.tasks.scale import Scale

# Limits the number of digits: a longer number would not be a level.
_NUMBER = re.compile(r"(?=.{1,24}$)[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_BARE = re.compile(r"[\w.][\w.-]*")
_MOST_NAMES, _MOST_NUMBERS = 12, 21
_NUMERIC, _LONGEST = 0.6, 60
#: Common rating words, worst first: names from one ladder are ordered by it.
_LADDERS = (
    ("no", "yes"),
    ("false", "true"),
    ("fail", "pass"),
    ("incorrect", "partially correct", "mostly correct", "correct"),
    ("wrong", "partly right", "right"),
    ("low", "medium", "high"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("strongly disagree", "disagree", "neutral", "neither agree nor disagree", "agree", "strongly agree"),
    (
        *(
            "terrible",
            "awful",
            "very bad",
            "very poor",
            "bad",
            "poor",
            "could be improved",
            "below average",
            "mediocre",
        ),
        *("fair", "average", "neutral", "ok", "okay", "acceptable", "satisfactory", "above average", "good"),
        *("great", "very good", "excellent", "outstanding", "perfect"),
    ),
)


def suggest(values: Iterable[object]) -> str | None:
    """Return the text of a scale for the values of a column, or None if no short scale fits.

    If six of ten values are numbers, the scale is their range with their common step, and the others are mistakes.
    Otherwise every value is a name, ordered if the words have a usual order. "N/A" and similar values are never levels,
    and neither are "4/5" or "2,5".

    >>> suggest(["4", 1, "2.0"]), suggest([0, 0.5, 2]), suggest(["Good", "bad", "N/A"]), suggest(["A", "tie", "B"])
    ('1-4', '0-2 by 0.5', 'bad < Good', 'A | B | tie')
    """
    texts = [text for value in values if rated(text := str(value).strip())]
    numbers = [text for text in texts if _NUMBER.fullmatch(text)]
    numeric = len(numbers) >= _NUMERIC * len(texts)
    if not texts or (not numeric and any(map(other_notation, texts))):
        return None
    scale = _numbers(set(numbers)) if numeric else _names(sorted(set(texts)))
    return scale if scale is not None and _holds(scale, set(numbers if numeric else texts)) else None


def typed(scale: str) -> str:
    """Return a scale as typed after ``--scale`` in a shell.

    >>> print(typed("1-5"), typed("Bad < Good"), typed("it's < $5"))
    1-5 "Bad < Good" 'it'"'"'s < $5'
    """
    if _BARE.fullmatch(scale):
        return scale
    return shlex.quote(scale) if any(character in scale for character in '"$`\\!') else f'"{scale}"'


def _holds(text: str, values: set[str]) -> bool:
    """Say whether the text is a scale with all values as levels (a name with a "<" would not be)."""
    try:
        scale = Scale.parse(text)
    except ConfigError:  # levels that no verdict line can say
        return False
    return all(scale.level(value) is not None for value in values)


def _numbers(found: set[str]) -> str | None:
    numbers = sorted({Fraction(value) for value in found})
    low, high = numbers[0], numbers[-1] if len(numbers) > 1 else numbers[0] + 1
    step = _step(numbers) if len(numbers) > 1 else Fraction(1)
    if (high - low) / step >= _MOST_NUMBERS:
        several = len(numbers) <= _MOST_NAMES
        return " < ".join(f"{float(number):g}" for number in numbers) if several else None
    between = "-" if low >= 0 else " to "
    return f"{float(low):g}{between}{float(high):g}" + ("" if step == 1 else f" by {float(step):g}")


def _step(numbers: list[Fraction]) -> Fraction:
    """Return the largest step that all numbers are multiples of, 1 for integers."""
    step = Fraction(0)
    for one, other in pairwise(numbers):
        gap = other - one
        while gap:
            step, gap = gap, step % gap
    return Fraction(1) if step.denominator == 1 and numbers[0].denominator == 1 else step


def _names(found: list[str]) -> str | None:
    if len(found) > _MOST_NAMES or any(len(name) > _LONGEST for name in found):
        return None
    folded = {value.casefold(): value for value in found}
    for ladder in _LADDERS:
        if set(folded) <= set(ladder):
            several = [folded[word] for word in ladder if word in folded]
            return " < ".join(several) if len(several) > 1 else None
    return " | ".join(folded.values()) if len(folded) > 1 else None
