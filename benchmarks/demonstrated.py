"""How fast does an E-step with demonstrations draw, and what does it save to read what all prompts share only once?

    python benchmarks/demonstrated.py [--model smollm2] [--rows 32] [--repeats 3] [--what auto,shared,distinct]

Grades of sums, after demonstrations as earlier turns of the chat, at most 60 new tokens, temperature 1. Side by side,
one at work at a time, on the same prompts and with the same number of threads (OMP_NUM_THREADS):

transformers   our engine: all rows in one batch
generate       transformers' own ``model.generate`` on the same weights and ids, padded on the left; it does not stop
               behind a verdict line, and its tokens behind it count
vllm           our engine over its server (needs ``rationem engine install``)
vllm.LLM       ``vllm.LLM.generate`` in a process that has the same flags and stops

``shared``: the demonstrations stand first and are the same before every question, as in an E-step. ``distinct``: a word
before them differs from row to row, so that nothing can be shared; the prompts are as long. Questions, and with
``distinct`` that word, are new in every repeat, so that no cache knows them; demonstrations are known from the warm-up,
as they are after the first request of an E-step. ``auto`` prints what ``--engine auto`` measures and chooses.

CPU seconds are of this process and all that it started, while one way is at work: beside other programs they say more
than the time that passed.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from engines import interleaved, ratios, say, spread, table
from generation import Raw
from serving import Limits, Offline, Served, Timing, pool

import rationem
from rationem import Example, JudgeTask, Prompt, Scale
from rationem.engines import faster, models
from rationem.engines.opening import EngineConfig, closings
from rationem.engines.transformers import TransformersEngine
from rationem.errors import RationemError
from rationem.sampling.demonstrations import Showing
from rationem.tasks.scale import MARKER

TASK = JudgeTask(Scale.parse("incorrect < correct"))
LENGTH = 60


def questions(count: int, repeat: int, demos: int, *, distinct: bool) -> list[Prompt]:
    """Return prompts with demonstrations about sums that no other repeat asks."""
    found = []
    for n in range(count):
        a, b = 2 + repeat, 3 + n
        fields = {"prompt": f"What is {a} + {b}?", "reference": str(a + b), "response": f"It is {a + b + n % 2}."}
        x = Example(f"{repeat}-{n}", fields, "correct", f"{repeat}-{n}")
        prompt = Showing(demos, fills=True).before(TASK.prompt(fields), x, TASK, lambda _: True)
        word = f"Set {1000 + (count * repeat + n if distinct else 0)}."
        first, *others = prompt.earlier
        found.append(replace(prompt, earlier=(replace(first, asked=f"{word} {first.asked}"), *others)))
    return found


class Generating:
    """``model.generate`` on the engine's weights."""

    def __init__(self, loaded: models.LoadedModel, stop: int) -> None:
        self.loaded, self.stop = loaded, stop
        self.chat = models.Chat(loaded.tokenizer)

    def __call__(self, asked: list[Prompt], seeds: list[int]) -> Timing:
        """Draw one completion per prompt."""
        torch.manual_seed(seeds[0])
        ids = [self.chat.encode(prompt) for prompt in asked]
        started = time.perf_counter()
        lengths = Raw(self.loaded, ids, len(ids), LENGTH, self.stop)()
        return Timing(time.perf_counter() - started, lengths)


def cpu_seconds() -> float:
    """Return the processor seconds of this process and all its descendants; Linux only."""
    of: dict[int, tuple[int, int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it may have ended meanwhile
            told = place.read_text().rpartition(")")[2].split()
            of[int(place.parent.name)] = int(told[1]), int(told[11]) + int(told[12])
    family, found = [os.getpid()], 0
    while family:
        one = family.pop()
        found += of[one][1]
        family += [pid for pid, (parent, _) in of.items() if parent == one]
    return found / os.sysconf("SC_CLK_TCK")


def measure(options: argparse.Namespace, folder: Path) -> None:
    checkpoint = models.resolve(options.model)
    loaded = models.load(checkpoint, device="cpu")
    chat = models.Chat(loaded.tokenizer)
    longest = max(len(chat.encode(p)) for p in questions(options.rows, options.repeats, options.demos, distinct=True))
    limits = Limits(LENGTH, longest + LENGTH + 32, chat.end_of_turn, closings(TASK))
    if "auto" in options.what:
        choice = EngineConfig(MARKER, closings(TASK), device="cpu", length=limits.context)
        print(faster.told(faster.fastest(choice, checkpoint, questions(32, 99, options.demos, distinct=False), LENGTH)))
    with ExitStack() as stack:
        own = TransformersEngine(loaded, marker=MARKER, batch_size=options.rows)
        ways = {"transformers": Served(own, limits), "generate": Generating(loaded, chat.end_of_turn)}
        if options.vllm:
            offline = stack.enter_context(closing(Offline(checkpoint, folder / "offline.log", limits)))
            ways["vllm"] = Served(stack.enter_context(pool("restart", limits)).open(checkpoint), limits)
            offline.wait()
            ways["vllm.LLM"] = offline
        rates = {kind: timed(kind, ways, options) for kind in ("shared", "distinct") if kind in options.what}
    if len(rates) == 2:
        gain = {way: ratios(rates["shared"][way], rates["distinct"][way]) for way in ways}
        print("\nshared over distinct: " + ", ".join(f"{way} {told}" for way, told in gain.items()))


def timed(kind: str, ways: dict, options: argparse.Namespace) -> dict[str, list[float]]:
    """Time every way, print a table, and return tokens per CPU second by way."""

    def at(way: str, repeat: int) -> Timing:
        asked = questions(options.rows, repeat, options.demos, distinct=kind == "distinct")
        before = cpu_seconds()
        found = ways[way](asked, [repeat * options.rows + n for n in range(options.rows)])
        return replace(found, own=cpu_seconds() - before)

    for call in ways.values():
        call(questions(2, 90, options.demos, distinct=kind == "distinct"), list(range(2)))
    found = interleaved({way: lambda n, way=way: at(way, n) for way in ways}, options.repeats, kind)
    rates = {way: [sum(one.lengths) / one.own for one in runs] for way, runs in found.items()}
    raw = rates.get("vllm.LLM", rates["generate"])
    head = [f"{kind}, {options.rows} completions", "seconds", "CPU seconds"]
    head += ["tokens per CPU second", f"to {list(ways)[-1]}", "mean length"]
    rows = [
        [way, spread([one.seconds for one in runs], 1), spread([one.own for one in runs], 1),
         spread(rates[way]), ratios(rates[way], raw),
         f"{statistics.mean(sum(one.lengths) / len(one.lengths) for one in runs):.0f}"]
        for way, runs in found.items()
    ]  # fmt: skip
    table(head, rows)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--demos", type=int, default=4)
    parser.add_argument("--what", default="auto,shared,distinct")
    parser.add_argument("--no-vllm", dest="vllm", action="store_false", help="leave both vLLMs out")
    options = parser.parse_args()
    threads = int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(threads)
    say(f"rationem {rationem.__version__}, {threads} threads, load {Path('/proc/loadavg').read_text().split()[0]}")
    with tempfile.TemporaryDirectory(prefix="rationem-bench-") as folder:
        try:
            measure(options, Path(folder))
        except RationemError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
