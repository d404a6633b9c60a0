"""The results of the study's arms -> its page (Markdown tables) and figure (SVG)."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rationem.report.figures import adaptive

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C564B",
    "#7F7F7F",
    "#9467BD",
    "#BCBD22",
    "#17BECF",
)
PPS, EXACT = "PPS", "enumerated EM"
RESAMPLES = 10_000
MARKER = "<!-- Everything below is written by `make study`. -->"


def write_page(results: list[dict], arms: list[str], apart: list[dict], page: Path) -> None:
    """Write the page below its marker, and ``NAME.svg`` beside it; what stands above the marker stays."""
    by_arm = {arm: {one["cell"]: one for one in results if one["arm"] == arm} for arm in arms}
    cells = sorted(next(iter(by_arm.values())))
    figure = page.with_suffix(".svg")
    figure.write_text(draw(by_arm, cells), encoding="utf-8")
    parts = [
        head(by_arm, cells, figure.name),
        table(["scheme", *END], [end_row(arm, by_arm, cells) for arm in arms]),
        END_NOTE,
        "## At equal tokens, and beside enumerated EM",
        table(["scheme", *TOKENS], [token_row(arm, by_arm, cells) for arm in arms]),
        TOKENS_NOTE,
        "## Where the paper's PPS is best, and where it is not",
        *winners(by_arm, cells),
        "## How far the schemes are from the posterior",
        table(["at the base model", "KL(accepted ‖ posterior), nats"], apart_rows(apart)),
        APART_NOTE,
        table(["weights", *DRIFT], drift_rows(by_arm, cells)),
        DRIFT_NOTE,
    ]
    write_below(page, MARKER, parts, title="The study of schemes")


def write_below(page: Path, marker: str, parts: Sequence[str], *, title: str = "") -> None:
    """Write parts below the marker of a page, which keeps what stands above; a new page begins with its title."""
    above = page.read_text(encoding="utf-8").partition(marker)[0] if page.is_file() else f"# {title}\n\n"
    page.write_text(above + "\n\n".join([marker, *parts]) + "\n", encoding="utf-8")


END = (
    "evidence, certified bounds",
    "posterior missing, at most",
    "accuracy",
    "faithful",
    "kept, first → last",
    "evidence minus PPS's",
    "cells above PPS",
)
END_NOTE = (
    "After the last iteration, means over the cells. Evidence: mean log p(y* | x) of the held-out questions, nats, "
    "between the certified bounds; of an item's posterior at most 1 - exp(lower - upper) is missing from what was "
    "enumerated. Differences are of the bounds' midpoints, paired by cell, with 95 % bootstrap intervals over cells. "
    "Faithful: share of the rationales whose findings are true of the question."
)
TOKENS = (
    "generated tokens (thousands)",
    "of PPS's",
    "evidence at PPS's tokens",
    "evidence minus enumerated EM's, last",
    "mean over iterations",
    "accuracy minus enumerated EM's",
)
TOKENS_NOTE = (
    "At PPS's tokens: the arm's evidence, interpolated between iterations, when it has generated as many tokens as PPS "
    "in all iterations of that cell. Enumerated EM generates none: it enumerates."
)
DRIFT = ("from the present hinted sampler", "from the frozen base's hinted sampler")
APART_NOTE = (
    "The value over the enumerated rationales, mean over questions and cells; in brackets the certified lower bound. "
    "What rejection sampling accepts at temperature 1, without a cut, follows the posterior."
)
DRIFT_NOTE = (
    "The same of what PPS would accept with the weights of the row, from their own posterior: with their own hinted "
    "sampler, and with that of the frozen base."
)


def head(by_arm: dict, cells: list[str], figure: str) -> str:
    bases, humans, rates = (sorted({cell.split("-")[n] for cell in cells}) for n in range(3))
    return (
        f"{len(cells)} cells: {len(bases)} pretrained bases, {len(humans)} hidden humans, {len(rates)} learning rates "
        f"({', '.join(rate.removeprefix('rate') for rate in rates)}); in each all {len(by_arm)} arms with the same "
        "questions, steps and seeds.\n\n"
        f"![evidence and accuracy by iteration and by generated tokens]({figure})"
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def middle(point: dict) -> float:
    """Return the midpoint of the bounds; a question without a lower bound leaves the upper one."""
    return point["upper"] if point["lower"] is None else (point["lower"] + point["upper"]) / 2


def mean_over(cells: list[str], value) -> float:
    return statistics.fmean(value(cell) for cell in cells)


def paired(cells: list[str], value) -> str:
    """Return the mean of a value per cell and its 95 % bootstrap interval over cells."""
    values = np.array([value(cell) for cell in cells])
    rng = np.random.Generator(np.random.Philox(key=0))
    drawn = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return f"{values.mean():+.2f} [{low:+.2f}, {high:+.2f}]"


def end_row(arm: str, by_arm: dict, cells: list[str]) -> list[str]:
    runs, pps = by_arm[arm], by_arm[PPS]
    last = {cell: runs[cell]["points"][-1] for cell in cells}
    kept = [mean_over(cells, lambda cell, n=n: runs[cell]["e_steps"][n]["kept"]) for n in (0, -1)]
    low = mean_over(cells, lambda cell: last[cell]["lower_found"])
    high = mean_over(cells, lambda cell: last[cell]["upper"])
    better = sum(middle(last[cell]) > middle(pps[cell]["points"][-1]) for cell in cells)
    return [
        arm,
        f"{low:.2f} .. {high:.2f}",
        f"{1 - math.exp(low - high):.2f}",
        f"{mean_over(cells, lambda cell: last[cell]['accuracy']):.2f}",
        f"{mean_over(cells, lambda cell: last[cell]['faithful']):.2f}",
        f"{kept[0]:.0f} → {kept[1]:.0f}",
        "–" if arm == PPS else paired(cells, lambda cell: middle(last[cell]) - middle(pps[cell]["points"][-1])),
        "–" if arm == PPS else f"{better} of {len(cells)}",
    ]


def tokens(run: dict) -> list[float]:
    """Return the generated tokens after 0, 1, ... iterations."""
    return [0.0, *np.cumsum([step["generated_tokens"] for step in run["e_steps"]]).tolist()]


def token_row(arm: str, by_arm: dict, cells: list[str]) -> list[str]:
    runs, pps, exact = by_arm[arm], by_arm[PPS], by_arm.get(EXACT)

    def at_pps(cell: str) -> float:
        spent, points = tokens(runs[cell]), runs[cell]["points"]
        return float(
            np.interp(
                tokens(pps[cell])[-1], [spent[point["iteration"]] for point in points], [middle(p) for p in points]
            )
        )

    total = mean_over(cells, lambda cell: tokens(runs[cell])[-1])
    share = mean_over(cells, lambda cell: tokens(runs[cell])[-1] / tokens(pps[cell])[-1])
    beside = arm != EXACT and exact is not None

    def apart(cell: str, key=middle, some=slice(-1, None)) -> float:
        pairs = zip(runs[cell]["points"][some], exact[cell]["points"][some], strict=True)
        return statistics.fmean(key(mine) - key(theirs) for mine, theirs in pairs)

    return [
        arm,
        f"{total / 1000:.0f}",
        f"{share:.2f}",
        "–" if arm == EXACT else f"{mean_over(cells, at_pps):.2f}",
        paired(cells, apart) if beside else "–",
        paired(cells, lambda cell: apart(cell, some=slice(1, None))) if beside else "–",
        paired(cells, lambda cell: apart(cell, key=lambda point: point["accuracy"])) if beside else "–",
    ]


def winners(by_arm: dict, cells: list[str]) -> list[str]:
    """Return the table of every cell: the best of the paper's three after the first and the last iteration."""
    three = [arm for arm in ("RS(4)", "STaR", PPS) if arm in by_arm]
    rows = []
    for cell in cells:
        row = [cell]
        for k in (1, -1):
            scores = {arm: middle(by_arm[arm][cell]["points"][k]) for arm in three}
            best = max(scores, key=lambda arm: scores[arm])
            row += [f"**{best}**", ", ".join(f"{scores[arm]:.2f}" for arm in three)]
        base = by_arm[PPS][cell]["points"][0]
        rows.append([*row, f"{middle(base):.2f}"])
    names = ", ".join(three)
    header = ["cell", "best after 1", names, "best after the last", names, "base model"]
    return [table(header, rows), "Midpoints of the certified bounds of the held-out evidence, nats."]


