"""Columns that belong together by their names: ``answer_a`` and ``answer_b``, ``Rate [first]`` and ``Rate [second]``.

A family is written as the pattern that ``--unpivot`` takes: ``answer_*``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_BRACKETS = re.compile(r"\[(.+)\]\s*$")
#: Most words that the star stands for, outside brackets.
_MOST = 4
_STAR = "*"

#: Pattern -> what the star stands for -> column.
Families = Mapping[str, Mapping[str, str]]


def families(names: Collection[str], fewest: int = 2) -> Families:
    """Return the families with at least so many columns, those with most columns first, then the longest patterns.

    >>> families(["question", "answer_a", "answer_b"])
    {'answer_*': {'a': 'answer_a', 'b': 'answer_b'}}
    """
    found: dict[str, dict[str, str]] = {}
    for name in names:
        for pattern, key in _patterns(name):
            found.setdefault(pattern, {})[key] = name
    several = [(pattern, columns) for pattern, columns in found.items() if len(columns) >= fewest]
    several.sort(key=lambda one: (-len(one[1]), -len(one[0])))
    return dict(several)


def _patterns(name: str) -> Iterator[tuple[str, str]]:
    """Yield (pattern, what the star stands for): some words, but not all, or the text in brackets at the end."""
    if _STAR in name:
        return
    if match := _BRACKETS.search(name):
        yield f"{name[: match.start(1)]}{_STAR}{name[match.end(1) :]}", match[1]
        return
    words = [match.span() for match in _WORD.finditer(name)]
    for first, (start, _) in enumerate(words):
        for _, end in words[first : first + _MOST]:
            if (start, end) != (words[0][0], words[-1][1]):
                yield f"{name[:start]}{_STAR}{name[end:]}", name[start:end]
