"""Ratings as people write them -> plain numbers: "80%", "4/5", "3,5", "−2", "★★★★", "4 stars", "4 - good"."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from rationem.data.dates import is_date
from rationem.data.thousands import without_separators

_DIGITS = r"[+-]?(?:[0-9]{1,9}(?:[.,][0-9]{1,9})?|[.,][0-9]{1,9})"
_PLAIN = re.compile(r"(?=.{1,24}$)[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_PERCENT = re.compile(rf"({_DIGITS})\s*(?:%|percent|per cent)", re.I)
_OUT_OF = re.compile(rf"({_DIGITS})\s*(?:/|out of|of)\s*({_DIGITS})(?:\s*(?:stars?|points?|pts?\.?))?", re.I)
_COMMA = re.compile(r"[+-]?[0-9]{0,9},[0-9]{1,9}")
_FILLED, _EMPTY = "★⭐🌟✭✮✯*", "☆✩"
#: Minus signs of word processors and spreadsheets before a number.
_MINUS = re.compile(r"[−–‒﹣－]\s*((?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:\s*%)?)")
_STARS = re.compile(rf"[{_FILLED}\s]+[{_EMPTY}\s]*")
#: A number first or last, with words beside it: "4 - good", "4 stars", "good: 4", "Agree (4)".
_FIRST = re.compile(rf"[(\[]?({_DIGITS})[)\]]?\s*(?:[-–—:=.)|,]\s*|\s)(\D*)")
_LAST = re.compile(rf"(\D*?)\s*(?:[-–—:=|,(\[]\s*|\s)({_DIGITS})[)\]]?")


@dataclass(frozen=True, slots=True)
class Number:
    """A rating as a number.

    Args:
        value: in plain notation.
        most: the highest number that the notation names ("5" of "4/5"), or "".
        words: what else the cell says.
    """

    value: str
    most: str = ""
    words: str = ""


def plain(text: str) -> bool:
    """Say whether a text is a number in the notation of scales."""
    return _PLAIN.fullmatch(text) is not None


def read(text: str) -> Iterator[tuple[str, Number]]:
    """Yield (name of a notation, the number) for every notation that a text can be; none for a date.

    >>> [(name, one.value, one.most) for name, one in read("4 / 5")]
    [('out of', '4', '5')]
    >>> [(one.value, one.words) for _, one in read("4 - good")], [one.value for _, one in read("★★★☆☆")]
    ([('4', 'good')], ['3'])
    """
    for name, reader in () if is_date(text) else _READERS.items():
        if (found := reader(text.strip())) is not None:
            yield name, found


def numbers(texts: Collection[str], beside: Iterable[str] = ()) -> tuple[dict[str, str], str]:
    """Return text -> number of all texts, and the highest number that they name; ({}, "") if they are not numbers.

    Plain numbers may stand beside one other notation, except percentages. Words beside a number must belong to it:
    either always the same, or one for each number. Separators between thousands are left out, where it is clear that
    they are no decimal marks; ``beside`` are plain numbers that tell it, such as the edges of bins.
    """
    joined = without_separators(texts, beside)
    if joined is None:
        return {}, ""
    found, most = _numbers(list(dict.fromkeys(joined.values())))
    return {text: found[new] for text, new in joined.items() if new in found}, most


def _numbers(texts: Collection[str]) -> tuple[dict[str, str], str]:
    others = [text for text in texts if not plain(text)]
    if not others:
        return {text: text for text in texts}, ""
    for name in _READERS:
        found = {text: dict(read(text)).get(name) for text in others}
        known = {text: one for text, one in found.items() if one is not None}
        most = {one.most for one in known.values()} - {""}
        mixed = name == "percent" and len(others) < len(texts)
        if len(known) == len(others) and len(most) <= 1 and not mixed and _consistent(known):
            return {text: known[text].value if text in known else text for text in texts}, "".join(most)
    return {}, ""


def _consistent(found: Mapping[str, Number]) -> bool:
    """Say whether each number stands with one text, or all with the same."""
    words: dict[str, set[str]] = defaultdict(set)
    for one in found.values():
        words[one.value].add(one.words.casefold())
    singular = {word.rstrip("s") for several in words.values() for word in several}
    return len(singular) == 1 or all(len(several) == 1 for several in words.values())


def _point(text: str) -> str:
    return text.replace(",", ".")


def _percent(text: str) -> Number | None:
    return Number(_point(match[1])) if (match := _PERCENT.fullmatch(text)) else None


def _out_of(text: str) -> Number | None:
    return Number(_point(match[1]), _point(match[2])) if (match := _OUT_OF.fullmatch(text)) else None


def _comma(text: str) -> Number | None:
    return Number(_point(text)) if _COMMA.fullmatch(text) else None


def _stars(text: str) -> Number | None:
    marks = text.replace("\ufe0f", "")
    if not marks or not _STARS.fullmatch(marks):
        return None
    count, empty = (sum(marks.count(mark) for mark in kind) for kind in (_FILLED, _EMPTY))
    return Number(str(count), str(count + empty) if empty else "")


def _minus(text: str) -> Number | None:
    match = _MINUS.fullmatch(text)
    return Number(f"-{_point(match[1].removesuffix('%').strip())}") if match else None


def _worded(text: str) -> Number | None:
    if match := _FIRST.fullmatch(text):
        return Number(_point(match[1]), words=match[2].strip(" -()[]"))
    match = _LAST.fullmatch(text)
    return Number(_point(match[2]), words=match[1].strip(" -()[]")) if match else None


_READERS: dict[str, Callable[[str], Number | None]] = {
    "percent": _percent,
    "out of": _out_of,
    "decimal comma": _comma,
    "minus sign": _minus,
    "stars": _stars,
    "number and words": _worded,
}