def apart_rows(apart: list[dict]) -> list[list[str]]:
    rows = []
    for scheme in apart[0]:
        enumerated, lower = (statistics.fmean(one[scheme][key] for one in apart) for key in ("enumerated", "lower"))
        rows.append([scheme, f"{enumerated:.2f} [{lower:.2f}]"])
    return rows


def drift_rows(by_arm: dict, cells: list[str]) -> list[list[str]]:
    def shown(points: list[dict], key: str) -> str:
        known = [point[key] for point in points if key in point]
        enumerated = statistics.fmean(one["enumerated"] for one in known)
        return f"{enumerated:.2f} [{statistics.fmean(one['lower'] for one in known):.2f}]"

    starts = [by_arm[PPS][cell]["points"][0] for cell in cells]
    rows = [["base model", *(shown(starts, key) for key in ("sampler", "sampler@base"))]]
    for arm, runs in by_arm.items():
        ends = [runs[cell]["points"][-1] for cell in cells]
        rows.append([f"after {arm}", *(shown(ends, key) for key in ("sampler", "sampler@base"))])
    return rows


def draw(by_arm: dict, cells: list[str]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "rationem", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(11, 4.2), layout="constrained")
        panels = figure.subplots(1, 3)
        for which, (arm, runs) in enumerate(by_arm.items()):
            style = {"color": "black", "linestyle": "--"} if arm == EXACT else {"color": COLOURS[which % len(COLOURS)]}
            iterations = [point["iteration"] for point in runs[cells[0]]["points"]]
            order = range(len(iterations))
            evidence, accuracy = (
                [statistics.fmean(key(run["points"][n]) for run in runs.values()) for n in order]
                for key in (middle, lambda point: point["accuracy"])
            )
            spent = [statistics.fmean(tokens(run)[k] for run in runs.values()) / 1000 for k in iterations]
            mark = {"marker": "o", "markersize": 3, "label": arm, **style}
            panels[0].plot(iterations, evidence, **mark)
            panels[1].plot(iterations, accuracy, **mark)
            if arm != EXACT:
                panels[2].plot(spent, evidence, **mark)
        panels[0].set(xlabel="iteration", ylabel="held-out evidence (nats per question)")
        panels[1].set(xlabel="iteration", ylabel="held-out accuracy")
        panels[2].set(xlabel="generated tokens (thousands)", ylabel="held-out evidence (nats per question)")
        for panel in panels:
            panel.grid(alpha=0.3)
            panel.spines[["top", "right"]].set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        return adaptive(text.getvalue())
