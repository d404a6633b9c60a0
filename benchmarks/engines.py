"""How fast is drawing through vLLM's server, how much does refill save, and what does a hand-over cost?

    python benchmarks/engines.py [--params 1,15,125] [--repeats 5] [--what throughput,workers,refill,handover]

Needs vLLM (``rationem engine install``). Random weights in real architectures, whose completions end unevenly (mean 60
of at most 128 tokens); about 100 prompt tokens. All ways of a comparison are up at the same time and take turns within
each repeat, one at work at a time; printed are medians, ranges, and medians of the ratios within a repeat.

throughput  generated tokens per second: our engine over its server, and ``vllm.LLM.generate`` in a process that has the
            same weights, flags, threads, prompts (as ids), seeds and stops; with log-probabilities as we always ask
            for them, and without. Prompts are new in every repeat, so that no cache knows them.
workers     of the smallest model, too: the server with the worker in the engine's process and in its own (CPU build)
refill      rejection sampling with a budget of 8 where a draw is accepted with probability 0.3: by refill, by rounds,
            and all eight at once; the same server, examples and seeds, the server's prompt cache emptied before each
handover    seconds to start, to reload in place and to restart, and their share of an iteration of 1,000 examples: of
            its draws alone, that is 1,000 x (1 - 0.7^8) / 0.3 draws of the measured mean length at the measured rate

On a GPU the same command serves bf16; ``--params 494`` has the shape of Qwen2.5-0.5B. It has not been run on one.
"""

import argparse
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
from generation import SHAPES, hazard
from serving import (
    CONCURRENCY,
    GPU_ROWS,
    LENGTH,
    MEAN,
    ROWS,
    Offline,
    Served,
    Timing,
    launch,
    pool,
    prompts,
    server_of,
    worker_apart,
    write_checkpoint,
)

import rationem
from rationem import JudgeTask, world
from rationem.engines.vllm.pool import Handover, Pool
from rationem.engines.vllm.server import Server
from rationem.errors import RationemError
from rationem.ledger import Ledger
from rationem.sampling import rounds, schemes
from rationem.sampling.draw import attempt, draw
from rationem.sampling.schemes import FORWARD
from rationem.sampling.trials import DrawRequest, SamplingContext
from rationem.types import Engine, Example, Fields, Outcome, Parsed, Prompt, Purpose, Sampling

BUDGET, ACCEPTANCE, EXAMPLES = 8, 0.3, 128
ITERATION = 1_000
#: Prompts before anything is timed.
WARM = 8
DRAWS = (1 - (1 - ACCEPTANCE) ** BUDGET) / ACCEPTANCE

Call = Callable[[int], Timing]


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def interleaved(ways: dict[str, Call], repeats: int, what: str) -> dict[str, list[Timing]]:
    """Run every way once per repeat, the first one rotating; a repeat's number is what a way is told."""
    found: dict[str, list[Timing]] = {way: [] for way in ways}
    for repeat in range(repeats):
        names = list(ways)
        for way in names[repeat % len(names) :] + names[: repeat % len(names)]:
            found[way].append(ways[way](repeat))
            last = found[way][-1]
            say(f"{what}, {repeat + 1} of {repeats}, {way}: {sum(last.lengths)} tokens in {last.seconds:.1f} s")
    return found


