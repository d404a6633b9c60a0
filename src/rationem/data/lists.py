"""One rating cell with several ratings -> the list of them: JSON, Python, or parted by a mark.

A list is never a level. A list of objects, or an object, is an error that names its keys: the user says which of them
is the rating.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from rationem.data.nested import structure
from rationem.data.thousands import grouped
from rationem.errors import DataError
from rationem.tasks.scale import Scale

#: Marks between ratings, the clearest first.
_MARKS = (";", "|", ",", " ")
_OPEN = {"[": "]", "(": ")", "{": "}"}
_LONGEST = 20_000
_NUMBER = re.compile(r"[+-]?[0-9]{1,6}(\.[0-9]{1,6})?")
#: What follows the comma of a decimal number more often than of two ratings.
_DECIMALS = re.compile(r"5|0|00|50|25|75|33|67|[0-9]{2,}")
#: Smallest share of the cells that a mark divides.
_MOST = 0.5
#: Different lists of one sum that are no chance.
_ENOUGH = 5
_MOST_WORDS, _LONGEST_WORD = 12, 30


def opened(cell: object, source: str, column: str) -> object:
    """Return the list that a cell holds or spells; any other cell unchanged.

    Raises:
        DataError: it is an object, or a list of objects or of lists; the message names the keys.

    >>> opened("['no', 'yes']", "", ""), opened("[1, 0]", "", ""), opened("[1 0 2]", "", ""), opened("(sic)", "", "")
    (['no', 'yes'], [1, 0], ['1', '0', '2'], '(sic)')
    """
    value = _spelled(cell) if isinstance(cell, str) else cell
    if isinstance(value, Mapping):
        raise DataError(
            f"{source}: column {column!r} holds an object with the keys {_keys([value])}, not a rating. Name the key "
            f"of the rating: `--rating-col {column}.KEY`."
        )
    if not isinstance(value, list | tuple):
        return cell
    inner = [one for one in value if isinstance(one, Mapping | list | tuple)]
    if objects := [one for one in inner if isinstance(one, Mapping)]:
        raise DataError(
            f"{source}: column {column!r} holds a list of objects with the keys {_keys(objects)}, not of ratings. Name "
            f"the key of the rating: `--rating-col '{column}[].KEY'`."
        )
    if inner:
        raise DataError(
            f"{source}: column {column!r} holds a list of lists, not of ratings. Name the place of the ratings: "
            f"`--rating-col '{column}[0]'`."
        )
    return list(value)


def refuse_shares(cells: Sequence[object], source: str, column: str) -> None:
    """Raise a DataError if lists are shares or counts of levels: as long as each other, and with one sum.

    Args:
        cells: of a column; those that are no lists are left out.
        source: the first row, for the message.
        column: its name.
    """
    numbers = [tuple(map(_number, cell)) for cell in cells if isinstance(cell, list)]
    if len({*numbers}) < _ENOUGH or any(None in one for one in numbers) or len({*map(len, numbers)}) > 1:
        return
    sums = {round(sum(filter(None, one)), 3) for one in numbers}
    if len(sums) == 1 and len(numbers[0]) > 1:
        count = len(numbers[0])
        raise DataError(
            f"{source}: column {column!r} holds lists of {count} numbers whose sum is {sums.pop():g} in every row. "
            f"These look like shares or counts of {count} levels and not like ratings of {count} people. Write the "
            "level that most chose in a column of its own, or the rating of each person."
        )


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def mark_of(texts: Counter[str], scale: Scale | None) -> str | None:
    """Return the mark that divides the cells of a column into ratings; None if they hold one rating each.

    Args:
        texts: the cells, without empty ones.
        scale: the levels; None if not known yet. A cell that is a level is not divided.

    >>> mark_of(Counter(["3,3,4", "2,3,1"]), None), mark_of(Counter(["3,5", "4,5", "4"]), None)
    (',', None)
    """
    return next((mark for mark in _MARKS if _divides(mark, texts, scale)), None)


def divided(text: str, mark: str) -> list[str]:
    """Return the ratings of a cell, without blanks around them."""
    parts = text.split() if mark == " " else text.split(mark)
    return [part.strip() for part in parts]


def either(texts: Counter[str]) -> bool:
    """Say whether cells such as "3,4" can be two ratings, or one number with a decimal comma."""
    held = [text for text in texts if "," in text]
    pairs = [divided(text, ",") for text in held]
    two = bool(held) and all(len(pair) == 2 and all(map(str.isdecimal, pair)) for pair in pairs)
    return two and not _are_decimals(pairs)


def _divides(mark: str, texts: Counter[str], scale: Scale | None) -> bool:
    cells = [text for text in texts if mark in text and (scale is None or scale.level(text) is None)]
    if not cells or sum(texts[text] for text in cells) < _MOST * texts.total():
        return False
    if scale is None and all(map(grouped, cells)):
        return False
    parts = [divided(text, mark) for text in cells]
    if not all(all(one) for one in parts) or (mark == "," and _are_decimals(parts)):
        return False
    if scale is not None:
        return all(scale.level(part) is not None for one in parts for part in one)
    if all(_NUMBER.fullmatch(part) for one in parts for part in one):
        return not (mark == "," and either(texts))
    return mark != " " and _are_votes(parts)


def _are_decimals(parts: Sequence[Sequence[str]]) -> bool:
    """Say whether all cells are numbers with a decimal comma, by what follows it."""
    return all(len(one) == 2 and one[0].lstrip("+-").isdecimal() and _DECIMALS.fullmatch(one[1]) for one in parts)


def _are_votes(parts: Sequence[Sequence[str]]) -> bool:
    """Say whether words are several people's answers: few different ones, and often the same one twice in a cell."""
    words = {part.casefold() for one in parts for part in one}
    several = sum(len({part.casefold() for part in one}) < len(one) for one in parts)
    return len(words) <= _MOST_WORDS and max(map(len, words)) <= _LONGEST_WORD and 10 * several >= len(parts)


def _spelled(text: str) -> object:
    """Return the value that a text spells as JSON or Python, or its blank-parted numbers; else the text."""
    inner = text.strip()
    if not inner or len(inner) > _LONGEST:
        return text
    if (found := structure(inner)) is not inner:
        return found
    if _OPEN.get(inner[0]) != inner[-1]:
        return text
    if inner[0] == "(":
        try:
            return ast.literal_eval(inner)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return text
    numbers = [one.removesuffix(".") for one in inner[1:-1].split()]
    return numbers if inner[0] == "[" and numbers and all(map(_NUMBER.fullmatch, numbers)) else text


def _keys(objects: Sequence[Mapping[object, object]]) -> list[str]:
    return list(dict.fromkeys(str(key) for one in objects for key in one))
