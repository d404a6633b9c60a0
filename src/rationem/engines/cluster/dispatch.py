"""Which worker gets which request: a queue without threads, clock or network, shared by the engine and its simulation.

A request is given to workers at least once and answered exactly once. What a lost worker held goes to others. Where
workers are idle, requests that take long are given to a second one; the first answer counts, and a late one is counted
as a duplicate and dropped. Both answers have the same seed, so which one comes first does not matter.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

#: A request that was held by so many workers as they were lost is given up: it may be what ends them.
MOST_LOSSES = 5
#: A request is given to a second worker after this many times the mean duration.
LATE = 4.0
#: The weight of the newest duration in the running mean.
_NEWEST = 0.05


@dataclass(eq=False, slots=True)
class Job:
    """One request in the queue.

    Args:
        weights: the digest of the weights that must answer it.
        content: what a worker is asked.
        answer: what takes the answer.
    """

    weights: str
    content: Any
    answer: Any = None
    workers: set[int] = field(default_factory=set)
    losses: int = 0
    began: float = 0.0
    answered: bool = False


@dataclass(eq=False, slots=True)
class _Member:
    """A worker that may be given work: its free places, the weights that it has proven to hold, and its jobs."""

    room: int
    weights: set[str]
    jobs: set[Job] = field(default_factory=set)


@dataclass(slots=True)
class Counts:
    """What happened: jobs answered, given again after a loss, given to a second worker, and answered too late."""

    answered: int = 0
    again: int = 0
    second: int = 0
    duplicates: int = 0
    lost: int = 0


class Dispatcher:
    """The queue of one cluster; its caller says what happens, and when.

    Args:
        chunk: most jobs that one call to a worker carries.
    """

    def __init__(self, chunk: int = 1) -> None:
        self.counts = Counts()
        self._chunk = chunk
        self._waiting: dict[str, deque[Job]] = {}
        self._members: dict[int, _Member] = {}
        self._free: OrderedDict[int, None] = OrderedDict()
        self._running: OrderedDict[Job, None] = OrderedDict()  # oldest first, without those that two workers hold
        self._mean: float | None = None

    @property
    def members(self) -> int:
        """The number of workers that may be given work."""
        return len(self._members)

    @property
    def unanswered(self) -> list[Job]:
        """The jobs that wait or run."""
        held = {job for member in self._members.values() for job in member.jobs if not job.answered}
        return [*held, *(job for line in self._waiting.values() for job in line if not job.answered)]

    def submit(self, job: Job) -> None:
        """Put a job at the end of the queue."""
        self._waiting.setdefault(job.weights, deque()).append(job)

    def join(self, worker: int, weights: str, room: int) -> None:
        """Let a worker have work for weights that it has proven to hold."""
        member = self._members.setdefault(worker, _Member(room, set()))
        member.weights.add(weights)
        if member.room:
            self._free[worker] = None

    def release(self, weights: str) -> None:
        """Give no more work for these weights; what waits for them is dropped."""
        self._waiting.pop(weights, None)
        for member in self._members.values():
            member.weights.discard(weights)

    def lose(self, worker: int) -> list[Job]:
        """Take a worker out; put its jobs at the front of the queue, and return those that are given up."""
        member = self._members.pop(worker, None)
        self._free.pop(worker, None)
        if member is None:
            return []
        self.counts.lost += 1
        return [job for job in member.jobs if not self._put_back(job, worker)]

    def answer(self, worker: int, job: Job, now: float) -> bool:
        """Take a worker's answer; return whether it is the first one."""
        member = self._members.get(worker)
        if member is not None and job in member.jobs:
            member.jobs.remove(job)
            member.room += 1
            self._free[worker] = None
        job.workers.discard(worker)
        if job.answered:
            self.counts.duplicates += 1
            return False
        job.answered = True
        self.counts.answered += 1
        self._running.pop(job, None)
        took = now - job.began
        self._mean = took if self._mean is None else (1 - _NEWEST) * self._mean + _NEWEST * took
        return True

    def assign(self, now: float) -> list[tuple[int, list[Job]]]:
        """Give waiting jobs to free workers, in turn; return (worker, jobs) for each call to make."""
        calls = []
        for weights, line in self._waiting.items():
            # From here on every worker in turn has its share of what waits, so none has all of a short queue.
            turns = len(self._free)
            while line and turns:
                worker, turns = next(iter(self._free)), turns - 1
                self._free.move_to_end(worker)
                member = self._members[worker]
                share = min(self._chunk, member.room, -(-len(line) // (turns + 1)))
                given = self._next(line, share) if weights in member.weights else []
                if given:
                    calls.append((worker, self._give(worker, given, now)))
                    turns += member.room > 0
        return calls

    def assign_late(self, now: float) -> list[tuple[int, list[Job]]]:
        """Give the oldest running jobs to a second worker, if workers are idle and they take long."""
        calls: list[tuple[int, list[Job]]] = []
        if self._mean is None or any(self._waiting.values()):
            return calls
        for job in list(self._late(now)):
            worker = next(
                (n for n in self._free if n not in job.workers and job.weights in self._members[n].weights), None
            )
            if worker is None:
                break
            calls.append((worker, self._give(worker, [job], now)))
            del self._running[job]
            self.counts.second += 1
        return calls

    def _late(self, now: float) -> list[Job]:
        late: list[Job] = []
        for job in self._running:
            if len(late) >= len(self._free) or now - job.began <= LATE * (self._mean or 0.0):
                break
            late.append(job)
        return late

    def _next(self, line: deque[Job], most: int) -> list[Job]:
        given: list[Job] = []
        while line and len(given) < most:
            job = line.popleft()
            if not job.answered:  # a worker that had been given up answered after all
                given.append(job)
        return given

    def _give(self, worker: int, jobs: list[Job], now: float) -> list[Job]:
        member = self._members[worker]
        member.room -= len(jobs)
        if member.room <= 0:
            self._free.pop(worker, None)
        for job in jobs:
            member.jobs.add(job)
            if not job.workers:
                job.began = now
                self._running[job] = None
            job.workers.add(worker)
        return jobs

    def _put_back(self, job: Job, worker: int) -> bool:
        """Queue a lost worker's job again unless another has it; return False if it is given up."""
        job.workers.discard(worker)
        if job.answered or job.workers:
            return True
        self._running.pop(job, None)
        job.losses += 1
        if job.losses >= MOST_LOSSES:
            job.answered = True
            return False
        self.counts.again += 1
        self._waiting.setdefault(job.weights, deque()).appendleft(job)
        return True
