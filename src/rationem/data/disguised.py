"""Numbers in other characters, read as the numbers that they are; and cells that are no single number."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Collection
from fractions import Fraction

_SCIENTIFIC = re.compile(r"[+-]?[0-9](?:\.[0-9]{1,9})?[eE][+-]?[0-9]{1,2}")
#: How spreadsheets mark a number as text: '1, ="1".
_AS_TEXT = re.compile(r"[\'\u2018\u2019`](?=[+-]?[0-9.])(.*)|=\"(.*)\"", re.S)
#: Signs of how an emoji is shown, such as the colour of a skin.
_SHOWN_AS = re.compile("[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]")
_LARGEST = 10**6
_RANGE = re.compile(r"[+-]?[0-9.]+\s*(?:[-–—~]|\.\.|to|bis|à)\s*[+-]?[0-9.]+")
_SEVERAL = re.compile(r"[0-9.]+(?:\s*[,;|/&+]\s*[0-9.]+|\s+[0-9.]+)+")
_KINDS = ((_RANGE, "a range"), (_SEVERAL, "several numbers"))
_SHOWN = 6


def undisguised(text: str) -> str:
    """Return a text with its digits as usual, without signs of spreadsheets and of how an emoji is shown.

    >>> [undisguised(one) for one in ("４", "3\ufe0f\u20e3", "'1", '="1"', "1E+00", "👍🏽", "good")]
    ['4', '3', '1', '1', '1', '👍', 'good']
    """
    bare = _SHOWN_AS.sub("", text).replace("🔟", "10")
    if match := _AS_TEXT.fullmatch(bare):
        bare = (match[1] or match[2] or "").strip()
    usual = unicodedata.normalize("NFKC", bare).strip()
    if any(character.isdecimal() for character in usual) and not any(map(str.isalpha, bare)):
        bare = usual
    return _whole(bare) if _SCIENTIFIC.fullmatch(bare) else bare or text


def _whole(text: str) -> str:
    number = Fraction(text)
    return str(number) if number.denominator == 1 and abs(number) <= _LARGEST else text


def doubtful(text: str) -> bool:
    """Say whether a cell has a number and no word, but is no single number: "3-4", "3, 4", "1?", "40%".

    >>> [doubtful(text) for text in ("3-4", "3, 4", "1?", "40%", "4", "-1.5", "A1", "😀")]
    [True, True, True, True, False, False, False, False]
    """
    digits = any(character.isdecimal() for character in text)
    return digits and not any(map(str.isalpha, text)) and re.fullmatch(r"[+-]?[0-9]*\.?[0-9]*", text) is None


def on_doubtful(texts: Collection[str]) -> str:
    """Return sentences that ask for the levels of cells that are no single numbers; "" if there are none.

    >>> on_doubtful(["1", "3-4"])
    "No single number: '3-4' (a range). Say which level each is: `--map 3-4=LEVEL`, or correct them. "
    """
    found = [text for text in texts if doubtful(text)]
    if not found:
        return ""
    shown = ", ".join(f"{text!r}{_kind(text)}" for text in found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
    maps = " ".join(shlex.quote(f"{text}={_guess(text)}") for text in found[:_SHOWN])
    return f"No single number: {shown}. Say which level each is: `--map {maps}`, or correct them. "


def _kind(text: str) -> str:
    if "%" in text:
        return " (a percentage)"
    return next((f" ({kind})" for pattern, kind in _KINDS if pattern.fullmatch(text)), "")


def _guess(text: str) -> str:
    """Return the only number of a text; else a word that stands for a level."""
    numbers = re.findall(r"[0-9]+(?:\.[0-9]+)?", text)
    return numbers[0] if len(numbers) == 1 else "LEVEL"
