"""Where the driver limits a cluster: its ledger and Ray measured, and its queue simulated in virtual time. No GPU.

    python benchmarks/driver.py ledger                 trials per second and bytes per trial, by size of a transaction
    python benchmarks/driver.py ray                    what Ray costs the driver per request, by requests per call
    python benchmarks/driver.py cluster --driver 2.5   1 to 4,096 workers; --driver: ms of the driver per trial

The simulation runs the queue of ``--engine ray`` itself (``engines/cluster/dispatch.py``) without threads or waiting: a
heap of events in virtual time. Workers answer ``--room`` requests at once. A request takes a lognormal time, one in a
hundred ten times as long. A worker is lost once in 100 mean durations, so that about 1 % of the requests are lost with
it; a new one comes a minute later. The driver is a server with a queue: each answer costs it the given time. What its
own work costs is measured by ``ledger`` (parsing and writing) and by ``ray``: one worker on this machine that answers
at once with a draft of the same size, so that all of it is overhead. The rate is that of the first four fifths of the
answers; the rest is the tail of a phase.
"""

from __future__ import annotations

import argparse
import heapq
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rationem import Example, JudgeTask, Scale
from rationem.engines.cluster.dispatch import Dispatcher, Job
from rationem.ledger import Ledger
from rationem.sampling.trials import grade
from rationem.types import Draft, Finish, Purpose, Request, Sampling, TokenQuery, Trial

TASK = JudgeTask(Scale.parse("1-5"))
#: A draft of the size that a 7B model writes.
WORDS, TOKENS = 150, 200


def trials(count: int) -> list[Trial]:
    chance = random.Random(0)
    made = []
    for n in range(count):
        text = " ".join(f"word{chance.randrange(5_000)}" for _ in range(WORDS)) + "\nFinal rating: 4"
        ids = tuple(chance.randrange(100_000) for _ in range(TOKENS))
        draft = Draft(text, ids, Finish.STOP, 400, tuple(-chance.random() for _ in ids))
        example = Example(f"item-{n}", {"prompt": "x", "response": "y"}, "4", f"item-{n}")
        parsed, outcome, reward = grade(draft, example, TASK, 1.0)
        made.append(Trial(1, Purpose.TRAIN, example.id, 0, 0, "forward", n, draft, parsed, outcome, reward))
    return made


def ledger(count: int) -> None:
    """Print a row per size of a transaction."""
    made = trials(count)
    print(f"{count} trials of {TOKENS} tokens and {len(made[0].draft.text)} characters")
    print("| trials per transaction | trials per second | bytes per trial |\n|---|---|---|")
    for size in (1, 4, 16, 64, 256):
        with tempfile.TemporaryDirectory() as place:
            held = Ledger(Path(place))
            started = time.perf_counter()
            for begin in range(0, count, size):
                held.append(made[begin : begin + size])
            seconds = time.perf_counter() - started
            held.close()
            stored = sum(path.stat().st_size for path in Path(place).iterdir() if path.is_file())
        print(f"| {size} | {count / seconds:,.0f} | {stored / count:,.0f} |")
    started = time.perf_counter()
    for one in made:
        grade(one.draft, Example("x", {}, "4", "x"), TASK, 1.0)
    print(f"parsing and grading: {1e3 * (time.perf_counter() - started) / count:.3f} ms per trial")


class Ready:
    """An engine that answers at once."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Return one draft for all."""
        return [self._draft for _ in requests]

    def score_tokens(self, queries: Sequence[TokenQuery]) -> list[tuple[float, ...]]:
        """Return any number per token."""
        return [(0.0,) * len(query.draft.token_ids) for query in queries]

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def ready() -> Iterator[Callable[[str], Ready]]:
    draft = trials(1)[0].draft
    yield lambda _: Ready(draft)


