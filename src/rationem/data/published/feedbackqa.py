"""FeedbackQA (Li et al. 2022, arXiv 2204.03025): does this passage answer the question?

The raters' written explanations ("feedback") are never read.
"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset, inner
from rationem.tasks.scale import Scale


def _shaped(cells: Cells) -> bool:
    reference = inner(cells, "passage", "reference")
    return "section_content" in reference and isinstance(reference.get("section_headers"), list)


def _flatten(cells: Cells) -> dict[str, object]:
    reference = inner(cells, "passage", "reference")
    headers, content = reference["section_headers"], reference["section_content"]
    return {
        "question": cells["question"],
        "passage": None if content is None else "\n".join([*map(str, headers), str(content)]),
        "rating": cells.get("rating"),
    }


FEEDBACKQA = Preset(
    name="feedbackqa",
    schema='{"question", "passage": {"reference": {"section_headers", "section_content"}}, "rating"}',
    scale=Scale.parse("Bad < Could be Improved < Acceptable < Excellent"),
    columns=Columns(prompt="question", response="passage", rating="rating", group="question"),
    inputs=("question", "passage"),
    labels=("rating",),
    flatten=_flatten,
    shaped=_shaped,
)
