"""Published sets of multiple choice. Facts, solutions and written answers in other columns are never read.

ARC: Clark et al. 2018, arXiv 1803.05457; three to five choices, labelled A-E or 1-5. MMLU: Hendrycks et al. 2021, arXiv
2009.03300; its ``auxiliary_train`` nests every row in "train" and names no subject. OpenBookQA: Mihaylov et al. 2018,
arXiv 1809.02789. CommonsenseQA: Talmor et al. 2019, arXiv 1811.00937; its test rows have no answer. LLM-Adapters: Hu et
al. 2023, arXiv 2304.01933, which puts question and choices of such sets into one text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset, inner
from rationem.data.texts import is_blank

#: Replaces a choice without text, which can still be the right one.
EMPTY = "(empty)"

# The answer is a number; some copies have its letter.
_LETTERS = {"A": 0, "B": 1, "C": 2, "D": 3}
_COLUMNS = Columns("question", rating="answer", choices="choices")
_WITH_ID = Columns("question", rating="answer", choices="choices", id="id")


def _labelled(cells: Cells) -> bool:
    choices = inner(cells, "choices")
    return isinstance(choices.get("text"), list) and isinstance(choices.get("label"), list)


def _is_arc(cells: Cells) -> bool:
    return _labelled(cells) and "question_concept" not in cells


def _flat_labelled(cells: Cells) -> dict[str, object]:
    choices = inner(cells, "choices")
    return {
        "id": cells.get("id"),
        "question": cells["question"] if "question" in cells else cells["question_stem"],
        "choices": {"text": [_filled(text) for text in choices["text"]], "label": list(choices["label"])},
        "answer": cells.get("answerKey"),
    }


def _filled(text: object) -> object:
    return EMPTY if is_blank(text) else text


def _of_mmlu(cells: Cells) -> Cells:
    """Return the row itself, or the row nested in one of ``auxiliary_train``."""
    nested = cells.get("train")
    return nested if isinstance(nested, Mapping) else cells


def _is_mmlu(cells: Cells) -> bool:
    row = _of_mmlu(cells)
    return {"question", "subject", "choices"} <= set(row) and isinstance(row["choices"], list)


def _flat_mmlu(cells: Cells) -> dict[str, object]:
    row = _of_mmlu(cells)
    texts = [_filled(text) for text in row["choices"]]
    return {
        "question": row["question"],
        "choices": {"text": texts, "label": list(range(len(texts)))},
        "answer": _LETTERS.get(str(row.get("answer")), row.get("answer")),
        "subject": row["subject"],
    }


# The last "Answer1:" begins the choices: a question may contain the word too.
_ADAPTED = re.compile(
    r"Please choose the correct answer to the question: (?P<question>.*)\n\nAnswer1: (?P<choices>.*)\n\n"
    r"Answer format: (?P<names>answer1(?:/answer\d+)+)\s*",
    re.DOTALL,
)


def _adapted(cells: Cells) -> dict[str, object] | None:
    """Return question and choices of one text; None if it has another form or lacks a choice that it names."""
    found = _ADAPTED.fullmatch(str(cells["instruction"]))
    if found is None:
        return None
    names, texts, rest = found["names"].split("/"), [], found["choices"]
    for name in names[1:]:
        text, mark, rest = rest.partition(f" {name.capitalize()}: ")
        if not mark:
            return None
        texts.append(text)
    choices = {"text": [_filled(text) for text in (*texts, rest)], "label": names}
    return {"question": found["question"], "choices": choices}


def _is_adapted(cells: Cells) -> bool:
    return _adapted(cells) is not None


def _flat_adapted(cells: Cells) -> dict[str, object]:
    return {**(_adapted(cells) or {}), "answer": cells.get("answer")}


ARC = Preset(
    name="arc",
    schema='{"question", "choices": {"text", "label"}, "answerKey"}',
    scale=None,
    columns=_WITH_ID,
    inputs=("question", "choices"),
    labels=("answerKey",),
    flatten=_flat_labelled,
    extras=("id",),
    shaped=_is_arc,
    empty=EMPTY,
)

OPENBOOKQA = Preset(
    name="openbookqa",
    schema='{"question_stem", "choices": {"text", "label"}, "answerKey"}',
    scale=None,
    columns=_WITH_ID,
    inputs=("question_stem", "choices"),
    labels=("answerKey",),
    flatten=_flat_labelled,
    extras=("id",),
    shaped=_labelled,
    empty=EMPTY,
)

COMMONSENSEQA = Preset(
    name="commonsenseqa",
    schema='{"question", "question_concept", "choices": {"label", "text"}, "answerKey"}',
    scale=None,
    columns=_WITH_ID,
    inputs=("question", "question_concept", "choices"),
    labels=("answerKey",),
    flatten=_flat_labelled,
    extras=("id",),
    shaped=_labelled,
    empty=EMPTY,
    nullable=True,
)

MMLU = Preset(
    name="mmlu",
    schema='{"question", "subject", "choices": [...], "answer"}, or the same inside of "train"',
    scale=None,
    columns=Columns("question", rating="answer", choices="choices", subject="subject"),
    inputs=(),
    labels=(),
    flatten=_flat_mmlu,
    shaped=_is_mmlu,
    extras=("question", "subject", "choices", "answer", "train"),
    empty=EMPTY,
)

LLM_ADAPTERS = Preset(
    name="llm-adapters",
    schema='{"instruction": "Please choose the correct answer to the question: ...", "answer": "answer1"}',
    scale=None,
    columns=_COLUMNS,
    inputs=("instruction",),
    labels=("answer",),
    flatten=_flat_adapted,
    shaped=_is_adapted,
    empty=EMPTY,
)