def spread(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratios(over: list[float], under: list[float]) -> str:
    return spread([a / b for a, b in zip(over, under, strict=True)], 2)


def table(head: list[str], rows: list[list[str]]) -> None:
    print("\n" + "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]), flush=True)


# Throughput ----------------------------------------------------------------------------------------------------------


def throughput(params: int, options: argparse.Namespace, folder: Path, checkpoints: list[str]) -> None:
    vocabulary, count = SHAPES[params].vocabulary, options.rows or (ROWS[params] if launch().cpu else GPU_ROWS)
    with ExitStack() as stack:
        offline = stack.enter_context(closing(Offline(checkpoints[0], folder / "offline.log")))
        ways: dict[str, Callable[[list[Prompt], list[int]], Timing]] = {}
        for name, apart in servers(options, params):
            ways[name] = Served(opened(stack, checkpoints[0], apart))
            say(f"{params}M: {name} is up")
        offline.wait()
        ways |= {"vllm.LLM": offline, "vllm.LLM, no log-probabilities": partial(offline, logprobs=False)}

        def at(way: str, repeat: int) -> Timing:
            seeds = [repeat * count + n for n in range(count)]
            return ways[way](prompts(count, vocabulary, repeat), seeds)

        for call in list(ways.values())[:-1]:
            call(prompts(WARM, vocabulary, 10**6), list(range(WARM)))
        found = interleaved({way: partial(at, way) for way in ways}, options.repeats, f"{params}M")
    raw = [one.rate for one in found["vllm.LLM"]]
    rows = [
        [f"{params}M", way, spread([one.rate for one in runs]), ratios([one.rate for one in runs], raw),
         spread([1e3 * one.own / count for one in runs], 1) if way.startswith("engine") else "",
         f"{statistics.mean(sum(one.lengths) / count for one in runs):.0f}"]
        for way, runs in found.items()
    ]  # fmt: skip
    head = ["model", f"{count} completions", "tokens/s", "ratio to vllm.LLM", "client, CPU ms each", "mean length"]
    table(head, rows)


def servers(options: argparse.Namespace, params: int) -> list[tuple[str, bool | None]]:
    """Return the servers to compare: a name, and whether the worker has a process of its own (None: as it comes)."""
    if "workers" in options.what and params == options.sizes[0] and launch().cpu:
        return [("engine, worker shares a process", False), ("engine, worker in its own", True)]
    return [("engine", None)]


def opened(stack: ExitStack, checkpoint: str, apart: bool | None, how: Handover = "restart") -> Any:
    if apart is not None:
        stack.enter_context(worker_apart(apart))
    return stack.enter_context(pool(how)).open(checkpoint)


# Refill --------------------------------------------------------------------------------------------------------------


class Lottery(JudgeTask):
    """Accepts a draw by a checksum of its text: random weights write no verdict. Those cut at the limit never count."""

    def prompt(self, fields: Fields) -> Prompt:
        """Return the words alone."""
        return Prompt(fields["prompt"])

    def parse(self, text: str) -> Parsed:
        """Draw a number in [0, 1) by the text: "1" is right, "2" is wrong."""
        p = 1 / (1 + 1 / hazard(MEAN, LENGTH))
        finished = 1 - (1 - p) ** LENGTH
        return Parsed(text, "1" if zlib.crc32(text.encode()) / 2**32 < ACCEPTANCE / finished else "2")

    def reward(self, predicted: str, answer: str) -> float:
        """Return 1 for the answer."""
        return float(predicted == answer)


def refill(params: int, options: argparse.Namespace, folder: Path, checkpoints: list[str]) -> None:
    count = options.examples
    texts = prompts(count, SHAPES[params].vocabulary, 10**6 + 1)
    queue = [Example(str(n), {"prompt": prompt.text, "response": ""}, "1", str(n)) for n, prompt in enumerate(texts)]
    accepted: list[float] = []
    with pool("reload") as held:
        engine = held.open(checkpoints[0])
        Served(engine)(prompts(WARM, SHAPES[params].vocabulary, 10**6), list(range(WARM)))

        def at(way: Callable[..., None], repeat: int) -> Timing:
            server_of(held)._post("/reset_prefix_cache", None)
            with tempfile.TemporaryDirectory(dir=folder) as directory, closing(Ledger(Path(directory))) as ledger:
                ledger.start({}, {"train": queue})
                run = SamplingContext(Lottery(world.SCALE), ledger, repeat, Sampling(max_new_tokens=LENGTH))
                started, own = time.perf_counter(), time.process_time()
                way(queue, engine, run)
                taken, own = time.perf_counter() - started, time.process_time() - own
                drawn = ledger.db.execute("SELECT outcome, new_tokens FROM trials").fetchall()
            accepted.append(sum(outcome == Outcome.ACCEPTED for outcome, _ in drawn) / len(drawn))
            return Timing(taken, [tokens for _, tokens in drawn], own)

        ways = {"refill": by_refill, "rounds": by_rounds, "all 8 at once": at_once}
        found = interleaved({name: partial(at, way) for name, way in ways.items()}, options.repeats, f"rs:8, {params}M")
        engine.close()
    best = [one.seconds for one in found["refill"]]
    rows = [
        [name, spread([one.seconds for one in runs], 1), ratios([one.seconds for one in runs], best),
         spread([sum(one.lengths) for one in runs]), spread([len(one.lengths) for one in runs]),
         spread([one.rate for one in runs])]
        for name, runs in found.items()
    ]  # fmt: skip
    share = f"{statistics.mean(accepted):.1%} of all draws accepted"
    print(f"\nrs:8, {params}M, {count} examples, {CONCURRENCY} requests at a time; {share}")
    table(["way", "seconds", "ratio to refill", "tokens", "draws", "tokens/s"], rows)


def by_refill(queue: list[Example], engine: Engine, run: SamplingContext) -> None:
    attempt(queue, schemes.rejection_sampling(BUDGET), lambda _: engine, run, iteration=1)


def by_rounds(queue: list[Example], engine: Engine, run: SamplingContext) -> None:
    rounds.attempt(queue, schemes.rejection_sampling(BUDGET), lambda _: engine, run, iteration=1)


def at_once(queue: list[Example], engine: Engine, run: SamplingContext) -> None:
    draw_requests = [DrawRequest(x, attempt) for x in queue for attempt in range(BUDGET)]
    draw(draw_requests, FORWARD, engine, run, iteration=1, purpose=Purpose.TRAIN, label="all at once")


# Hand-over -----------------------------------------------------------------------------------------------------------


def handover(params: int, options: argparse.Namespace, folder: Path, checkpoints: list[str]) -> None:
    del folder
    vocabulary, count = SHAPES[params].vocabulary, options.rows or (ROWS[params] if launch().cpu else GPU_ROWS)
    seconds: dict[str, list[float]] = {}
    rates, lengths = [], []
    for how in ("reload", "restart"):
        with pool(how) as held:
            for turn in range(1 + options.turns):
                engine, taken, inside = timed_open(held, checkpoints[turn % 2])
                refused = turn > 0 and how == "reload" and engine.handover["how"] != how
                name = "start" if turn == 0 else f"{how}, refused and restarted" if refused else how
                say(f"{params}M, {name}: {taken:.2f} s, of which the server started in {inside:.1f} s")
                seconds.setdefault(name, []).append(taken)
                if turn == options.turns and how == "reload":
                    drawn = Served(engine)(prompts(count, vocabulary, 0), list(range(count)))
                    rates.append(drawn.rate)
                    lengths.append(sum(drawn.lengths) / count)
                engine.close()
    draws = ITERATION * DRAWS
    iteration = draws * lengths[0] / rates[0]
    made = f"{draws:.0f} draws of {lengths[0]:.0f} tokens at {rates[0]:.0f} tokens/s"
    print(f"\n{params}M: an iteration of {ITERATION} examples is {made}: {iteration:.0f} s")
    rows = [
        [f"{params}M", name, spread(took, 2), f"{statistics.median(took) / (iteration + statistics.median(took)):.1%}"]
        for name, took in seconds.items()
    ]
    table(["model", "hand-over", "seconds", "share of iteration"], rows)


def timed_open(held: Pool, checkpoint: str) -> tuple[Any, float, float]:
    """Return an engine, the seconds until it was proven, and those that its server took to start, if it did."""
    before = held._servers[:]
    started = time.perf_counter()
    engine = held.open(checkpoint)
    taken = time.perf_counter() - started
    return engine, taken, sum(server.seconds for server in held._servers if server not in before)


def machine() -> Iterator[str]:
    yield f"rationem {rationem.__version__}"
    yield f"vLLM {'CPU build' if launch().cpu else 'GPU build'}"
    yield f"{Server(launch(), '.')._environment().get('OMP_NUM_THREADS', 'its own number of')} threads for the model"
    yield f"load {Path('/proc/loadavg').read_text().split()[0]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", default="1,15,125", help=f"millions, ascending: {', '.join(map(str, SHAPES))}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--what", default="throughput,workers,refill,handover")
    parser.add_argument("--rows", type=int, default=0, help="completions in one timing; default: by size")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of the comparison of refill")
    parser.add_argument("--turns", type=int, default=1, help="hand-overs of each kind")
    options = parser.parse_args()
    options.what = options.what.split(",")
    options.sizes = [int(one) for one in options.params.split(",")]
    torch.set_num_threads(1)
    try:
        print(", ".join(machine()))
        measure(options)
    except RationemError as error:
        sys.exit(str(error))


def measure(options: argparse.Namespace) -> None:
    sizes = options.sizes
    with tempfile.TemporaryDirectory(prefix="rationem-bench-") as name:
        folder = Path(name)
        made = {
            params: [write_checkpoint(folder / f"{params}-{n}", params, n, half=not launch().cpu) for n in range(2)]
            for params in sizes
        }
        for params in sizes:
            if {"throughput", "workers"} & {*options.what}:
                throughput(params, options, folder, made[params])
        if "refill" in options.what:
            refill(sizes[0], options, folder, made[sizes[0]])
        for params in dict.fromkeys((sizes[0], sizes[-1])):
            if "handover" in options.what:
                handover(params, options, folder, made[params])


if __name__ == "__main__":
    main()
