"""The accuracy of each arm on real grades, with its interval, as a figure (SVG)."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rationem.report.figures import adaptive

#: Name, accuracy, and the ends of its 95 % interval.
Point = tuple[str, float, float, float]
_HEIGHT, _PER_ROW = 1.1, 0.38


def draw(points: Sequence[Point], constant: float, seeds: str) -> str:
    """Return the figure: a row for each point, the first on top, and a line where one grade is always given."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "rationem", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(7.2, _HEIGHT + _PER_ROW * len(points)), layout="constrained")
        axis = figure.subplots()
        rows = range(len(points))[::-1]
        for row, (_, value, low, high) in zip(rows, points, strict=True):
            axis.plot([low, high], [row, row], color="#0072B2", linewidth=2)
            axis.plot([value], [row], "o", color="#0072B2")
            axis.annotate(f"{value:.3f}", (value, row), (0, 7), textcoords="offset points", ha="center", fontsize=8)
        axis.axvline(constant, color="#7F7F7F", linestyle="--", linewidth=1)
        axis.annotate(f"always one grade {constant:.3f}", (constant, len(points) - 0.4), ha="center", fontsize=8)
        axis.set(xlabel=f"accuracy on unseen answers, 95 % intervals, {seeds}", ylim=(-0.6, len(points) - 0.1))
        axis.set_yticks(list(rows), [name for name, *_ in points])
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", alpha=0.3)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        return adaptive(text.getvalue())
