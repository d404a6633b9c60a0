"""Values of a rating column -> the scale that they suggest, for messages; a fit never uses it by itself."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

from rationem.data.disguised import doubtful
from rationem.data.ladders import ladder, signs
from rationem.data.unusable import other_notation, rated
from rationem.errors import ConfigError
from rationem.tasks.scale import Scale

# Limits the number of digits: a longer number would not be a level.
_NUMBER = re.compile(r"(?=.{1,24}$)[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_BARE = re.compile(r"[\w.][\w.-]*")
_MOST_NAMES, _MOST_NUMBERS = 12, 21
_NUMERIC, _LONGEST = 0.6, 60
#: Most raters whose mean a number is recognised as; means of two and of four are also usual steps of scales.
_MOST_RATERS, _STEPS = 10, (1, 2, 4)
#: Numbers that stand for "no answer" where they are far from all others, and rare.
_CODES = ("-1", "-9", "-99", "-999", "9", "99", "999", "88", "98", "97", "77")
_FEW_LEVELS, _RARE = 3, 0.3
#: How many bins are proposed for numbers with too many values to be levels.
_BINS = 5


@dataclass(frozen=True, slots=True)
class ScaleProposal:
    """A scale for some values.

    Args:
        scale: as ``--scale`` takes it.
        settings: the further settings that it needs, such as ``{"round": True}``.
        why: a sentence on these; "" without any.
    """

    scale: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


def propose(values: Iterable[object], implied: str = "") -> ScaleProposal | None:
    """Return a scale for the values of a column with the settings that it needs, or None if none fits.

    Args:
        values: the cells.
        implied: a number that their notation names as the highest, such as "5" of "4/5".

    >>> propose(["3.33", "3.67", "1", "5"]).settings, propose(["12.5", "99", *map(str, range(30))]).settings
    ({'round': True}, {'bins': '5', 'missing': '99'})
    """
    counts = Counter(text for value in [*values, *([implied] if implied else [])] if (text := str(value).strip()))
    codes = missing_codes(counts)
    found = _proposed(Counter({text: count for text, count in counts.items() if text not in codes}))
    if found is None or not codes:
        return found
    why = f"{', '.join(map(repr, codes))}: read as no rating (--missing); if one of them is a level, give the scale."
    return ScaleProposal(
        found.scale, {**found.settings, "missing": ",".join(codes)}, " ".join(filter(None, (found.why, why)))
    )


def missing_codes(counts: Counter[str]) -> list[str]:
    """Return the cells that say that there is no rating: words such as "N/A", and rare numbers far below or above all
    others. On a scale of 0 to 100, 98 and 99 are ratings.

    >>> missing_codes(Counter({"1": 9, "2": 9, "3": 9, "4": 8, "99": 3, "N/A": 2})), missing_codes(Counter("-101"))
    (['99', 'N/A'], ['-'])
    >>> missing_codes(Counter(map(str, range(101)))), missing_codes(Counter(["85", "90", "95", "78", "99", "-1"] * 2))
    ([], ['-1'])
    """
    numbers = {text: Fraction(text) for text in counts if _NUMBER.fullmatch(text)}
    codes = [text for text in counts if not rated(text, counts) and "," not in text]
    for text, value in numbers.items():
        others = [other for code, other in numbers.items() if code not in _CODES]
        far = len(others) >= _FEW_LEVELS and _is_far(value, min(others), max(others))
        if text in _CODES and far and counts[text] <= _RARE * counts.total():
            codes.append(text)
    return sorted(codes, key=lambda code: -counts[code])


def _is_far(value: Fraction, low: Fraction, high: Fraction) -> bool:
    """Say whether a number lies outside of a range, by more than one and more than a quarter of the range; below zero
    by more than one.
    """
    gap = max(low - value, value - high)
    return gap > 1 and (gap > (high - low) / 4 or value < 0 <= low)


def _proposed(counts: Counter[str]) -> ScaleProposal | None:
    texts = list(counts.elements())
    if signs(counts) is not None:
        return ScaleProposal(" < ".join(signs(counts) or ()))
    found = {text for text in counts if _NUMBER.fullmatch(text)}
    if found and sum(counts[text] for text in found) >= _NUMERIC * counts.total():
        numbers = sorted(map(Fraction, found))
        low, high = math.floor(numbers[0]), math.ceil(numbers[-1])
        raters = raters_of(found)
        if raters is not None and raters not in _STEPS and 2 <= high - low < _MOST_NUMBERS:
            return ScaleProposal(_range(Fraction(low), Fraction(high)), {"round": True}, _means(raters, found))
        if (known := suggest(texts)) is not None:
            return ScaleProposal(known)
        several = len(numbers) > _MOST_NAMES
        return ScaleProposal(f"1-{_BINS}", {"bins": str(_BINS)}, _binned(found)) if several else None
    known = suggest(texts)
    return ScaleProposal(known) if known is not None else None


def raters_of(numbers: Collection[str]) -> int | None:
    """Return the smallest k <= 10 for which all numbers are means of k integers, as rounded; 1 for integers.

    >>> raters_of(["3.33", "3.67", "4"]), raters_of(["3.2", "4.6"]), raters_of(["3.14", "2.72", "1.41"])
    (3, 5, None)
    """
    sharp = [text for text in numbers if Fraction(text).denominator > 1]
    return next((count for count in range(1, _MOST_RATERS + 1) if all(_is_mean(text, count) for text in sharp)), None)


def _is_mean(text: str, count: int) -> bool:
    """Say whether a number that is no integer can be the mean of so many integers, rounded as it is written."""
    digits = len(text.partition(".")[2])
    total = Fraction(text) * count
    return count > 1 and abs(total - round(total)) <= Fraction(count, 2 * 10**digits)


def _means(raters: int, found: Collection[str]) -> str:
    shown = ", ".join(sorted((text for text in found if Fraction(text).denominator > 1), key=Fraction)[:3])
    steps = f", or a scale in steps of 1/{raters}"
    return (
        f"Numbers such as {shown} look like means of {raters} ratings{steps}. A judge says one level: --round makes "
        "each the nearest level. The single ratings, if you have them, say more: one column for each rater."
    )


def _binned(found: Collection[str]) -> str:
    return (
        f"{len(found)} different numbers are too many for levels: --bins {_BINS} makes {_BINS} bins of equal width; "
        "--bins 20,40,60,80 would name their edges."
    )


def suggest(values: Iterable[object]) -> str | None:
    """Return the text of a scale for the values of a column, or None if no short scale fits.

    If six of ten values are numbers, the scale is their range with their common step, and the others are mistakes.
    Otherwise every value is a name, ordered if the words have a usual order. "N/A" and similar values are never levels,
    and neither are "4/5", "2,5" or dates.

    >>> suggest(["4", 1, "2.0"]), suggest([0, 0.5, 2]), suggest(["Good", "bad", "N/A"]), suggest(["A", "tie", "B"])
    ('1-4', '0-2 by 0.5', 'bad < Good', 'A | B | tie')
    """
    cells = Counter(str(value).strip() for value in values)
    texts = [text for text in cells.elements() if rated(text, cells)]
    numbers = [text for text in texts if _NUMBER.fullmatch(text)]
    numeric = bool(numbers) and len(numbers) >= _NUMERIC * len(texts)
    if not texts or (not numeric and any(other_notation(text) or doubtful(text) for text in texts)):
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
    return _range(low, high) + ("" if step == 1 else f" by {float(step):g}")


def _range(low: Fraction, high: Fraction) -> str:
    between = "-" if low >= 0 else " to "
    return f"{float(low):g}{between}{float(high):g}"


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
    ordered = ladder(list(folded.values()))
    if ordered is not None:
        return " < ".join(ordered)
    return " | ".join(folded.values()) if len(folded) > 1 else None
