"""Ratings that are not levels: their counts, and advice for each kind."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable
from fractions import Fraction

from rationem.data.dates import is_date, on_dates
from rationem.data.disguised import on_doubtful
from rationem.tasks.ranges import are_numbers, range_of
from rationem.tasks.scale import Scale

_SHOWN, _WIDTH, _CODE = 8, 40, 20
_OUT_OF = re.compile(r"([^/\s]+)\s*(?:/|out of|of)\s*([^/\s]+)")
_COMMA = re.compile(r"([+-]?[0-9]+),([0-9]+)")
#: Values that people write for a missing rating.
_NOBODY = {
    *("n/a", "na", "n.a.", "n.a", "#n/a", "none", "null", "nil", "nan", "-", "--", "---", "–", "—", "?"),
    *("unknown", "unrated", "skip", "skipped", "not applicable", "not rated", "no answer", "no rating", "missing"),
    *("don't know", "dont know", "do not know", "cannot judge", "can't judge", "cannot tell", "prefer not to say"),
}


def rated(value: str, among: Collection[str] = ()) -> bool:
    """Say whether a cell holds a rating, not a mark for a missing one; a minus is a rating where a plus is another.

    Args:
        value: the cell.
        among: all cells of its column.

    >>> rated("4"), rated("N/A"), rated(" "), rated("-"), rated("-", ["-", "0", "+"])
    (True, False, False, False, True)
    """
    text = value.strip().casefold()
    return bool(text) and (text not in _NOBODY or (_is_sign(text, "-–—") and any(_is_sign(one, "+") for one in among)))


def _is_sign(text: str, kind: str) -> bool:
    return bool(text.strip()) and not text.strip().strip(kind)


def other_notation(value: str) -> bool:
    """Say whether a cell is a date, or a number in a notation that no scale has: "4/5", "4 out of 5" or "2,5"."""
    return is_date(value) or _fraction(value) is not None or _COMMA.fullmatch(value) is not None


def notations(values: Iterable[str]) -> str:
    """Return sentences on ratings in another notation, with the right one; "" if there are none.

    >>> notations(["4/5", "3/5", "2,5"])
    "Write '4/5' as '4', because 5 is the maximum anyway. Write '2,5' as '2.5': decimals need a point. "
    """
    texts = list(values)
    of = [(value, match) for value in texts if (match := _fraction(value)) is not None]
    commas = [(value, match) for value in texts if (match := _COMMA.fullmatch(value)) is not None]
    said = on_dates(texts)
    if of and len({match[2] for _, match in of}) == 1:
        said += f"Write {_short(of[0][0])} as {of[0][1][1]!r}, because {of[0][1][2]} is the maximum anyway. "
    elif of:
        most = ", ".join(sorted({match[2] for _, match in of})[:_SHOWN])
        said += f"Ratings such as {_short(of[0][0])} have different maxima ({most}): convert them to one scale. "
    if commas:
        value, match = commas[0]
        said += f"Write {_short(value)} as '{match[1]}.{match[2]}': decimals need a point. "
    return said + on_doubtful([value for value in texts if not other_notation(value)])


def tally(found: Counter[str], scale: Scale) -> str:
    """Return sentences that count the values that are not levels, most frequent first, with advice.

    >>> tally(Counter({"4": 9, "N/A": 2, "4/5": 1}), Scale.parse("1-5"))
    "Not a level: 'N/A' (2), '4/5' (1). Leave out rows without a rating; write '4/5' as '4'."
    """
    wrong = Counter({value: count for value, count in found.items() if scale.level(value) is None})
    shown = [f"{_short(value)} ({count})" for value, count in wrong.most_common(_SHOWN)]
    more = f", and {len(wrong) - _SHOWN} other values" if len(wrong) > _SHOWN else ""
    values = [value for value, _ in wrong.most_common()]
    undated = [value for value in values if not is_date(value)]
    told = [on_dates(values).strip(), _advice(undated, scale) if undated else ""]
    return f"Not a level: {', '.join(shown)}{more}. {' '.join(filter(None, told))}"


def _advice(values: list[str], scale: Scale) -> str:
    unrated = [value for value in values if value.casefold() in _NOBODY]
    meant = {value: level for value in values if (level := _meant(value, scale)) is not None}
    parts = ["leave out rows without a rating"] if unrated else []
    between = [value for value in values if _lies_within(value, scale)]
    parts += [_rounded(between, scale)] if between else []
    kinds = {"/" in value or "of" in value: value for value in reversed(meant)}  # the most frequent of either notation
    parts += [f"write {_short(value)} as {meant[value]!r}" for value in meant if value in kinds.values()]
    others = [value for value in values if value not in {*unrated, *meant, *between}]
    if told := on_doubtful([value for value in others if not other_notation(value)]):
        parts.append(f"{told[0].lower()}{told[1:].strip().removesuffix('.')}")
    if others:
        parts.append("correct mistyped values, or give a scale with all levels (--scale)")
        codes = ",".join(value for value in others if _may_be_code(value))
        parts += [f"if they say that there is no rating: --missing={shlex.quote(codes)}"] if codes else []
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}."


def _may_be_code(value: str) -> bool:
    """Say whether a value can mean that there is no rating: a short word, or a whole number."""
    return len(value) <= _CODE and re.fullmatch(r"[^\d,]+|[+-]?\d{1,3}", value) is not None


def _lies_within(value: str, scale: Scale) -> bool:
    """Say whether a value is a number between two levels of a scale of numbers."""
    if not are_numbers([value, *scale.levels]):
        return False
    levels = list(map(Fraction, scale.levels))
    return min(levels) < Fraction(value) < max(levels)


def _rounded(between: list[str], scale: Scale) -> str:
    """Return the ways to read numbers between levels: the nearest level, or a scale with half points."""
    halves = all(Fraction(2 * Fraction(value)).denominator == 1 for value in between)
    whole = range_of(f"{scale.levels[0]}-{scale.levels[-1]}") == scale.levels
    more = f', or --scale "{scale.levels[0]}-{scale.levels[-1]} by 0.5"' if halves and whole else ""
    return f"read numbers between two levels, such as {_short(between[0])}, as the nearest level: --round{more}"


def _meant(value: str, scale: Scale) -> str | None:
    """Return the level in "4/5" or "4 out of 5" of a scale up to 5, or in "4,5"; None if there is none."""
    if match := _OUT_OF.fullmatch(value):
        return scale.level(match[1]) if scale.level(match[2]) == scale.levels[-1] else None
    match = _COMMA.fullmatch(value)
    return scale.level(f"{match[1]}.{match[2]}") if match else None


def _fraction(value: str) -> re.Match[str] | None:
    """Return the match of "n/m" with two numbers; None for texts such as "yes/no"."""
    match = _OUT_OF.fullmatch(value)
    return match if match and all(re.fullmatch(r"[0-9]+([.,][0-9]+)?", part) for part in match.groups()) else None


def _short(value: str) -> str:
    return repr(value if len(value) <= _WIDTH else f"{value[: _WIDTH - 4]} ...")
