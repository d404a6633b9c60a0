"""The stages of a run for the overall bar: which is at work, and how long those that are left will take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rationem.em import Problem
from rationem.evaluation.diagnostics.draws import ON_TEST
from rationem.ledger.phases import read_seconds

#: The iteration of stages of which a run decides only at its end.
CHOSEN = -1
_SAID = {
    "e_step": "E-step",
    "m_step": "M-step",
    "validation": "validation",
    "evidence": "evidence",
    "difficulty": "difficulty",
    "test": "test",
    ON_TEST: "evidence on test",
}
#: Stages that take as long per item as others that come before them.
_LIKE = {"test": "validation", ON_TEST: "evidence"}


@dataclass(slots=True)
class Stages:
    """The stages of a run, in order.

    Args:
        planned: (iteration, phase).
        iterations: K.
        ratio: items of the test set per item of the validation set.
        spent: seconds of the finished stages.
    """

    planned: tuple[tuple[int, str], ...]
    iterations: int
    ratio: float = 1.0
    spent: dict[tuple[int, str], float] = field(default_factory=dict)
    _at: int = 0
    _began: float = 0.0

    def __post_init__(self) -> None:
        self._began = time.perf_counter()
        self._at = 1 + max((n for n, stage in enumerate(self.planned) if stage in self.spent), default=-1)

    def finished(self, iteration: int, phase: str, seconds: float) -> str:
        """Count a finished stage; return a line for a log where an iteration ends, otherwise ""."""
        for n, stage in enumerate(self.planned[self._at :], self._at):
            if stage in ((iteration, phase), (CHOSEN, phase)):
                self.spent[stage] = seconds
                self._at, self._began = n + 1, time.perf_counter()
                return self._line(iteration)
        return ""

    def told(self) -> tuple[str, float, float | None]:
        """Return the stage at work, the share of the run that is done, and the seconds left as far as known.

        A stage is expected to take the mean of those of its kind; the time left is unknown before the first of each.
        """
        if self._at >= len(self.planned):
            return "run: at its end", 1.0, 0.0
        iteration, phase = self.planned[self._at]
        which = f"iteration {iteration} of {self.iterations}" if iteration > 0 else "before training"
        label = f"run: {which if iteration != CHOSEN else 'chosen weights'}, {_SAID[phase]}"
        known = [self._expected(phase) for _, phase in self.planned]
        if None in known[self._at :]:
            return label, self._at / len(self.planned), None
        costs = [one or 0.0 for one in known]
        now = min(time.perf_counter() - self._began, costs[self._at])
        total, done = sum(costs), sum(costs[: self._at]) + now
        return label, done / total if total else 0.0, total - done

    def _expected(self, phase: str) -> float | None:
        seconds = [spent for (_, one), spent in self.spent.items() if one == phase]
        if seconds:
            return sum(seconds) / len(seconds)
        like = self._expected(_LIKE[phase]) if phase in _LIKE else None
        return None if like is None else like * self.ratio

    def _line(self, iteration: int) -> str:
        ends = [k for k, _ in self.planned[self._at : self._at + 1]] != [iteration] and 0 < iteration <= self.iterations
        left = self.told()[2]
        if not ends or left is None or self.planned[self._at - 1][0] != iteration:
            return ""
        return f"iteration {iteration} of {self.iterations} is done; about {left / 60:.0f} min left"


def stages(problem: Problem, iterations: int) -> Stages:
    """Return the stages of a run, with the seconds of those that are in its ledger."""
    planned = tuple(_planned(problem, iterations))
    spent: dict[tuple[int, str], float] = {}
    for k in range(iterations + 1):
        seconds = read_seconds(problem.ledger.db, k)
        spent |= {(k, phase): seconds[phase] for phase in seconds if (k, phase) in planned}
    test, validation = len(problem.data.test), len(problem.data.validation)
    return Stages(planned, iterations, test / validation if validation else 1.0, spent)


def _planned(problem: Problem, iterations: int) -> Iterator[tuple[int, str]]:
    measured = ("validation", "evidence") if problem.data.validation else ()
    tested = ("test", ON_TEST) if problem.data.test else ()
    yield from ((0, phase) for phase in measured)
    if problem.diagnostics.probed:
        yield 0, "difficulty"
    for k in range(1, iterations + 1):
        yield from ((k, phase) for phase in ("e_step", "m_step", *measured))
    yield from ((0, phase) for phase in tested)
    if iterations:
        yield from ((CHOSEN, phase) for phase in tested)
