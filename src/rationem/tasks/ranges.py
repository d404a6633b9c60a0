"""Levels that are numbers: ranges as people write them, and exact values, so that rounding never decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from rationem.errors import ConfigError

_NUMBER = r"-?(?:\d+(?:\.\d+)?|\.\d+)"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*(?:[-–—]|\.\.|to)\s*({_NUMBER})(?:\s+(?:by|step)\s+({_NUMBER}))?\s*")
# Short, and with a small exponent: the exact number of "1e999999999" would take forever to compute.
_PLAIN = re.compile(r"(?=.{1,40}$)[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?")
_MAX_LEVELS = 101
_DIGITS = 40


def range_of(text: str) -> tuple[str, ...] | None:
    """Return the levels of ``"1-5"`` or ``"1-5 by 0.5"``; None if the text is no range.

    Raises:
        ConfigError: it does not rise, has too many levels, or its steps do not lead to its end.

    >>> range_of("0..1 by 0.5"), range_of("A < B")
    (('0', '0.5', '1'), None)
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    if max(len(number or "") for number in match.groups()) > _DIGITS:
        raise ConfigError(f"The scale {text[:_DIGITS]!r}...: a number on a scale has at most {_DIGITS} digits.")
    return _steps(text, Fraction(match[1]), Fraction(match[2]), Fraction(match[3] or 1))


def exact(levels: tuple[str, ...]) -> tuple[Fraction, ...]:
    """Return the positions of the levels: their numbers, negated if descending; else 1, 2, 3, ..."""
    if are_numbers(levels):
        written = list(map(Fraction, levels))
        for numbers in (written, [-number for number in written]):
            if numbers == sorted(set(numbers)):
                return tuple(numbers)
    return tuple(Fraction(n) for n in range(1, len(levels) + 1))


def are_numbers(levels: Sequence[str]) -> bool:
    """Return whether all levels are numbers in decimal notation."""
    return all(_PLAIN.fullmatch(level) for level in levels)


def _steps(text: str, low: Fraction, high: Fraction, step: Fraction) -> tuple[str, ...]:
    if step <= 0 or not low < high < low + _MAX_LEVELS * step:
        raise ConfigError(f"The scale {text!r} must rise, and by at most 100 steps.")
    count, rest = divmod(high - low, step)
    if rest:
        raise ConfigError(
            f"The scale {text!r}: steps of {float(step):g} from {float(low):g} do not lead to {float(high):g}."
        )
    return tuple(f"{float(low + n * step):g}" for n in range(int(count) + 1))
