"""LLMBar (Zeng et al. 2023, arXiv 2310.07641): which of two outputs follows the instruction?"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset, coded
from rationem.tasks.scale import Scale

_LEVELS = {"1": "A", "2": "B"}


def _flatten(cells: Cells) -> dict[str, object]:
    texts = {key: cells[key] for key in ("input", "output_1", "output_2")}
    return {**texts, "label": coded(cells.get("label"), _LEVELS)}


LLMBAR = Preset(
    name="llmbar",
    schema='{"input", "output_1", "output_2", "label"}',
    scale=Scale.parse("A | B"),
    columns=Columns("input", "output_1,output_2", "label"),
    inputs=("input", "output_1", "output_2"),
    labels=("label",),
    flatten=_flatten,
)
