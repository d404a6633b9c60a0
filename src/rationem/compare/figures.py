"""From results to SVG figures: differences, accuracy by cost, metrics by iteration and tokens, labels, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rationem.compare.kinds import called, leading
from rationem.metrics import titles
from rationem.report.figures import colour, drawn, forest, style
from rationem.report.part import Figure
from rationem.report.tables import number

#: Plotted numbers of every iteration on validation -> label of the axis.
_CURVES = {**titles("curve"), "evidence": "score (validation), nats"}
#: The figures that stand beside the finding.
LEADING = ("from-base", "from-reference", "by-cost")
_Results = Mapping[str, Any]
#: x and the middle, lowest and highest y.
_Point = tuple[float, float, float, float]


def figures(results: _Results) -> dict[str, Figure]:
    """Return file name, without its ending -> figure; figures of missing measurements are left out."""
    found: dict[str, Figure | None] = {
        "from-base": _forest(results, "from_base", "the base model"),
        "from-reference": _forest(results, "difference", results["reference"]),
        "by-cost": _by_cost(results),
    }
    for key, axis in _CURVES.items():
        if key in {"accuracy", "reward"} - {leading(results)}:
            continue
        found[f"{key}-by-iteration"] = _curves(results, key, axis, by_tokens=False)
        found[f"{key}-by-tokens"] = _curves(results, key, axis, by_tokens=True)
    found["acceptance-by-label"] = _by_label(results)
    found["reliability"] = _reliability(results)
    return {name: replace(figure, file=f"{name}.svg") for name, figure in found.items() if figure is not None}


def _named(results: _Results) -> str:
    return titles("compare")[leading(results)]


def _forest(results: _Results, which: str, against: str) -> Figure | None:
    """Return the differences of the arms' chosen weights in the leading number, with their intervals."""
    rows = []
    for arm in results["arms"]:
        apart = (arm["chosen"].get(leading(results)) or {}).get(which)
        if apart:
            ends = None if apart["low"] is None else (apart["low"], apart["high"])
            rows.append((arm["name"], apart["value"], ends))
    if not rows:
        return None
    title = f"{_named(results)} on test, minus that of {against}"
    told = "; ".join(f"{name} {value:+.3f}{_within(ends)}" for name, value, ends in rows)
    return Figure(*forest(rows, title), f"Difference in {title}. {told}.")


