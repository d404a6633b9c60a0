"""The numbers of ``benchmarks/time_to_accuracy.py`` -> ``docs/time-to-accuracy.md``."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

MARK = "<!-- Everything below is written by `python benchmarks/time_to_accuracy.py`. -->"
#: The arm that the others are compared with, and the seed of the search, which no measurement uses.
OURS, SEARCH_SEED = "RS(4)", 100
TARGETS = (0.6, 0.65, 0.7)
#: Thousands of tokens at which the arms are compared.
GENERATED, TRAINED = (10, 20, 40, 60), (40, 80, 120, 160)
NONE = "–"

Run = dict[str, Any]


def held(points: Sequence[Run], target: float) -> Run | None:
    """Return the first point from which on every accuracy is at least the target; None if no later point confirms it.

    >>> held([{"accuracy": a} for a in (0.5, 0.7, 0.8)], 0.6)
    {'accuracy': 0.7}
    """
    first = len(points)
    while first and points[first - 1]["accuracy"] >= target:
        first -= 1
    return points[first] if first + 1 < len(points) else None


def at(run: Run, tokens: str, budget: float) -> float | None:
    """Return the accuracy at a number of tokens, linear between two points; None after the last.

    Args:
        tokens: "generated" or "trained".
    """
    points = [{tokens: 0, "accuracy": run["base"]}, *run["points"]]
    for before, after in pairwise(points):
        if before[tokens] <= budget <= after[tokens]:
            share = (budget - before[tokens]) / ((after[tokens] - before[tokens]) or 1)
            return before["accuracy"] + share * (after["accuracy"] - before["accuracy"])
    return None


def spread(values: Sequence[float], form: str = ".0f") -> str:
    """Return median [least-most]; the value alone if there is one."""
    if not values:
        return NONE
    middle = f"{statistics.median(values):{form}}"
    return middle if len(values) == 1 else f"{middle} [{min(values):{form}}-{max(values):{form}}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def by_arm(runs: dict[str, Run]) -> dict[str, dict[int, Run]]:
    """Return arm -> seed -> run, without the search, RS(4) first."""
    found: dict[str, dict[int, Run]] = {}
    for run in runs.values():
        if run["seed"] != SEARCH_SEED:
            found.setdefault(run["arm"], {})[run["seed"]] = run
    return dict(sorted(found.items(), key=lambda item: (item[0] != OURS, item[0])))


def paired(arm: dict[int, Run], ours: dict[int, Run], target: float, cost: Callable[[Run, Run], float]) -> list[float]:
    """Return an arm's cost over that of RS(4) for the seeds in which both reached and held the target."""
    ends = {
        seed: (held(arm[seed]["points"], target), held(ours[seed]["points"], target)) for seed in arm if seed in ours
    }
    return [
        cost(arm[seed], its) / cost(ours[seed], own)
        for seed, (its, own) in ends.items()
        if its is not None and own is not None
    ]


def cpu(run: Run, point: Run) -> float:
    """Return CPU seconds of the loop."""
    return float(point["cpu"])


def whole(run: Run, point: Run) -> float:
    """Return CPU seconds with the start-up."""
    return float(run["start_up"][1] + point["cpu"])


def search_table(runs: dict[str, Run]) -> str:
    rows: dict[str, dict[float, float]] = {}
    for run in runs.values():
        if run["seed"] == SEARCH_SEED:
            rows.setdefault(run["arm"], {})[run["rate"]] = statistics.mean(one["accuracy"] for one in run["points"])
    rates = sorted({rate for row in rows.values() for rate in row})

    def cell(row: dict[float, float], rate: float) -> str:
        best = "**" if row.get(rate) == max(row.values()) and len(row) == len(rates) else ""
        return f"{best}{row[rate]:.3f}{best}" if rate in row else NONE

    return table(
        ["arm", *(f"{rate:g}" for rate in rates)], [[arm, *(cell(row, r) for r in rates)] for arm, row in rows.items()]
    )


def time_table(arms: dict[str, dict[int, Run]], target: float) -> str:
    """Return what it cost each arm to reach and hold one accuracy."""
    rows = []
    for name, seeds in arms.items():
        ends = [(run, end) for run in seeds.values() if (end := held(run["points"], target)) is not None]
        against = [
            spread(paired(seeds, arms.get(OURS, {}), target, cost), ".1f") if name != OURS else "1"
            for cost in (cpu, whole)
        ]
        rows.append([
            name, f"{len(ends)} of {len(seeds)}", spread([cpu(*one) for one in ends]),
            spread([whole(*one) for one in ends]), spread([end["seconds"] for _, end in ends]),
            spread([end["generated"] / 1000 for _, end in ends]), *against,
        ])  # fmt: skip
    head = ["arm", "reached and held", "CPU seconds", "with start-up", "wall seconds", "generated (thousands)"]
    return table([*head, "CPU / RS(4)'s", "with start-up / RS(4)'s"], rows)


