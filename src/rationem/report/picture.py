"""Figures as SVG text, by matplotlib; the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#7F7F7F", "#CC79A7", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True, slots=True)
class Curve:
    """One scheme: (generated tokens, accuracy, log-likelihood) per iteration, and which iteration was chosen."""

    name: str
    points: tuple[tuple[float, float, float], ...]
    best: int


def curves(several: Sequence[Curve]) -> str:
    """Return accuracy and log-likelihood (validation) against generated tokens, one line per scheme, as SVG.

    A scheme that generates nothing is drawn at zero tokens. The chosen iteration has a ring.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "rationem", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        panels = figure.subplots(1, 2)
        for axis, column, title in zip(panels, (1, 2), ("accuracy", "log-likelihood (nats)"), strict=True):
            for n, curve in enumerate(several):
                _line(axis, curve, column, _COLOURS[n % len(_COLOURS)], _MARKERS[n % len(_MARKERS)])
            axis.set(xlabel="generated tokens (thousands)", ylabel=f"validation {title}")
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
        panels[0].legend(frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()


def _line(axis: object, curve: Curve, column: int, colour: str, marker: str) -> None:
    x = [point[0] / 1000 for point in curve.points]
    y = [point[column] for point in curve.points]
    axis.plot(x, y, color=colour, marker=marker, markersize=4, label=curve.name)  # type: ignore[attr-defined]
    ring = {"markersize": 10, "fillstyle": "none", "color": colour}
    axis.plot(x[curve.best : curve.best + 1], y[curve.best : curve.best + 1], "o", **ring)  # type: ignore[attr-defined]
