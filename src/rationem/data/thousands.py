"""Separators between thousands, "1,250", "1.250,5", "1 250": decided from all cells of a column, because "1,250" can
also be 1.25.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator
from fractions import Fraction

_RUN = re.compile(r"[0-9](?:[0-9.,]*[0-9])?")
_GROUPS = {
    ",": re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?"),
    ".": re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]+)?"),
}
#: Blanks and apostrophes; they stand between thousands only.
_APART = "\u00a0\u202f\u2009'\u2019"
_SPACED = re.compile(rf"([+-]?[1-9][0-9]{{0,2}})((?:[ {_APART}][0-9]{{3}})+)((?:[.,][0-9]+)?)")
#: A plain number from here on stands beside thousands; up to 100 are also scores.
_LARGE = 100
_BINS = 5


def without_separators(texts: Collection[str], beside: Iterable[str] = ()) -> dict[str, str] | None:
    """Return text -> the same without separators between thousands; None if they could also be decimal marks.

    Args:
        texts: all cells.
        beside: plain numbers that they are compared with, such as the edges of bins.

    >>> without_separators(["900", "1,250"]), without_separators(["3,5", "1,250"]), without_separators(["1,250"])
    ({'900': '900', '1,250': '1250'}, {'3,5': '3,5', '1,250': '1,250'}, None)
    """
    joined = _without_blanks(texts)
    runs = list(dict.fromkeys(run for text in joined.values() for run in _RUN.findall(text)))
    marks = [mark for mark in _GROUPS if any(_GROUPS[mark].fullmatch(run) for run in runs)]
    meant = {mark: _are_thousands(mark, runs, beside) for mark in marks}
    if None in meant.values() or list(meant.values()).count(True) > 1:
        return None
    mark = next((mark for mark, are in meant.items() if are), None)
    if mark is None:
        return joined
    return {text: _joined(new, mark) for text, new in joined.items()}


def grouped(text: str) -> bool:
    """Say whether a text can be one number with separators between thousands."""
    return _SPACED.fullmatch(text) is not None or _GROUPS[","].fullmatch(text.lstrip("+-")) is not None


def readings(text: str) -> Iterator[str]:
    """Yield a text without the separators that it can have.

    >>> list(readings("1,250 points")), list(readings("3,5"))
    (['1250 points'], [])
    """
    for new in (_without_blanks([text])[text], *(_joined(text, mark) for mark in _GROUPS)):
        if new != text:
            yield new


def two_sizes(texts: Collection[str], beside: Iterable[str] = ()) -> str:
    """Return a question, with both ways to answer it, on numbers that can have two sizes; else ""."""
    if without_separators(texts, beside) is not None:
        return ""
    runs = [run for text in texts for run in _RUN.findall(text)]
    mark = next(mark for mark in _GROUPS if any(_GROUPS[mark].fullmatch(run) for run in runs))
    run = next(run for run in runs if _GROUPS[mark].fullmatch(run))
    large = [Fraction(number) for number in (_plain(one, mark) for one in runs) if re.fullmatch(r"[0-9.]+", number)]
    small = [Fraction(one.replace(",", ".")) for one in runs if re.fullmatch(r"[0-9]+[.,]?[0-9]*", one)]
    low, high = min(large), max(large)
    edges = ",".join(f"{round(float(low + (high - low) * at / _BINS)):d}" for at in range(1, _BINS))
    ends = (math.floor(min(small)), max(math.ceil(max(small)), math.floor(min(small)) + 1)) if small else (1, 5)
    return (
        f"{run!r} can be the number {_plain(run, mark)} or {run.replace(',', '.')}. Which is it? "
        f"{_plain(run, mark)}: write the numbers without separators, or name the edges of bins, such as `--scale "
        f"1-{_BINS} --bins {edges}`. {run.replace(',', '.')}: write decimals with a point, or give their scale, such "
        f"as `--scale {ends[0]}-{ends[1]} --round`."
    )


def _without_blanks(texts: Collection[str]) -> dict[str, str]:
    """Return text -> itself without blanks and apostrophes between thousands; "50 100" can be two ratings."""
    found = {text: match for text in texts if (match := _SPACED.fullmatch(text))}
    if any(" " in text and text not in found and _numbers_apart(text) for text in texts):
        found = {text: match for text, match in found.items() if " " not in text}
    blank = [text for text in found if " " in text]
    if blank and all(int(part) >= _LARGE for text in blank for part in text.split(" ") if part.isdecimal()):
        found = {text: match for text, match in found.items() if " " not in text}
    return {text: f"{m[1]}{re.sub(r'[^0-9]', '', m[2])}{m[3]}" if (m := found.get(text)) else text for text in texts}


def _numbers_apart(text: str) -> bool:
    return all(re.fullmatch(r"[+-]?[0-9.,]+", part) for part in text.split())


def _joined(text: str, mark: str) -> str:
    return _RUN.sub(lambda run: _plain(run[0], mark), text)


def _plain(run: str, mark: str) -> str:
    """Return a number without its separators; one with decimals behind them has a point."""
    return run.replace(mark, "").replace(",", ".") if _GROUPS[mark].fullmatch(run) else run


def _are_thousands(mark: str, runs: Collection[str], beside: Iterable[str]) -> bool | None:
    """Say whether a mark stands between thousands, by the other numbers; None if they do not tell.

    Decimals are written with as many digits as they need, or all with the same number: "4,000" beside "750" is neither.
    """
    cells = [run for run in runs if _GROUPS[mark].fullmatch(run)]
    other = "." if mark == "," else ","
    sure = any(cell.count(mark) > 1 or other in cell for cell in cells)
    if any(mark in run for run in runs if run not in cells):
        return None if sure else False
    bare = [Fraction(run) for run in runs if "," not in run and "." not in run]
    padded = any(cell.endswith("0") for cell in cells)
    if mark == ".":
        commas = any("," in run and not _GROUPS[","].fullmatch(run) for run in runs)
        return sure or commas or (padded and max(bare, default=0) >= _LARGE)
    if sure or any("." in run for run in runs):
        return True
    return _by_size(cells, bare, [abs(Fraction(one)) for one in beside], padded=padded)


def _by_size(cells: Collection[str], bare: list[Fraction], beside: list[Fraction], *, padded: bool) -> bool | None:
    values = [Fraction(cell.replace(",", ".")) for cell in cells]
    fit = bool(bare) and min(values) >= min(bare) - 1 and max(values) <= max(bare) + 1
    largest = max([*bare, *beside], default=Fraction(0))
    if largest > _LARGE or (largest == _LARGE and (padded or max(values) > _LARGE)):
        return True
    return False if fit and not padded and largest < _LARGE else None