def token_table(arms: dict[str, dict[int, Run]], tokens: str, budgets: Sequence[int]) -> str:
    """Return the accuracies at equal tokens: mean over the seeds, with the range."""

    def cell(seeds: dict[int, Run], budget: int) -> str:
        found = [one for run in seeds.values() if (one := at(run, tokens, 1000 * budget)) is not None]
        if len(found) < len(seeds):
            return NONE
        return f"{statistics.mean(found):.2f} [{min(found):.2f}-{max(found):.2f}]"

    head = ["arm", "seeds", *(f"{budget}k" for budget in budgets)]
    return table(head, [[name, str(len(seeds)), *(cell(seeds, b) for b in budgets)] for name, seeds in arms.items()])


def cost_table(arms: dict[str, dict[int, Run]]) -> str:
    """Return what whole trainings cost."""
    rows = []
    for name, seeds in arms.items():
        ends = [run["points"][-1] for run in seeds.values()]
        rows.append([
            name, spread([run["start_up"][1] for run in seeds.values()]), spread([end["cpu"] for end in ends]),
            spread([end["seconds"] for end in ends]), spread([end["generated"] / 1000 for end in ends]),
            spread([end["trained"] / 1000 for end in ends]),
            spread([end["cpu"] / (end["generated"] + end["trained"]) * 1e6 for end in ends]),
            spread([end["accuracy"] for end in ends], ".2f"),
        ])  # fmt: skip
    head = ["arm", "start-up, CPU s", "CPU seconds", "wall seconds", "generated (thousands)", "trained (thousands)"]
    return table([*head, "CPU s per million tokens", "accuracy at the end"], rows)


def half_table(runs: dict[str, Run]) -> str:
    """Return what the half trainings of the search cost, and over RS(4)'s with the same rate."""
    ends: dict[str, dict[float, Run]] = {}
    for run in runs.values():
        if run["seed"] == SEARCH_SEED:
            ends.setdefault(run["arm"], {})[run["rate"]] = run["points"][-1]
    ours, rows = ends.get(OURS, {}), []
    for name, found in sorted(ends.items(), key=lambda item: (item[0] != OURS, item[0])):
        ratios = [end["cpu"] / ours[rate]["cpu"] for rate, end in found.items() if rate in ours]
        rows.append([
            name, spread([end["cpu"] for end in found.values()]), spread([end["seconds"] for end in found.values()]),
            spread([end["generated"] / 1000 for end in found.values()]),
            spread([end["trained"] / 1000 for end in found.values()]), "1" if name == OURS else spread(ratios, ".1f"),
        ])  # fmt: skip
    head = ["arm", "CPU seconds", "wall seconds", "generated (thousands)", "trained (thousands)", "CPU / RS(4)'s"]
    return table(head, rows)


def page(found: dict[str, Any]) -> Iterator[str]:
    """Yield the paragraphs below the mark."""
    runs, arms = found["runs"], by_arm(found["runs"])
    yield "Versions: " + ", ".join(f"{name} {number}" for name, number in found["versions"].items()) + "."
    yield "## The search: mean accuracy over the checkpoints, by learning rate"
    yield search_table(runs)
    yield "What these half trainings cost, median over the rates [range]:"
    yield half_table(runs)
    if not arms:
        yield "No seed has run yet."
        return
    bases = [run["base"] for seeds in arms.values() for run in seeds.values()]
    yield f"Accuracy of the base model on the test questions: {bases[0]:.3f}."
    yield "## Time to accuracy"
    for target in TARGETS:
        yield f"### Accuracy {target:.2f}"
        yield time_table(arms, target)
    yield "## At equal tokens"
    yield "Accuracy at equal *generated* tokens, mean over the seeds [range]; – where a seed ended before:"
    yield token_table(arms, "generated", GENERATED)
    yield "At equal *trained* tokens (prompts included, padding not):"
    yield token_table(arms, "trained", TRAINED)
    yield "## Whole trainings"
    yield cost_table(arms)


def write_page(found: dict[str, Any], path: Path) -> None:
    """Write the page below its mark; what stands above it stays."""
    before = path.read_text(encoding="utf-8").partition(MARK)[0] if path.is_file() else "# Time to accuracy\n\n"
    path.write_text(f"{before}{MARK}\n\n" + "\n\n".join(page(found)) + "\n", encoding="utf-8")