def ray_overhead(count: int) -> None:
    """Print a row per size of a call: the driver's CPU milliseconds and the rate, with a worker that needs no time."""
    from rationem.engines.cluster.crew import Crew
    from rationem.engines.cluster.ray_cluster import RayCluster
    from rationem.engines.cluster.settings import RaySettings
    from rationem.engines.cluster.weights import parcel_of, stored

    words = " ".join(f"word{n}" for n in range(2 * WORDS))
    (one,) = trials(1)
    requests = [Request(TASK.prompt({"prompt": words, "response": words}), Sampling(), seed) for seed in range(count)]
    print(f"{count} requests with prompts of {4 * WORDS} words, drafts of {TOKENS} tokens; {len(TURNS)} turns of each")
    print(
        "| requests per call | driver's CPU ms per request | ms per request | requests per second |\n|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "weights").write_bytes(b"none")
        settings = RaySettings(ray_workers=1)
        cluster = RayCluster(settings)
        try:
            parcel = stored(parcel_of(place, [Path(place)]), cluster.put)
            found: dict[int, list[tuple[float, float]]] = {}
            for chunk in [chunk for turn in TURNS for chunk in turn]:
                crew = Crew(cluster, settings, ready, chunk=chunk, room=max(256, 2 * chunk))
                crew.hold(parcel, [TokenQuery(requests[0].prompt, one.draft)], lambda proof: proof.digest)
                crew.submit(parcel.digest, requests[0]).result()
                cpu, wall = time.process_time(), time.perf_counter()
                for answer in [crew.submit(parcel.digest, request) for request in requests]:
                    answer.result()
                spent = time.process_time() - cpu, time.perf_counter() - wall
                found.setdefault(chunk, []).append((1e3 * spent[0] / count, 1e3 * spent[1] / count))
                crew.close()
        finally:
            cluster.close()
    for chunk, rows in found.items():
        cpu, wall = (sorted(row) for row in zip(*rows, strict=True))
        told = [f"{low:.2f} to {high:.2f}" for low, high in ((cpu[0], cpu[-1]), (wall[0], wall[-1]))]
        print(f"| {chunk} | {told[0]} | {told[1]} | {1e3 / wall[-1]:,.0f} to {1e3 / wall[0]:,.0f} |", flush=True)


#: Requests per call: one, as for a server in a worker; batches, as for transformers. The order turns.
TURNS = ((1, 16, 64), (16, 64, 1), (64, 1, 16))


@dataclass(frozen=True, slots=True)
class Setting:
    """One simulated cluster; times in seconds."""

    workers: int
    room: int
    requests: int
    mean: float
    driver: float


@dataclass(slots=True)
class Result:
    """What a simulated cluster did."""

    seconds: float = 0.0
    steady: float = 0.0
    busy: float = 0.0
    copies: int = 0
    again: int = 0
    duplicates: int = 0
    lost: int = 0
    answered: int = 0


def simulate(setting: Setting, seed: int = 0) -> Result:
    """Return what happens until all requests are answered."""
    chance, queue, now, driver_free = random.Random(seed), Dispatcher(), 0.0, 0.0
    events: list[tuple[float, int, str, int, Job | None]] = []
    tie = submitted = started = 0
    result = Result()

    def push(at: float, what: str, worker: int, job: Job | None = None) -> None:
        nonlocal tie
        tie += 1
        heapq.heappush(events, (at, tie, what, worker, job))

    def joins(at: float) -> None:
        nonlocal started
        started += 1
        push(at, "join", started)

    def fill() -> None:
        """Keep twice as many requests in the queue as the cluster holds, as refill does."""
        nonlocal submitted
        while submitted < setting.requests and submitted - queue.counts.answered < 2 * setting.workers * setting.room:
            queue.submit(Job("w", submitted))
            submitted += 1

    # Of `room` requests at once a worker loses all; so that 1 % are lost, it is lost once in 100 of its mean durations.
    alive: dict[int, bool] = {}
    for _ in range(setting.workers):
        joins(0.0)
    sigma = 0.5
    fill()
    while queue.counts.answered < setting.requests:
        now, _, what, worker, job = heapq.heappop(events)
        if what == "join":
            alive[worker] = True
            queue.join(worker, "w", setting.room)
            push(now + chance.expovariate(1 / (100 * setting.mean)), "lose", worker)
        elif what == "lose":
            alive[worker] = False
            queue.lose(worker)
            joins(now + 60.0)
        elif what == "answer" and alive[worker]:
            # The answer waits for the driver, which takes one after another.
            driver_free = max(driver_free, now) + setting.driver
            result.busy += setting.driver
            push(driver_free, "taken", worker, job)
        elif what == "taken" and job is not None:
            queue.answer(worker, job, now)
            fill()
            if not result.steady and queue.counts.answered >= 0.8 * setting.requests:
                result.steady = now
        for name, jobs in [*queue.assign(now), *queue.assign_late(now)]:
            for one in jobs:
                took = setting.mean * chance.lognormvariate(-sigma * sigma / 2, sigma)
                took *= 10 if chance.random() < 0.01 else 1
                result.copies += 1
                push(max(now, driver_free) + took, "answer", name, one)
    counts = queue.counts
    result.seconds, result.answered = now, counts.answered
    result.again, result.duplicates, result.lost = counts.again, counts.second, counts.lost
    return result


def cluster(args: argparse.Namespace) -> None:
    """Print a row per number of workers."""
    print(f"{args.room} requests at once per worker, {args.mean:g} s each, driver {args.driver:g} ms per trial")
    heads = "workers | trials/s | of capacity | driver busy | copies beyond one | given again | twice | tail, s | MiB"
    print(f"| {heads} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for workers in args.workers:
        requests = max(args.least, args.each * workers * args.room)
        setting = Setting(workers, args.room, requests, args.mean, args.driver / 1e3)
        found = simulate(setting)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, so far
        assert found.answered == requests
        rate, most = 0.8 * requests / found.steady, workers * args.room / (args.mean * 1.09)
        extra = found.copies / requests - 1
        print(
            f"| {workers:,} | {rate:,.0f} | {rate / most:.0%} | {found.busy / found.seconds:.0%} | {extra:.1%} | "
            f"{found.again} | {found.duplicates} | {found.seconds - found.steady:.0f} | {peak // 1024} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("ledger", "ray", "cluster"))
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--driver", type=float, default=2.5, help="ms per trial")
    parser.add_argument("--room", type=int, default=16)
    parser.add_argument("--mean", type=float, default=8.0, help="seconds per request")
    parser.add_argument("--each", type=int, default=20, help="requests per place of a worker")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64, 512, 4096])
    parser.add_argument("--least", type=int, default=2_000)
    args = parser.parse_args()
    if args.what == "cluster":
        cluster(args)
    else:
        {"ledger": ledger, "ray": ray_overhead}[args.what](args.trials)


if __name__ == "__main__":
    main()
