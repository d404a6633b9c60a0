"""The results of the arms on sums -> their page (Markdown tables) and figure (SVG)."""

from __future__ import annotations

import io
import statistics
from pathlib import Path

from page import COLOURS, table, write_below

from rationem.report.figures import adaptive

MARKER = "<!-- Everything below is written by studies/addition.py. -->"
LINES = ("-", "--", "-.", ":", (0, (1, 1)))
GOOD = 0.5


def write_page(results: list[dict], page: Path) -> None:
    """Write the page below its marker, and ``NAME.svg`` beside it; what stands above the marker stays."""
    arms = list(dict.fromkeys(one["arm"] for one in results))
    by_arm = {arm: [one for one in results if one["arm"] == arm] for arm in arms}
    figure = page.with_suffix(".svg")
    figure.write_text(draw(by_arm), encoding="utf-8")
    seeds = len(by_arm[arms[0]])
    parts = [
        f"![accuracy by number of digits against iteration, a panel for each scheme]({figure.name})",
        f"Means of {seeds} seeds; shaded: lowest to highest. One draw at temperature 1 for each of the held-out sums.",
        "## The base model",
        base_table(by_arm[arms[0]]),
        "## Accuracy by number of digits",
        *(part for arm in arms for part in (f"### {arm}", accuracy_table(by_arm[arm]))),
        f"## First iteration with an accuracy of {GOOD} or more",
        table(["scheme", *lengths(results), "thousand tokens drawn"], [first_row(arm, by_arm[arm]) for arm in arms]),
        "## What was kept",
        "Share of the training sums that were kept, and in brackets the share of these whose scratchpad is true, "
        "in the first, the middle and the last iteration.",
        table(["scheme", "iteration", *lengths(results)], [row for arm in arms for row in kept_rows(arm, by_arm[arm])]),
    ]
    write_below(page, MARKER, parts, title="The study of sums")


def lengths(results: list[dict]) -> list[str]:
    return [f"{n} digit{'s' if n != '1' else ''}" for n in results[0]["points"][0]]


def mean(runs: list[dict], k: int, digits: str, key: str) -> float:
    return statistics.fmean(one["points"][k][digits][key] for one in runs)


def base_table(runs: list[dict]) -> str:
    asked = list(runs[0]["points"][0])
    rows = [
        [told, *(f"{mean(runs, 0, n, key):.2f}" for n in asked)]
        for told, key in (
            ("right without a hint", "forward"),
            ("right with the hint", "hinted"),
            ("right with the hint, by a true scratchpad", "hinted_true"),
        )
    ]
    return table(["", *lengths(runs)], rows)


def accuracy_table(runs: list[dict]) -> str:
    asked, count = list(runs[0]["points"][0]), len(runs[0]["points"])
    rows = [[str(k), *(f"{mean(runs, k, n, 'forward'):.2f}" for n in asked)] for k in range(count)]
    return table(["iteration", *lengths(runs)], rows)


def first_row(arm: str, runs: list[dict]) -> list[str]:
    found = []
    for n in runs[0]["points"][0]:
        good = [k for k in range(len(runs[0]["points"])) if mean(runs, k, n, "forward") >= GOOD]
        found.append(str(good[0]) if good else "–")
    return [arm, *found, f"{statistics.fmean(sum(one['generated_tokens']) for one in runs) / 1000:.0f}"]


def kept_rows(arm: str, runs: list[dict]) -> list[list[str]]:
    count = len(runs[0]["kept"])
    rows = []
    for k in dict.fromkeys((0, count // 2, count - 1)):
        row = [arm, str(k + 1)]
        for n in runs[0]["kept"][k]:
            asked, held, true = (sum(one["kept"][k][n][place] for one in runs) for place in range(3))
            row.append(f"{held / asked:.2f} ({true / held:.2f})" if held else "0")
        rows.append(row)
    return rows


def draw(by_arm: dict[str, list[dict]]) -> str:
    """Return the figure: a panel for each scheme, a line for each number of digits."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "addition", "font.size": 10})
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(by_arm), figsize=(3.6 * len(by_arm), 3.4), sharey=True, squeeze=False)
    for axes, (arm, runs) in zip(panels[0], by_arm.items(), strict=True):
        xs = range(len(runs[0]["points"]))
        for place, n in enumerate(runs[0]["points"][0]):
            series = [[point[n]["forward"] for point in one["points"]] for one in runs]
            columns = list(zip(*series, strict=True))
            told = f"{n} digit{'s' if n != '1' else ''}"
            axes.plot(
                xs, list(map(statistics.fmean, columns)), label=told, color=COLOURS[place], linestyle=LINES[place]
            )
            axes.fill_between(
                xs, list(map(min, columns)), list(map(max, columns)), color=COLOURS[place], alpha=0.15, linewidth=0
            )
        axes.set(title=arm, xlabel="iteration", ylim=(-0.03, 1.03))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("accuracy on held-out sums")
    panels[0][-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    held = io.StringIO()
    figure.savefig(held, format="svg", metadata={"Date": None})
    plt.close(figure)
    return adaptive(held.getvalue())
