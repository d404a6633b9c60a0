"""A rating scale owns its levels: the sentence in the prompt, the parser's vocabulary, the metrics' ranks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rationem.errors import ConfigError, closest
from rationem.parse import parse_verdict
from rationem.types import Parsed

#: Opens the verdict line. One rare marker for every task that rates.
MARKER = "Final rating:"

_RANGE = re.compile(r"\s*(-?\d+)\s*(?:-|\.\.|to)\s*(-?\d+)\s*")
_MAX_LEVELS = 101


@dataclass(frozen=True, slots=True)
class Scale:
    """Ordered levels, worst first.

    >>> Scale.parse("1-5").levels
    ('1', '2', '3', '4', '5')
    >>> Scale.parse("Bad < Fair < Good").sentence()
    'Bad < Fair < Good'
    """

    levels: tuple[str, ...]

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

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Read ``"1-5"``, ``"-3..3"`` (integers) or ``"Bad < Fair < Good"`` (named levels, worst first).

        Raises:
            ConfigError: the text is neither, or has fewer than two or more than 101 levels.
        """
        match = _RANGE.fullmatch(text)
        if match:
            low, high = int(match[1]), int(match[2])
            if not low < high < low + _MAX_LEVELS:
                raise ConfigError(f"The scale {text!r} must rise, and by at most 100 steps.")
            return cls(tuple(str(level) for level in range(low, high + 1)))
        levels = tuple(part.strip() for part in text.split("<"))
        if len(levels) < 2 or not all(levels):
            raise ConfigError(
                f"Cannot read the scale {text!r}. Write a range such as '1-5', or the levels from worst to best "
                "such as 'Bad < Fair < Good'."
            )
        return cls(levels)

    def sentence(self) -> str:
        """Return the levels as the prompt shows them, worst first."""
        return " < ".join(self.levels)

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

    def level(self, value: object) -> str | None:
        """Return the level that a cell of the user's file means, or None: ``4``, ``"4"`` and ``4.0`` are "4"."""
        text = str(value).strip()
        if text in self.levels:
            return text
        try:
            number = float(text.replace("_", "x"))  # Python reads 1_0 as 10; nobody else does
        except ValueError:
            same = [level for level in self.levels if level.casefold() == text.casefold()]
            return same[0] if same else None
        return str(int(number)) if number.is_integer() and str(int(number)) in self.levels else None

    def mean(self, levels: Sequence[str]) -> str:
        """Return the mean of several ratings, by rank, rounded half up.

        >>> Scale.parse("1-5").mean(["2", "3"])
        '3'
        """
        ranks = [self.rank(level) for level in levels]
        return self.levels[(2 * sum(ranks) + len(ranks)) // (2 * len(ranks))]

    def unknown(self, value: object) -> str:
        """Return the sentence that says why a value is not a level."""
        return f"{value!r} is not a level of the scale {self.sentence()!r}.{closest(str(value), self.levels)}"
