"""Ratings that are no levels: how often which, and what to do about each kind."""

from __future__ import annotations

import re
from collections import Counter

from rationem.scale import Scale

_SHOWN, _WIDTH = 8, 40
_OUT_OF = re.compile(r"([^/\s]+)\s*(?:/|out of|of)\s*([^/\s]+)")
_COMMA = re.compile(r"([+-]?[0-9]+),([0-9]+)")
#: What people write where nobody rated.
_NOBODY = {
    *("n/a", "na", "n.a.", "#n/a", "none", "null", "nil", "nan", "-", "--", "?"),
    *("unknown", "unrated", "skip", "skipped"),
}


def tally(found: Counter[str], scale: Scale) -> str:
    """Return sentences that count the values that are no levels, most frequent first, and say what to do.

    >>> tally(Counter({"4": 9, "N/A": 2, "4/5": 1}), Scale.parse("1-5"))
    "No level is: 'N/A' (2), '4/5' (1). Leave out rows that nobody rated; write '4/5' as '4'."
    """
    wrong = Counter({value: count for value, count in found.items() if scale.level(value) is None})
    shown = [f"{_short(value)} ({count})" for value, count in wrong.most_common(_SHOWN)]
    more = f", and {len(wrong) - _SHOWN} other values" if len(wrong) > _SHOWN else ""
    return f"No level is: {', '.join(shown)}{more}. {_advice([value for value, _ in wrong.most_common()], scale)}"


def _advice(values: list[str], scale: Scale) -> str:
    nobody = [value for value in values if value.casefold() in _NOBODY]
    meant = {value: level for value in values if (level := _meant(value, scale)) is not None}
    parts = ["leave out rows that nobody rated"] if nobody else []
    parts += [f"write {_short(value)} as {level!r}" for value, level in list(meant.items())[:1]]
    if len(nobody) + len(meant) < len(values):
        parts.append("mend what is mistyped, or give a scale with all levels (--scale)")
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}."


def _meant(value: str, scale: Scale) -> str | None:
    """Return the level in "4/5" or "4 out of 5" of a scale up to 5, or in "4,5"; None where there is none."""
    if match := _OUT_OF.fullmatch(value):
        return scale.level(match[1]) if scale.level(match[2]) == scale.levels[-1] else None
    match = _COMMA.fullmatch(value)
    return scale.level(f"{match[1]}.{match[2]}") if match else None


def _short(value: str) -> str:
    return repr(value if len(value) <= _WIDTH else f"{value[: _WIDTH - 4]} ...")
