"""Questions, references and answers that we wrote, and what the model says about them before and after training."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rationem import Judge, Rating
from rationem.run.card import NAME

#: (question, reference, answer, the grade that we give)
ITEMS = (
    (
        "A pocket lamp has one battery, one switch and one lamp. Why is the lamp dark when the switch is open?",
        "The open switch leaves a gap, so the battery and the lamp are not in a closed path.",
        "there is a gap so the path from the battery is not closed",
        "correct",
    ),
    (
        "A pocket lamp has one battery, one switch and one lamp. Why is the lamp dark when the switch is open?",
        "The open switch leaves a gap, so the battery and the lamp are not in a closed path.",
        "because the lamp does not like the switch",
        "incorrect",
    ),
    (
        "Two lamps hang on two separate paths from one battery. One burns out. What does the other do, and why?",
        "It stays lit, because its own path to the battery is still closed.",
        "it still shines because it has its own closed path with the battery",
        "correct",
    ),
    (
        "Two lamps hang on two separate paths from one battery. One burns out. What does the other do, and why?",
        "It stays lit, because its own path to the battery is still closed.",
        "it goes out because all the current is gone",
        "incorrect",
    ),
)
#: Rationales per item.
DRAWS = 4
HEAD = ("question, and the answer to grade", "our grade", "before", "after")


def said(run: Path, base: Path) -> list[dict[str, Any]]:
    """Return what base model and chosen model of a run say about each item: the same prompts, seeds and drafts.

    Args:
        run: a finished run.
        base: the directory of its base model.
    """
    items = [{"prompt": one[0], "reference": one[1], "response": one[2]} for one in ITEMS]
    with Judge(run / "model", calibrate=False) as judge:
        after = judge.rate(items, draws=DRAWS, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        before_place = Path(folder) / "base"
        shutil.copytree(base, before_place)
        shutil.copy(run / "model" / NAME, before_place / NAME)
        with Judge(before_place, calibrate=False) as judge:
            before = judge.rate(items, draws=DRAWS, seed=0)
    return [
        {**item, "grade": one[3], "before": _told(first), "after": _told(last)}
        for item, one, first, last in zip(items, ITEMS, before, after, strict=True)
    ]


def _told(rating: Rating) -> dict[str, Any]:
    return {
        "rating": rating.rating,
        "rationale": rating.rationale,
        "probability": rating.probabilities["correct"] if rating.probabilities else None,
        "unparsed": rating.unparsed,
        "draws": rating.draws,
    }


def rows(items: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """Yield a row for each item: what was asked, our grade, and a rationale before and after."""
    for one in items:
        asked = f"{one['prompt']} **{one['response']}**"
        yield [_cell(asked), one["grade"], _cell(_shown(one["before"])), _cell(_shown(one["after"]))]


def _shown(told: Mapping[str, Any]) -> str:
    if told["rating"] is None:
        return f"none of {told['draws']} drafts ends with a grade"
    return f"“{told['rationale']}” **{told['rating']}** (p of correct {told['probability']:.2f})"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