def _within(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f" ({number(ends[0])} to {number(ends[1])})"


def _by_cost(results: _Results) -> Figure | None:
    """Return the leading number on test against the tokens that training generated, an arm a point."""
    key, base = leading(results), results["base"].get(leading(results))
    arms = [arm for arm in results["arms"] if arm["chosen"].get(key) and arm["chosen"].get("generated_tokens")]
    if not arms:
        return None
    points = [(arm["name"], arm["chosen"]["generated_tokens"]["value"] / 1000, arm["chosen"][key]) for arm in arms]

    def paint(axes: Any) -> None:
        for n, (name, cost, one) in enumerate(points):
            ends = [[one["value"] - one["low"]], [one["high"] - one["value"]]] if one["low"] is not None else None
            axes.errorbar([cost], [one["value"]], yerr=ends, capsize=4, label=name, **{**style(n), "markersize": 8})
        if base:
            axes.axhline(base["value"], color="#5c636d", linewidth=1, linestyle=(0, (4, 3)), label="base model")

    told = "; ".join(f"{name}: {number(one['value'])} for {1000 * cost:,.0f}" for name, cost, one in points)
    before = f" The base model: {number(base['value'])}." if base else ""
    what = f"{_named(results)} on test"
    return Figure(
        *drawn(paint, "generated tokens of training, thousands", what, entries=len(points) + bool(base)),
        f"{what} against the tokens that training generated. {told}.{before}",
    )


def _curves(results: _Results, key: str, axis: str, *, by_tokens: bool) -> Figure | None:
    lines = {arm["name"]: _line(arm["curves"], key, by_tokens=by_tokens) for arm in results["arms"]}
    if by_tokens:  # an arm without generated tokens would not move on this axis
        lines = {name: line for name, line in lines.items() if line and line[-1][0] > 0}
    return _lines(lines, "generated tokens, thousands" if by_tokens else "iteration", axis, len(results["seeds"]))


def _line(curves: Sequence[Sequence[Mapping[str, Any]]], key: str, *, by_tokens: bool) -> list[_Point]:
    """Return the means over seeds, with their range, of the iterations that every seed has."""
    points = []
    for several in zip(*curves, strict=False):
        values = [point.get(key) for point in several]
        if any(value is None for value in values):
            continue
        x = [point["generated_tokens"] / 1000 if by_tokens else point["iteration"] for point in several]
        points.append((sum(x) / len(x), sum(values) / len(values), min(values), max(values)))
    return points


def _lines(lines: Mapping[str, Sequence[_Point]], x: str, y: str, seeds: int) -> Figure | None:
    shown = {name: line for name, line in lines.items() if line}
    if not shown:
        return None

    def paint(axes: Any) -> None:
        for n, (name, line) in enumerate(shown.items()):
            xs, middle, low, high = (list(column) for column in zip(*line, strict=True))
            axes.plot(xs, middle, label=name, **style(n))
            if seeds > 1:
                axes.fill_between(xs, low, high, color=colour(n), alpha=0.14, linewidth=0)

    told = "; ".join(f"{name}: {', '.join(number(point[1], 2) for point in line)}" for name, line in shown.items())
    spread = (
        " Means over seeds, for the iterations that all seeds have; shaded: lowest to highest." if seeds > 1 else ""
    )
    return Figure(*drawn(paint, x, y, entries=len(shown)), f"{y} against {x}. {told}.{spread}")


def _by_label(results: _Results) -> Figure | None:
    arms = [arm for arm in results["arms"] if arm["by_label"]]
    if not arms:
        return None
    levels = [row["level"] for row in arms[0]["by_label"]]

    def paint(axes: Any) -> None:
        width = 0.8 / len(arms)
        for n, arm in enumerate(arms):
            at = [place + (n - (len(arms) - 1) / 2) * width for place in range(len(levels))]
            axes.bar(
                at, [row["first_accepted"] or 0.0 for row in arm["by_label"]], width, color=colour(n), label=arm["name"]
            )
        axes.set_xticks(range(len(levels)), levels)

    told = "; ".join(f"{arm['name']}: {', '.join(map(_accepted, arm['by_label']))}" for arm in arms)
    return Figure(
        *drawn(paint, "people's label", "first attempts accepted", entries=len(arms)),
        f"Share of first attempts accepted in training, by label, all iterations. {told}.",
    )


def _accepted(row: Mapping[str, Any]) -> str:
    return f"{row['level']} {number(row['first_accepted'], 2)}"


def _reliability(results: _Results) -> Figure | None:
    lines = {
        arm["name"]: [(one["confidence"], one["accuracy"]) for one in arm["reliability"] if one["count"]]
        for arm in results["arms"]
    }
    shown = {name: line for name, line in lines.items() if line}
    if not shown:
        return None

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="#5c636d", linewidth=1, linestyle=(0, (4, 3)), label="perfect calibration")
        for n, (name, line) in enumerate(shown.items()):
            axes.plot(*zip(*line, strict=True), label=name, **style(n))
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03))

    told = "; ".join(
        f"{name}: {', '.join(f'{sure:.2f} sure, {right:.2f} right' for sure, right in line)}"
        for name, line in shown.items()
    )
    sure, right = called(results).sure, called(results).met
    return Figure(
        *drawn(paint, sure, right, entries=len(shown) + 1),
        f"Confidence of the {called(results).who}s ({sure}) and how often they are right ({right}), on test. {told}.",
    )
