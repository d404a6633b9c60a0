"""A rating scale owns its levels: the sentence in the prompt, the parser's vocabulary, the metrics' ranks and values.

Integers from any a to b ("1-5", "-3..3"), steps ("1-5 by 0.5"), named levels from worst to best ("Bad < Fair < Good"),
"yes/no", and levels without an order ("A | B | tie"). Several criteria can each have their own:
"helpfulness: 1-5; safety: unsafe < safe".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from rationem.errors import ConfigError, closest
from rationem.tasks.parse import parse_verdict
from rationem.tasks.ranges import are_numbers, exact, range_of
from rationem.types import Parsed

#: Opens the verdict line: one rare marker for every rating task.
MARKER = "Final rating:"
#: Opens the line of an answer: a letter of multiple choice, or an open answer.
ANSWER = "Answer:"

#: The ways in which several raters' levels become one label.
POOLS = ("mean", "median", "majority")

_TWO = 2


@dataclass(frozen=True, slots=True)
class Scale:
    """Levels, worst first; or unordered.

    Args:
        levels: as shown in the prompt and stated in the verdict line; none if any text may be an answer.
        meanings: one description per level, "" for none; or empty.
        ordered: False for levels that cannot be compared ("A | B | tie"); no metric then uses ranks or distances.
        two_sided: True for a graded pair: level r of L is level L - 1 - r when the two responses change places.
        parts: (criterion, its own scale), if criteria have different ones. The levels are then those of all, without an
            order, because levels of different criteria cannot be compared: ranks and distances are those of :meth:`of`.

    The label pooled from several raters does not depend on the names of the levels: if these are renamed or mirrored,
    the labels are renamed or mirrored too. On an ordered scale of three levels or more, a mean half-way between two
    levels becomes the better one, the later in the order (so a scale written in the opposite direction rounds in the
    opposite direction). On a two-sided scale it becomes the one nearer to the middle. On two levels, and without an
    order, a tie has no label (:attr:`always_pools`).

    >>> Scale.parse("1-5").levels
    ('1', '2', '3', '4', '5')
    >>> Scale.parse("1-2 by 0.5").levels
    ('1', '1.5', '2')
    >>> Scale.parse("Bad < Fair < Good").sentence()
    'Bad < Fair < Good'
    >>> Scale.parse("A | B | tie").ordered
    False
    >>> Scale.parse("help: 1-3; safe: no < yes").levels
    ('1', '2', '3', 'no', 'yes')
    """

    levels: tuple[str, ...]
    meanings: tuple[str, ...] = ()
    ordered: bool = True
    two_sided: bool = False
    parts: tuple[tuple[str, Scale], ...] = ()

    def __post_init__(self) -> None:
        if not self.levels:
            if self.ordered or self.meanings:
                raise ConfigError("Where any text may be an answer, levels have neither an order nor meanings.")
            return
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

    @property
    def measured(self) -> str:
        """What metrics are computed from: "levels", or "texts" without levels (:data:`OPEN`): a key for tables."""
        return "levels" if self.levels else "texts"

    @property
    def offers(self) -> frozenset[str]:
        """The properties of these answers that metrics can require: see ``MetricRow.needs``."""
        found = {"levels": {"nothing", "levels", "pairs"}, "texts": {"nothing", "open answers"}}[self.measured]
        return frozenset(found | ({"order"} if self.ordered else set()))

    @property
    def uniform(self) -> float | None:
        """-log L, the log-likelihood of a uniform prediction, nats; None without levels."""
        return -math.log(len(self.levels)) if self.levels else None

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Read ``"1-5"``, ``"-3..3"``, ``"1-5 by 0.5"``, ``"Bad < Fair < Good"``, ``"yes/no"`` or ``"A | B | tie"``; or
        one for each criterion, ``"helpfulness: 1-5; safety: unsafe < safe"``.

        Raises:
            ConfigError: the text is none of these, or has fewer than two or more than 101 levels.
        """
        pieces = [piece for piece in text.split(";") if piece.strip()]
        if len(pieces) > 1 and all(":" in piece for piece in pieces):
            named = [piece.partition(":") for piece in pieces]
            return cls.joint([(name.strip(), cls.parse(own)) for name, _, own in named])
        if text.strip().casefold() == "yes/no":
            return cls(("no", "yes"))
        if (numbers := range_of(text)) is not None:
            return cls(numbers)
        ordered = "|" not in text
        levels = tuple(part.strip() for part in text.split("<" if ordered else "|"))
        if len(levels) < 2 or not all(levels):
            raise ConfigError(
                f"Cannot read the scale {text!r}. Write a range such as '1-5' or '1-5 by 0.5', the levels from worst "
                "to best such as 'Bad < Fair < Good', or levels without an order such as 'A | B | tie'. Several "
                "criteria with their own scales: 'helpfulness: 1-5; safety: unsafe < safe'."
            )
        return cls(levels, ordered=ordered)

    @classmethod
    def joint(cls, parts: Sequence[tuple[str, Scale]]) -> Scale:
        """Return the scale of several criteria; one shared scale if all have the same.

        Raises:
            ConfigError: a criterion is named twice or has no name, or two write one level differently.
        """
        names = [name for name, _ in parts]
        if len(set(names)) < len(names) or not all(names):
            raise ConfigError(f"Every criterion of a scale needs a name of its own; found {names}.")
        if len({scale for _, scale in parts}) == 1:
            return parts[0][1]
        levels = dict.fromkeys(level for _, scale in parts for level in scale.levels)
        return cls(tuple(levels), ordered=False, parts=tuple(parts))

    def of(self, criterion: str) -> Scale:
        """Return a criterion's own scale; this one, if all criteria share it."""
        return next((scale for name, scale in self.parts if name == criterion), self)

    def narrowed(self, criteria: Sequence[str]) -> Scale:
        """Return the scale of these criteria only, in their order.

        Raises:
            ConfigError: it has scales of its own for others, and none for one of these.
        """
        if not self.parts:
            return self
        known = dict(self.parts)
        for name in criteria:
            if name not in known:
                found = f"none for {name!r}" if name else "the ratings have no criterion (--criterion, --criterion-col)"
                raise ConfigError(f"The scale is given for {list(known)}: {found}.{closest(name, known)}")
        return self.joint([(name, known[name]) for name in criteria])

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Scale:
        """Return the scale that ``describe`` described."""
        levels, meanings = tuple(description["levels"]), tuple(description["meanings"])
        parts = tuple((name, cls.from_description(own)) for name, own in description.get("parts", {}).items())
        return cls(levels, meanings, description["ordered"], description.get("two_sided", False), parts)

    def describe(self) -> dict[str, Any]:
        """Return the scale as JSON."""
        described = {"levels": list(self.levels), "meanings": list(self.meanings), "ordered": self.ordered}
        described |= {"two_sided": True} if self.two_sided else {}
        return described | ({"parts": {name: own.describe() for name, own in self.parts}} if self.parts else {})

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
        """Return the levels as the prompt shows them, worst first; of several criteria as :meth:`parse` reads them."""
        if self.parts:
            return "; ".join(f"{name}: {own.sentence()}" for name, own in self.parts)
        return (" < " if self.ordered else " | ").join(self.levels)

    @property
    def order(self) -> str:
        """The order of the levels in words."""
        if self.parts:
            return "of each criterion's own scale"
        if not self.ordered:
            return "without an order"
        return "from the first response to the second" if self.two_sided else "from worst to best"

    def described(self) -> str:
        """Return one line ``level: meaning`` per described level, or an empty string."""
        pairs = zip(self.levels, self.meanings, strict=True) if self.meanings else ()
        return "\n".join(f"{level}: {meaning}" for level, meaning in pairs if meaning)

    def continuations(self) -> tuple[str, ...]:
        """Return what may follow the marker, one text per level; scored together with the end-of-turn token."""
        return tuple(f" {level}" for level in self.levels)

    def read(self, text: str, marker: str = MARKER) -> Parsed:
        """Split a completion into rationale and level; see :func:`rationem.tasks.parse.parse_verdict`."""
        return parse_verdict(text, marker, self.levels)

    def rank(self, level: str) -> int:
        """Return the position of a level, 0 for the worst."""
        return self.levels.index(level)

    @property
    def values(self) -> tuple[float, ...]:
        """The positions of the levels, ascending, for distances: their numbers, negated if descending; else 1, 2, 3,
        ...

        >>> Scale.parse("1 < 2 < 4").values, Scale.parse("4 < 2 < 1").values, Scale.parse("Bad < Good").values
        ((1.0, 2.0, 4.0), (-4.0, -2.0, -1.0), (1.0, 2.0))
        """
        return tuple(map(float, exact(self.levels)))

    @property
    def always_pools(self) -> bool:
        """Whether any set of ratings has a label; if False, a tie has none and is counted."""
        return not self.levels or (self.ordered and not self.two_sided and len(self.levels) > _TWO)

    def expected(self, probabilities_L: Sequence[float]) -> float | None:
        """Return the mean rating, sum_l p_l n_l; None without an order.

        n_l is the level as written if all levels are numbers, ascending or not; otherwise 1, 2, 3, ...

        >>> Scale.parse("5 < 4 < 3 < 2 < 1").expected((0, 0, 0, 1, 0)), Scale.parse("1-3").expected((0.5, 0, 0.5))
        (2.0, 2.0)
        """
        if not self.ordered:
            return None
        own = tuple(map(float, self.levels)) if are_numbers(self.levels) else self.values
        return math.fsum(p * n for p, n in zip(probabilities_L, own, strict=True))

    def level(self, value: object) -> str | None:
        """Return the level that a cell of the user's file means, or None: ``4``, ``"4"`` and ``4.0`` are "4".

        JSON's true and false are "yes" and "no" if the scale has those.
        """
        if isinstance(value, bool) and set(self.levels) == {"no", "yes"}:
            return "yes" if value else "no"
        text = str(value).strip()
        if text in self.levels:
            return text
        if are_numbers([text]):
            number = Fraction(text)
            same = [level for level in self.levels if are_numbers([level]) and Fraction(level) == number]
        else:
            same = [level for level in self.levels if level.casefold() == text.casefold()]
        return same[0] if len(same) == 1 else None

    def for_pair(self) -> Scale:
        """Return the scale of a graded pair: the lowest level means that the first response is much better.

        Raises:
            ConfigError: the levels have no order, or are not symmetric about their middle.
        """
        numbers = exact(self.levels)
        if not self.ordered or len({low + high for low, high in zip(numbers, reversed(numbers), strict=True)}) > 1:
            raise ConfigError(
                f"The scale {self.sentence()!r} does not compare: what is far on one side of its middle must be as far "
                "on the other when two responses change places, as on '-3..3', '1-7' or 'A better < same < B better'."
            )
        return replace(self, two_sided=True)

    def mean(self, levels: Sequence[str]) -> str | None:
        """Return the level nearest to the mean of several, the better of two equally near ones (rounded half up).

        On a two-sided scale it is the one nearer to the middle, and None if the mean is the middle and no level is. On
        two levels a tie has none.

        >>> Scale.parse("1-5").mean(["2", "3"]), Scale.parse("-2..2").for_pair().mean(["-1", "0"])
        ('3', '0')
        >>> Scale.parse("yes/no").mean(["yes", "no"]) is None
        True
        """
        return self._nearest(self._mean(levels))

    def mean_value(self, levels: Sequence[str]) -> float:
        """Return the mean of several levels in :attr:`values`, not rounded.

        >>> Scale.parse("Bad < Fair < Good").mean_value(["Bad", "Fair"])
        1.5
        """
        return float(self._mean(levels))

    def median(self, levels: Sequence[str]) -> str | None:
        """Return the median level; between two middle ones the level nearest to their mean, rounded as :meth:`mean`."""
        ordered = sorted(levels, key=self.rank)
        return self.mean([ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]])

    def majority(self, levels: Sequence[str]) -> str | None:
        """Return the most frequent level; of several the one nearest to the mean, of these the lower.

        On a two-sided scale the one nearer to the middle has priority; if two on both sides are equally near, the
        middle level itself, or None if there is none. On two levels, and without an order, a tie has none.

        >>> Scale.parse("A | B | tie").majority(["A", "B"]) is None
        True
        """
        counts = Counter(levels)
        most = [level for level in self.levels if counts[level] == max(counts.values())]
        if len(most) == 1:
            return most[0]
        if not self.ordered or len(self.levels) == _TWO:
            return None
        mean, numbers = self._mean(levels), dict(zip(self.levels, exact(self.levels), strict=True))
        if self.two_sided:
            return self._centred(most, mean)
        return min(most, key=lambda level: abs(numbers[level] - mean))

    def pool(self, levels: Sequence[str], how: str) -> str | None:
        """Return one label for several raters: "mean", "median" or "majority"; without an order always the majority.

        None if there is none (:attr:`always_pools`). If no level is nearest to a two-sided mean or median, the majority
        is used.
        """
        if not self.ordered or how == "majority":
            return self.majority(levels)
        label = self.median(levels) if how == "median" else self.mean(levels)
        return self.majority(levels) if label is None else label

    def closeness(self, one: str, other: str) -> float:
        """Return 1 - |difference| / range, in [0, 1].

        >>> Scale.parse("1-5").closeness("2", "3")
        0.75
        """
        numbers = exact(self.levels)
        distance = abs(numbers[self.rank(one)] - numbers[self.rank(other)])
        return float(1 - distance / (numbers[-1] - numbers[0]))

    def unknown(self, value: object) -> str:
        """Return the sentence that says why a value is not a level."""
        return f"{value!r} is not a level of the scale {self.sentence()!r}.{closest(str(value), self.levels)}"

    def _mean(self, levels: Sequence[str]) -> Fraction:
        numbers = exact(self.levels)
        return sum((numbers[self.rank(level)] for level in levels), Fraction(0)) / len(levels)

    def _nearest(self, value: Fraction) -> str | None:
        if self.two_sided:
            return self._centred(self.levels, value)
        distances = [abs(number - value) for number in exact(self.levels)]
        nearest = [rank for rank, distance in enumerate(distances) if distance == min(distances)]
        return self.levels[nearest[-1]] if len(nearest) == 1 or len(self.levels) > _TWO else None

    def _centred(self, levels: Sequence[str], value: Fraction) -> str | None:
        """Return the level nearest to the value, of two the one nearer to the middle; between the two sides, the middle
        itself.
        """
        numbers = dict(zip(self.levels, exact(self.levels), strict=True))
        middle = (numbers[self.levels[0]] + numbers[self.levels[-1]]) / 2
        away = {level: (abs(numbers[level] - value), abs(numbers[level] - middle)) for level in levels}
        nearest = [level for level in levels if away[level] == min(away.values())]
        if len(nearest) == 1:
            return nearest[0]
        return next((level for level, number in numbers.items() if number == middle), None)


#: For tasks in which any text may be an answer: no levels, and so no ranks, distances or marginals.
OPEN = Scale((), ordered=False)
