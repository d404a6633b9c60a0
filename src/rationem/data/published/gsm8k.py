"""GSM8K (Cobbe et al. 2021, arXiv 2110.14168): school mathematics. "answer" holds a solution, then "#### 42".

The text before the last "####" is a human rationale: it is cut off here, before any other code sees the row.
"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset
from rationem.tasks.answer_types import SOLVED


def _is_gsm8k(cells: Cells) -> bool:
    """Say whether a row has exactly these two keys: with a score beside it, "answer" would be the rated text."""
    return set(cells) <= {"question", "answer"} and ("answer" not in cells or SOLVED in str(cells["answer"]))


def _flat(cells: Cells) -> dict[str, object]:
    _, mark, final = str(cells.get("answer", "")).rpartition(SOLVED)
    return {"question": cells["question"], "answer": final.strip() if mark else None}


GSM8K = Preset(
    name="gsm8k",
    schema='{"question", "answer": "... #### NUMBER"} and no other key',
    scale=None,
    columns=Columns(rating="answer", inputs=(("prompt", "question"),)),
    inputs=("question",),
    labels=("answer",),
    flatten=_flat,
    shaped=_is_gsm8k,
    task="math",
)
