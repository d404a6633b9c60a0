"""Counts of a rated file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rationem.judging.verdicts import Rating, Status
from rationem.tasks.kinds import Kind
from rationem.tasks.scale import Scale

_STATUSES = {
    Status.RATED: "rated",
    Status.ANSWERED: "answered",
    Status.UNPARSED: "unparsed (no rationale names {what})",
    Status.INCONSISTENT: "inconsistent (the orders disagree)",
    Status.TOO_LONG: "too long for the judge",
    Status.UNUSABLE: "unusable (see the column problem)",
}


@dataclass(slots=True)
class Count:
    """The ratings of one criterion, counted.

    Args:
        statuses: status -> items.
        levels: rating -> items.
        expected: sum of the expected ratings.
        with_expected: items that have one.
        draws: sampled rationales.
        unparsed: those that state no offered level.
        elided: items with truncated responses.
        compared: comparisons with a verdict in every order.
        consistent: those with the same verdict in every order.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    expected: float = 0.0
    with_expected: int = 0
    draws: int = 0
    unparsed: int = 0
    elided: int = 0
    compared: int = 0
    consistent: int = 0

    def add(self, rating: Rating) -> None:
        """Add one rating to the counts."""
        self.statuses[rating.status] += 1
        if rating.rating is not None:
            self.levels[rating.rating] += 1
        if rating.expected is not None:
            self.expected += rating.expected
            self.with_expected += 1
        self.draws += rating.draws
        self.unparsed += rating.unparsed
        self.elided += rating.elided > 0
        self.compared += rating.consistent is not None
        self.consistent += bool(rating.consistent)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON; :meth:`from_dict` reads them."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, counts: Mapping[str, Any]) -> Count:
        """Return the counts that :meth:`as_dict` wrote."""
        read = cls(**counts)
        read.statuses, read.levels = Counter(read.statuses), Counter(read.levels)
        return read

    def sentence(self, kind: Kind, criterion: str = "") -> str:
        """Return the counts as one line."""
        first, what, tally = _TOLD[kind.estimator]
        shown = [one for one in Status if one is first or self.statuses[one]]
        parts = [f"{self.statuses[one]} {_STATUSES[one].format(what=what)}" for one in shown]
        parts += [f"{many(self.elided, 'item')} with shortened responses"] if self.elided else []
        parts += [self._draws(what)] if self.draws else []
        agree = f"{self.consistent} of {many(self.compared, 'comparison')}"
        parts += [f"all orders agree on {agree}"] if self.compared else []
        parts += [tally(self, kind.scale.of(criterion))]
        if self.with_expected:
            mean = round(self.expected / self.with_expected, 3) + 0.0  # and no -0.000
            parts.append(f"mean expected rating {mean:.3f}")
        return "; ".join(parts)

    def _draws(self, what: str) -> str:
        if not self.unparsed:
            return f"every rationale names {what}"
        verb = "names" if self.unparsed == 1 else "name"
        return f"{self.unparsed} of {many(self.draws, 'rationale')} {verb} no {what.split()[1]}"


def _levels(count: Count, scale: Scale) -> str:
    return "ratings: " + ", ".join(f"{level} ({count.levels[level]})" for level in scale.levels)


def _answers(count: Count, _: Scale) -> str:
    return many(len(count.levels), "different answer")


#: Estimator -> the status of an item with a verdict, what a draft says, and how the verdicts are counted.
_TOLD: dict[str, tuple[Status, str, Callable[[Count, Scale], str]]] = {
    "levels": (Status.RATED, "a level", _levels),
    "consensus": (Status.ANSWERED, "an answer", _answers),
}


@dataclass(frozen=True, slots=True)
class Totals:
    """A rated file.

    Args:
        rows: rows written, including earlier starts of the same job.
        counts: criterion -> counts over all rows.
        fresh: rows rated in this start.
        seconds: the time for them, without loading the model.
    """

    rows: int
    counts: Mapping[str, Count]
    fresh: int
    seconds: float

    def lines(self, kind: Kind) -> list[str]:
        """Return the summary to print at the end."""
        pace = f", {self.fresh / self.seconds:.1f} rows per second" if self.fresh and self.seconds else ""
        earlier = f" ({self.rows - self.fresh} by an earlier start)" if self.fresh < self.rows else ""
        told = [f"{many(self.rows, 'row')}{earlier} in {self.seconds:.1f} s{pace}"]
        return told + [
            f"{f'{name}: ' if name else ''}{count.sentence(kind, name)}" for name, count in self.counts.items()
        ]


def counts_of(criteria: Sequence[str], noted: Mapping[str, Any]) -> dict[str, Count]:
    """Return the counts recorded by a job, or empty ones."""
    return {name: Count.from_dict(noted[name]) if name in noted else Count() for name in criteria}


def many(count: int, thing: str) -> str:
    """Return a count with its noun.

    >>> many(1, "row"), many(0, "row")
    ('1 row', '0 rows')
    """
    return f"{count} {thing}{'' if count == 1 else 's'}"
