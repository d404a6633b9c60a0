"""The figures of the pages, each one panel small enough for a phone, for a light and for a dark background."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from rationem.report.escape import clean
from rationem.report.part import Plot, Table
from rationem.report.tables import number

_INK, _GRID, _PAPER = "#1f2430", "#d3d8df", "#fefefe"
_COLOURS = ("#0969a8", "#b3470a", "#0b7a55", "#a03a7d", "#7d6208", "#5c636d")
#: Figures are drawn once, for a light background; every colour has its counterpart on a dark one.
_DARK = dict(
    zip(
        (_INK, _GRID, _PAPER, *_COLOURS),
        ("#e4e8ee", "#3c4450", "#10141a", "#62b4f2", "#f79a5e", "#4cc79c", "#ec94c8", "#d9b84a", "#aab2bd"),
        strict=True,
    )
)
_MARKERS, _DASHES = ("o", "s", "^", "D", "v", "P"), ("-", "--", ":", "-.")
_SIZE = (4.8, 3.2)
#: Characters of a name in the legend: the maximum for two names side by side, and the maximum shown.
_SHORT, _LONG = 19, 44
_SETTINGS = {
    "svg.hashsalt": "rationem",
    "svg.fonttype": "none",
    "font.size": 11.5,
    "text.parse_math": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a figure.

    Args:
        name: in the legend.
        points: (x, y), a y of None is left out.
        errors: half lengths of error bars, one per point, or none.
    """

    name: str
    points: tuple[tuple[float, float | None], ...]
    errors: tuple[float, ...] = ()

    @property
    def known(self) -> tuple[tuple[float, float], ...]:
        """The points that have a value."""
        return tuple((x, y) for x, y in self.points if y is not None)


def curves(
    title: str, unit: str, lines: Sequence[Line], level: tuple[str, float] | None = None, *, repeats: bool = False
) -> Plot | None:
    """Return lines over the iterations; None if no line has a point.

    Args:
        title: what is shown.
        unit: of the vertical axis.
        lines: in the order of the legend.
        level: name and height of a horizontal reference line.
        repeats: as :class:`.part.Plot` has it.
    """
    shown = [line for line in lines if line.known]
    if not shown:
        return None

    def paint(axes: Any) -> None:
        for n, line in enumerate(shown):
            x, y = zip(*line.known, strict=True)
            if line.errors:
                axes.errorbar(x, y, yerr=line.errors, capsize=3, label=clean(line.name), **style(n))
            else:
                axes.plot(x, y, label=clean(line.name), **style(n))
        if level is not None:
            axes.axhline(level[1], color=_INK, linewidth=1, linestyle=(0, (4, 3)), label=clean(level[0]))
        axes.xaxis.get_major_locator().set_params(integer=True)

    draw = partial(drawn, paint, "iteration", unit, entries=len(shown) + (level is not None))
    told = [f"{line.name}: {_listed(line)}" for line in shown]
    told += [f"{level[0]}: {number(level[1])}"] if level else []
    xs = sorted({x for line in shown for x, _ in line.known})
    values = [dict(line.known) for line in shown]
    rows = [[number(int(x)), *(number(value.get(x)) for value in values)] for x in xs]
    rows += [[level[0], *(number(level[1]) for _ in shown)]] if level else []
    label = f"{title} by iteration. {'. '.join(told)}."
    return Plot(title, Table(["iteration", *(line.name for line in shown)], rows), label, draw, repeats)


