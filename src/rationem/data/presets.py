"""Published sets that need no column names: a preset is recognised by the keys of its rows, or named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rationem.data.columns import Columns
from rationem.scale import Scale


@dataclass(frozen=True, slots=True)
class Preset:
    """How to read the rows of one published set.

    Args:
        name: what the user calls it.
        schema: one sentence on the keys that its rows have, for error messages.
        scale: the levels of its ratings.
        columns: the names in the rows that ``flatten`` returns.
        matches: whether a row has the keys of this set.
        flatten: a published row -> a row with one cell for every named column, and nothing else.
    """

    name: str
    schema: str
    scale: Scale
    columns: Columns
    matches: Callable[[Mapping[str, object]], bool]
    flatten: Callable[[Mapping[str, object]], dict[str, object]]


def _inner(cells: Mapping[str, object], *keys: str) -> Mapping[str, object]:
    for key in keys:
        value = cells.get(key)
        cells = value if isinstance(value, Mapping) else {}
    return cells


def _is_feedbackqa(cells: Mapping[str, object]) -> bool:
    reference = _inner(cells, "passage", "reference")
    headers = reference.get("section_headers")
    return "question" in cells and "rating" in cells and "section_content" in reference and isinstance(headers, list)


def _flat_feedbackqa(cells: Mapping[str, object]) -> dict[str, object]:
    reference = _inner(cells, "passage", "reference")
    headers, content = reference["section_headers"], reference["section_content"]
    assert isinstance(headers, list)
    return {
        "question": cells["question"],
        "passage": None if content is None else "\n".join([*map(str, headers), str(content)]),
        "rating": cells["rating"],
    }


#: FeedbackQA (Li et al. 2022, arXiv 2204.03025): does this passage answer the question? The raters' written
#: explanations ("feedback") are never read.
FEEDBACKQA = Preset(
    name="feedbackqa",
    schema='{"question", "passage": {"reference": {"section_headers", "section_content"}}, "rating"}',
    scale=Scale.parse("Bad < Could be Improved < Acceptable < Excellent"),
    columns=Columns(prompt="question", response="passage", rating="rating", group="question"),
    matches=_is_feedbackqa,
    flatten=_flat_feedbackqa,
)

#: The presets by name.
PRESETS: dict[str, Preset] = {preset.name: preset for preset in (FEEDBACKQA,)}
