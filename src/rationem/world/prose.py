"""Filler: English words in random order, with the punctuation, numbers and odd bytes of real files."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rationem.world.questions import words

_STOPS = (".", ".", ".", ".", "?", "!", ":", ".\n", ".\n\n", "\n", "\n- ", ";")
_ODD = (
    "“",
    "”",
    "’",
    "–",
    "é",
    "£",
    "€",
    "•",
    "…",
    "ü",
    "中",
    "文",
    "🙂",
    "\t",
    "(",
    ")",
    "/",
    "@",
    "#",
    "%",
    "*",
    "[",
)


def prose(rng: np.random.Generator, count: int) -> str:
    """Draw ``count`` words by Zipf's law, with punctuation, numbers, line breaks and sometimes odd bytes."""
    vocabulary = words()
    ranks = np.searchsorted(_zipf(len(vocabulary)), rng.random(count))
    chances, parts, fresh = rng.random(count), [], True
    for rank, chance in zip(ranks, chances, strict=True):
        word = _vary(rng, vocabulary[rank], float(chance))
        parts.append((word[:1].upper() + word[1:]) if fresh else word)
        fresh = chance > 0.91
        if fresh:
            parts[-1] += _STOPS[int(rng.integers(0, len(_STOPS)))]
        elif chance > 0.87:
            parts[-1] += ","
    return " ".join(parts).replace("\n ", "\n").strip() or "none"


def _vary(rng: np.random.Generator, word: str, chance: float) -> str:
    if chance < 0.02:
        return str(int(rng.integers(0, 10 ** int(rng.integers(1, 5)))))
    if chance < 0.03:
        return _ODD[int(rng.integers(0, len(_ODD)))]
    if chance < 0.05:
        return "".join(chr(97 + int(code)) for code in rng.integers(0, 26, int(rng.integers(2, 9))))
    if chance < 0.09:
        return word.capitalize()
    if chance < 0.12:
        return word + ("ing", "ed", "s", "ly", "er", "ation", "ment", "'s")[int(rng.integers(0, 8))]
    return word


@lru_cache(maxsize=1)
def _zipf(count: int) -> NDArray[np.float64]:
    mass: NDArray[np.float64] = np.cumsum(1.0 / (np.arange(count) + 5.0))
    mass /= mass[-1]
    return mass