def reliability(
    title: str,
    bins: Sequence[Mapping[str, Any]],
    *,
    sure: str = "probability of the predicted level",
    right: str = "share that is right",
    who: str = "model",
) -> Plot | None:
    """Return a model's confidence against its accuracy; None if it was not scored.

    Args:
        title: what is shown.
        bins: the block ``reliability`` of the scores.
        sure: what its confidence is.
        right: what that is compared with.
        who: what the model is called.
    """
    filled = [one for one in bins if one["count"]]
    if not filled:
        return None
    most = max(one["count"] for one in filled)

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle=(0, (4, 3)), label="as sure as right")
        x, y = [one["confidence"] for one in filled], [one["accuracy"] for one in filled]
        axes.plot(x, y, color=_COLOURS[0], linewidth=1)
        sizes = [20 + 130 * one["count"] / most for one in filled]
        axes.scatter(x, y, s=sizes, color=_COLOURS[0], label="a bin; larger: more items", zorder=3)
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03))

    draw = partial(drawn, paint, sure, right, entries=2)
    told = [
        f"{one['count']} items with a mean of {number(one['confidence'], 2)}: {number(one['accuracy'], 2)} {right}"
        for one in filled
    ]
    rows = [
        [f"{one['low']:.1f}–{one['high']:.1f}", *(number(one[key]) for key in ("count", "confidence", "accuracy"))]
        for one in filled
    ]
    head = [sure, "items", "mean", right]
    label = f"{title}: {sure}. {'; '.join(told)}. A {who} as sure as it is right lies on the diagonal."
    return Plot(title, Table(head, rows), label, draw)


def stacks(title: str, unit: str, counts: Mapping[int, Mapping[str, int]], names: Mapping[str, str]) -> Plot | None:
    """Return one bar per iteration, divided into the outcomes of what is counted; None if nothing is.

    Args:
        title: what is shown.
        unit: what is counted, in the plural.
        counts: iteration -> key -> number.
        names: key -> its name, in the order of the parts.
    """
    shown = {key: name for key, name in names.items() if any(each.get(key) for each in counts.values())}
    if not shown:
        return None
    xs = list(counts)
    tallest = max(sum(each.values()) for each in counts.values())

    def paint(axes: Any) -> None:
        floor = [0] * len(xs)
        for n, (key, name) in enumerate(shown.items()):
            heights = [counts[k].get(key, 0) for k in xs]
            axes.bar(xs, heights, 0.66, bottom=floor, color=_COLOURS[n % len(_COLOURS)], label=name, edgecolor=_PAPER)
            for x, low, high in zip(xs, floor, heights, strict=True):
                if high > 0.08 * tallest and len(xs) <= 8:
                    axes.text(x, low + high / 2, str(high), ha="center", va="center", color=_PAPER, size=10.5)
            floor = [low + high for low, high in zip(floor, heights, strict=True)]
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlim=(min(xs) - 0.7, max(xs) + 0.7))

    draw = partial(drawn, paint, "iteration", unit, entries=len(shown), grid="y")
    told = [
        f"Iteration {k}: {', '.join(f'{counts[k][key]} {name}' for key, name in shown.items() if counts[k].get(key))}"
        for k in xs
    ]
    rows = [[str(k), *(str(counts[k].get(key, 0)) for key in shown), str(sum(counts[k].values()))] for k in xs]
    label = f"{title}: number of {unit} by iteration. {'. '.join(told)}."
    return Plot(title, Table(["iteration", *shown.values(), "all"], rows), label, draw, repeats=True)


def _listed(line: Line) -> str:
    return ", ".join(f"{number(y)} in iteration {x:g}" for x, y in line.known)


def colour(n: int) -> str:
    """Return the colour of the n-th line or part; it has a counterpart for a dark background."""
    return _COLOURS[n % len(_COLOURS)]


