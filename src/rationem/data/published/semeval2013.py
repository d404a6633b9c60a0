"""SemEval-2013 Task 7 (Dzikovska et al. 2013): pupils' answers to questions, graded against reference answers.

Published once with three labels and once with two, in folders named ``3way`` and ``2way``; a file is one question. The
two parts are Beetle (electricity, several reference answers) and SciEntsBank (school science).
"""

from __future__ import annotations

from dataclasses import replace

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset
from rationem.data.published.saf import answered
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale

_INPUTS = ("question", "reference_answers", "response")


def _flatten(cells: Cells) -> dict[str, object]:
    return answered(cells, "accuracy")


SEMEVAL2013 = Preset(
    name="semeval2013",
    schema='<question> with <studentAnswer accuracy="...">s of three labels',
    scale=Scale.parse("correct | contradictory | incorrect"),
    columns=Columns("question", "response", "accuracy", id="id", group="group", reference="reference"),
    inputs=_INPUTS,
    labels=("accuracy",),
    flatten=_flatten,
    shaped=lambda cells: cells.get("ways") != "2way",
    extras=("id", "question_id", "ways"),
    criteria=(Criterion(instruction="Is the response right, judged by the reference answers?"),),
    empty="(empty)",
)

#: The same answers with two labels: contradictory ones count as incorrect.
SEMEVAL2013_TWO = replace(
    SEMEVAL2013,
    name="semeval2013-2way",
    schema='<question> with <studentAnswer accuracy="...">s of two labels',
    scale=Scale.parse("incorrect < correct"),
    shaped=lambda cells: cells.get("ways") != "3way",
)
