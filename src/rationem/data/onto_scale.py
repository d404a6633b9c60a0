"""Numbers as people write them -> levels of a known scale."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from rationem.data.notations import plain, read
from rationem.data.thousands import readings
from rationem.tasks.scale import Scale


def nearest(text: str, scale: Scale) -> str:
    """Return the level nearest to a number, of two the later; the number itself if it lies outside the scale.

    >>> nearest("3.5", Scale.parse("1-5")), nearest("7", Scale.parse("1-5"))
    ('4', '7')
    """
    levels = [level for level in scale.levels if plain(level)]
    if len(levels) < len(scale.levels) or scale.level(text) is not None:
        return text
    value, ends = Fraction(text), sorted(map(Fraction, (levels[0], levels[-1])))
    if not ends[0] <= value <= ends[1]:
        return text
    return min(reversed(levels), key=lambda level: abs(Fraction(level) - value))


def numbers_of(text: str, scale: Scale) -> Iterator[str]:
    """Yield the numbers that a text can mean on a scale: one "out of" another only if that is the highest level."""
    tops = {scale.levels[0], scale.levels[-1]}
    for written in (text, *readings(text)):
        yield from (written,) if written != text and plain(written) else ()
        for _, one in read(written):
            if not one.most or scale.level(one.most) in tops:
                yield one.value


def one_within(text: str, scale: Scale) -> str:
    """Return the number that a text means on a scale that it lies within; the text, if it can be two of them."""
    found = list(dict.fromkeys(numbers_of(text, scale)))
    within = [number for number in found if scale.level(nearest(number, scale)) is not None]
    return within[0] if len(within) == 1 else text if within else next(iter(found), text)