def style(n: int) -> dict[str, Any]:
    """Return the style that distinguishes the n-th line: colour, marker and, if these repeat, dashes."""
    dashes = _DASHES[n // len(_COLOURS) % len(_DASHES)]
    return {"color": colour(n), "marker": _MARKERS[n % len(_MARKERS)], "markersize": 5, "linestyle": dashes}


def drawn(
    paint: Callable[[Any], None],
    x: str,
    y: str,
    *,
    entries: int,
    grid: Literal["both", "x", "y"] = "both",
    rows: int = 0,
) -> tuple[str, str]:
    """Return the SVG for a light and for a dark background; the legend is above the panel.

    Args:
        paint: draws into the axes.
        entries: the number of named parts; the figure grows with it.
        grid: the axis with grid lines.
        rows: of a panel whose vertical axis has no scale; the figure grows with them.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        # A name in a script that matplotlib's font lacks: the reader's font has it, because text stays text in the SVG.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        canvas = Canvas(figsize=_SIZE)
        axes = canvas.subplots()
        paint(axes)
        axes.set(xlabel=x, ylabel=y)
        axes.grid(axis=grid, linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        handles, names = axes.get_legend_handles_labels()
        columns = 1 if max(map(len, names), default=0) > _SHORT else 2
        lines = -(-entries // columns)
        height = max(_SIZE[1], 0.8 + 0.5 * rows) + 0.23 * max(0, lines - 1)
        canvas.set_figheight(height)
        left, top = 0.03 if rows else 0.165, 1 - (0.12 + 0.23 * lines) / height
        canvas.subplots_adjust(left=left, right=0.97, bottom=0.56 / height, top=top)
        shown = [name if len(name) <= _LONG else f"{name[: _LONG - 1]}…" for name in names]
        place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "ncols": columns, "borderaxespad": 0.1}
        spaced = {"handlelength": 1.6, "columnspacing": 1.2, "labelspacing": 0.3}
        if entries:
            axes.legend(handles, shown, frameon=False, fontsize=10.5, **place, **spaced)
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    light = text.getvalue()
    return light, _COLOUR.sub(lambda found: _DARK.get(found[0], found[0]), light)


def forest(rows: Sequence[tuple[str, float, tuple[float, float] | None]], x: str) -> tuple[str, str]:
    """Return differences with their intervals, one row each, for a light and for a dark background.

    A row that excludes 0 is in colour; names and numbers stand above the lines, so a phone has room for both.

    Args:
        rows: name, difference and the ends of its interval, if it has one; the first is on top.
        x: what differs.
    """

    def paint(axes: Any) -> None:
        axes.axvline(0, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
        for n, (name, value, ends) in enumerate(rows):
            told = f"{value:+.3f}"
            clear = ends is not None and not ends[0] <= 0 <= ends[1]
            shade = _COLOURS[(0 if value > 0 else 1) if clear else -1]
            if ends is not None:
                axes.plot(ends, (-n, -n), color=shade, linewidth=3, solid_capstyle="butt")
                told += f" [{ends[0]:.3f}, {ends[1]:.3f}]"
            axes.plot([value], [-n], color=shade, marker="o", markersize=8)
            long = name if len(name) <= _LONG - 14 else f"{name[: _LONG - 15]}…"
            for at, text, side in ((0.0, clean(long), "left"), (1.0, told, "right")):
                ground = {"facecolor": _PAPER, "edgecolor": "none", "pad": 1.5}
                place = {"transform": axes.get_yaxis_transform(), "ha": side, "size": 10.5}
                axes.text(at, -n + 0.26, text, bbox=ground, **place)
        axes.set(yticks=[], ylim=(-len(rows) + 0.55, 0.75))
        axes.spines["left"].set_visible(False)

    return drawn(paint, x, "", entries=0, grid="x", rows=len(rows))


_COLOUR = re.compile(r"#[0-9a-f]{6}\b")


def adaptive(svg: str) -> str:
    """Return a figure for a light background with a style that recolours it where the reader's background is dark.

    For a file that a page shows as an image; black and white of other programs' figures are recoloured too.
    """
    colours = {**_DARK, "#000000": _DARK[_INK], "#b0b0b0": _DARK[_GRID]}
    rules = [
        f'[style*="{kind}: {one}"]{{{kind}:{dark} !important}}'
        for one, dark in colours.items()
        for kind in ("fill", "stroke")
        if f"{kind}: {one}" in svg
    ]
    dark = f'text{{fill:{_DARK[_INK]}}}[style*="fill: #ffffff"]{{fill:none !important}}{"".join(rules)}'
    return svg.replace("<defs>", f"<style>@media (prefers-color-scheme: dark){{{dark}}}</style>\n <defs>", 1)
