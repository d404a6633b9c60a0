"""A rating scale owns its levels: the sentence in the prompt, the parser's vocabulary, the metrics' ranks and values.

Integers from any a to b ("1-5", "-3..3"), steps ("1-5 by 0.5"), named levels from worst to best ("Bad < Fair < Good"),
"yes/no", and levels without an order ("A | B | tie").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from rationem.errors import ConfigError, closest
from rationem.parse import parse_verdict
from rationem.types import Parsed

#: Opens the verdict line. One rare marker for every task that rates.
MARKER = "Final rating:"

#: How several raters' levels become one label.
POOLS = ("mean", "median", "majority")

_NUMBER = r"-?(?:\d+(?:\.\d+)?|\.\d+)"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*(?:[-–—]|\.\.|to)\s*({_NUMBER})(?:\s+(?:by|step)\s+({_NUMBER}))?\s*")
# Short, and with a small exponent: an exact number of "1e999999999" would take for ever.
_PLAIN = re.compile(r"(?=.{1,40}$)[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?")
_MAX_LEVELS = 101


@dataclass(frozen=True, slots=True)
class Scale:
    """Levels, worst first; or without an order.

    Args:
        levels: as the prompt shows them and the verdict line says them.
        meanings: one description per level, "" for none; or empty.
        ordered: False for levels that cannot be compared ("A | B | tie"): then no metric uses ranks or distances.

    >>> Scale.parse("1-5").levels
    ('1', '2', '3', '4', '5')
    >>> Scale.parse("1-2 by 0.5").levels
    ('1', '1.5', '2')
    >>> Scale.parse("Bad < Fair < Good").sentence()
    'Bad < Fair < Good'
    >>> Scale.parse("A | B | tie").ordered
    False
    """

    levels: tuple[str, ...]
    meanings: tuple[str, ...] = ()
    ordered: bool = True

    def __post_init__(self) -> None:
        if len(self.levels) < 2:
            raise ConfigError(f"A scale needs at least two levels; found {list(self.levels)}.")
        folded = [level.casefold() for level in self.levels]
        if len(set(folded)) != len(folded):
            raise ConfigError(f"The levels of a scale must differ, case aside; found {list(self.levels)}.")
        for level in self.levels:
            found = parse_verdict(f"{MARKER} {level}", MARKER, self.levels).answer
            if found != level or level != level.strip():
                raise ConfigError(
                    f"The level {level!r} cannot be read back from a verdict line. Use levels without line breaks, "
                    "surrounding blanks or *_` ornaments."
                )
        if len(self.meanings) not in (0, len(self.levels)):
            raise ConfigError(f"{len(self.meanings)} descriptions do not fit {len(self.levels)} levels.")

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Read ``"1-5"``, ``"-3..3"``, ``"1-5 by 0.5"``, ``"Bad < Fair < Good"``, ``"yes/no"`` or ``"A | B | tie"``.

        Raises:
            ConfigError: the text is none of these, or has fewer than two or more than 101 levels.
        """
        if text.strip().casefold() == "yes/no":
            return cls(("no", "yes"))
        match = _RANGE.fullmatch(text)
        if match:
            return cls(_steps(text, Fraction(match[1]), Fraction(match[2]), Fraction(match[3] or 1)))
        ordered = "|" not in text
        levels = tuple(part.strip() for part in text.split("<" if ordered else "|"))
        if len(levels) < 2 or not all(levels):
            raise ConfigError(
                f"Cannot read the scale {text!r}. Write a range such as '1-5' or '1-5 by 0.5', the levels from worst "
                "to best such as 'Bad < Fair < Good', or levels without an order such as 'A | B | tie'."
            )
        return cls(levels, ordered=ordered)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Scale:
        """Return the scale that ``describe`` described."""
        return cls(tuple(description["levels"]), tuple(description["meanings"]), description["ordered"])

    def describe(self) -> dict[str, Any]:
        """Return the scale as JSON."""
        return {"levels": list(self.levels), "meanings": list(self.meanings), "ordered": self.ordered}

    def with_meanings(self, meanings: Mapping[str, str]) -> Scale:
        """Return the scale with descriptions of its levels.

        Raises:
            ConfigError: a described level is not on the scale.
        """
        described: dict[str, str] = {}
        for key, meaning in meanings.items():
            level = self.level(key)
            if level is None:
                raise ConfigError(f"The description of a level is for none of the scale: {self.unknown(key)}")
            described[level] = " ".join(str(meaning).split())
        texts = tuple(described.get(level, "") for level in self.levels)
        return replace(self, meanings=texts if any(texts) else ())

    def sentence(self) -> str:
        """Return the levels as the prompt shows them, worst first."""
        return (" < " if self.ordered else " | ").join(self.levels)

    def described(self) -> str:
        """Return one line ``level: meaning`` per described level, or an empty string."""
        pairs = zip(self.levels, self.meanings, strict=True) if self.meanings else ()
        return "\n".join(f"{level}: {meaning}" for level, meaning in pairs if meaning)

    def continuations(self) -> tuple[str, ...]:
        """Return what may follow the marker, one text per level; scored with the end-of-turn token behind it."""
        return tuple(f" {level}" for level in self.levels)

    def verdict(self, level: str) -> str:
        """Return the verdict line for a level."""
        return f"{MARKER} {level}"

    def read(self, text: str) -> Parsed:
        """Split a completion into rationale and level; see :func:`rationem.parse.parse_verdict`."""
        return parse_verdict(text, MARKER, self.levels)

    def rank(self, level: str) -> int:
        """Return the position of a level, 0 for the worst."""
        return self.levels.index(level)

    @property
    def values(self) -> tuple[float, ...]:
        """The levels as numbers, rising: their own where all are numbers in order, else 1, 2, 3, ..."""
        return tuple(map(float, _exact(self.levels)))

    def level(self, value: object) -> str | None:
        """Return the level that a cell of the user's file means, or None: ``4``, ``"4"`` and ``4.0`` are "4".

        JSON's true and false are "yes" and "no" where the scale has those.
        """
        if isinstance(value, bool) and set(self.levels) == {"no", "yes"}:
            return "yes" if value else "no"
        text = str(value).strip()
        if text in self.levels:
            return text
        if _PLAIN.fullmatch(text):
            number = Fraction(text)
            same = [level for level in self.levels if _PLAIN.fullmatch(level) and Fraction(level) == number]
        else:
            same = [level for level in self.levels if level.casefold() == text.casefold()]
        return same[0] if len(same) == 1 else None

    def mean(self, levels: Sequence[str]) -> str:
        """Return the level nearest to the mean of several, the higher of two that are as near (rounded half up).

        >>> Scale.parse("1-5").mean(["2", "3"])
        '3'
        """
        return self._nearest(self._mean(levels))

    def mean_value(self, levels: Sequence[str]) -> float:
        """Return the mean of several levels as a number, not rounded.

        >>> Scale.parse("Bad < Fair < Good").mean_value(["Bad", "Fair"])
        1.5
        """
        return float(self._mean(levels))

    def median(self, levels: Sequence[str]) -> str:
        """Return the median level; between two middle ones the level nearest to their mean, rounded half up."""
        ordered = sorted(levels, key=self.rank)
        return self.mean([ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]])

    def majority(self, levels: Sequence[str]) -> str | None:
        """Return the most frequent level; of several the one nearest to the mean, lower first; None without an order.

        >>> Scale.parse("A | B | tie").majority(["A", "B"]) is None
        True
        """
        counts = Counter(levels)
        most = [level for level in self.levels if counts[level] == max(counts.values())]
        if len(most) == 1:
            return most[0]
        if not self.ordered:
            return None
        mean, numbers = self._mean(levels), dict(zip(self.levels, _exact(self.levels), strict=True))
        return min(most, key=lambda level: abs(numbers[level] - mean))

    def pool(self, levels: Sequence[str], how: str) -> str | None:
        """Return one label of several raters: "mean", "median" or "majority"; without an order always the majority."""
        if not self.ordered or how == "majority":
            return self.majority(levels)
        return self.median(levels) if how == "median" else self.mean(levels)

    def closeness(self, one: str, other: str) -> float:
        """Return 1 - |difference| / range, in [0, 1].

        >>> Scale.parse("1-5").closeness("2", "3")
        0.75
        """
        numbers = _exact(self.levels)
        distance = abs(numbers[self.rank(one)] - numbers[self.rank(other)])
        return float(1 - distance / (numbers[-1] - numbers[0]))

    def unknown(self, value: object) -> str:
        """Return the sentence that says why a value is not a level."""
        return f"{value!r} is not a level of the scale {self.sentence()!r}.{closest(str(value), self.levels)}"

    def _mean(self, levels: Sequence[str]) -> Fraction:
        numbers = _exact(self.levels)
        return sum((numbers[self.rank(level)] for level in levels), Fraction(0)) / len(levels)

    def _nearest(self, value: Fraction) -> str:
        distances = [abs(number - value) for number in _exact(self.levels)]
        rank = max(rank for rank, distance in enumerate(distances) if distance == min(distances))
        return self.levels[rank]


def _steps(text: str, low: Fraction, high: Fraction, step: Fraction) -> tuple[str, ...]:
    if step <= 0 or not low < high < low + _MAX_LEVELS * step:
        raise ConfigError(f"The scale {text!r} must rise, and by at most 100 steps.")
    count, rest = divmod(high - low, step)
    if rest:
        raise ConfigError(
            f"The scale {text!r}: steps of {float(step):g} from {float(low):g} do not lead to {float(high):g}."
        )
    return tuple(f"{float(low + n * step):g}" for n in range(int(count) + 1))


def _exact(levels: tuple[str, ...]) -> tuple[Fraction, ...]:
    """Return the levels as exact numbers, so that no rounding decides between two levels."""
    if all(_PLAIN.fullmatch(level) for level in levels):
        numbers = tuple(map(Fraction, levels))
        if list(numbers) == sorted(set(numbers)):
            return numbers
    return tuple(Fraction(n) for n in range(1, len(levels) + 1))
