"""SAF (Filighera et al. 2022, Short Answer Feedback): a student's answer beside a reference answer.

The graders' written feedback ("response_feedback") is never read. Question numbers repeat between courses and
languages, so a question's answers are grouped by number and text. Empty answers were graded too.
"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale

#: All steps of the scores in the published files.
_STEPS = "0 0.1 0.125 0.2 0.25 0.3 0.375 0.4 0.5 0.6 0.625 0.7 0.75 0.8 0.875 0.9 1"
_SCHEMA = '<question> with <studentAnswer>s: {"question", "reference_answers", "response", %s}'
_INPUTS = ("question", "reference_answers", "response")
_EXTRAS = ("id", "question_id")


def answered(cells: Cells, *labels: str) -> dict[str, object]:
    """Return a student's answer with its question, the reference answers as one text, and some labels."""
    references = cells["reference_answers"]
    return {
        "id": cells.get("id"),
        "group": f"{cells.get('question_id')}: {cells['question']}",
        "question": cells["question"],
        "reference": "\n\n".join(map(str, references)) if isinstance(references, list) else references,
        "response": cells["response"],
        **{label: cells.get(label) for label in labels},
    }


def _flatten(cells: Cells) -> dict[str, object]:
    return answered(cells, "verification_feedback", "score")


def _columns(rating: str) -> Columns:
    return Columns("question", "response", rating, id="id", group="group", reference="reference")


SAF = Preset(
    name="saf",
    schema=_SCHEMA % '"verification_feedback"',
    scale=Scale.parse("Incorrect < Partially correct < Correct"),
    columns=_columns("verification_feedback"),
    inputs=_INPUTS,
    labels=("verification_feedback",),
    flatten=_flatten,
    extras=_EXTRAS,
    criteria=(Criterion(instruction="Is the response right, judged by the reference answer?"),),
    empty="(empty)",
)

SAF_SCORE = Preset(
    name="saf-score",
    schema=_SCHEMA % '"score"',
    scale=Scale(tuple(_STEPS.split())),
    columns=_columns("score"),
    inputs=_INPUTS,
    labels=("score",),
    flatten=_flatten,
    extras=_EXTRAS,
    criteria=(Criterion(instruction="Which share of the reference answer does the response give rightly?"),),
    empty="(empty)",
    named_only=True,
)
