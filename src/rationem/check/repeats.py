"""Repeated rows: duplicates (same inputs and label) and contradictions (same inputs, another label)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rationem.check.findings import SHOWN, Finding, note, warning
from rationem.report.plain import counted, plain
from rationem.types import Example

_MANY = 0.05


def repeats(
    examples: Sequence[Example], ids_repeated: int = 0, *, several: str = "raters"
) -> tuple[dict[str, Any], list[Finding]]:
    """Count duplicates and contradictions among examples with identical inputs.

    Args:
        examples: all items, including test items.
        ids_repeated: rows dropped because id and content repeat an earlier row.
        several: why identical inputs can have two answers: several "raters", "ids", a "mistake", or many "right".

    Returns:
        ``duplicates`` (items after the first of each set of identical inputs and label), ``contradictions`` (sets of
        identical inputs with more than one label), ``contradicting_items`` in them, the first of these as
        ``first_contradictions``, and ``identical_rows`` (``ids_repeated``).
    """
    together: dict[tuple[tuple[str, str], ...], list[Example]] = defaultdict(list)
    for example in examples:
        together[tuple(sorted(example.fields.items()))].append(example)
    sets = [several for several in together.values() if len(several) > 1]
    against = [several for several in sets if len({example.answer for example in several}) > 1]
    duplicates = sum(len(several) - len({example.answer for example in several}) for several in sets)
    section = {
        "duplicates": duplicates,
        "identical_rows": ids_repeated,
        "contradictions": len(against),
        "contradicting_items": sum(map(len, against)),
        "first_contradictions": [[_place(example) for example in several[:SHOWN]] for several in against[:SHOWN]],
    }
    return section, [*_duplicates(sets, duplicates, len(examples)), *_contradictions(against, len(examples), several)]


def _duplicates(sets: Sequence[Sequence[Example]], count: int, total: int) -> list[Finding]:
    if not count:
        return []
    tell = warning if count > _MANY * total else note
    places = [" = ".join(plain(example.source or example.item) for example in several[:2]) for several in sets]
    text = f"{counted(count, 'item repeats', 'items repeat')} the inputs and the label of another one."
    return [tell("duplicates", text, count, places)]


def _contradictions(against: Sequence[Sequence[Example]], total: int, several: str) -> list[Finding]:
    if not against:
        return []
    items = sum(map(len, against))
    places = [" but ".join(_told(example) for example in _differing(several)) for several in against]
    advice = {
        "raters": (
            "If several people rated the same item, name the column with the rater (--rater-col NAME), or, if no "
            "column does, read equal inputs as one item (--merge-equal): their ratings become one item."
        ),
        "ids": "Their ids differ, so their ratings are not merged.",
        "mistake": "One question has two answers, so at least one is wrong: correct or remove such rows.",
        "right": "Each answer counts for its own item only.",
    }
    what = "labels" if several in ("raters", "ids") else "answers"
    text = (
        f"{counted(len(against), 'set', 'sets')} of identical inputs ({items} of {total} items) with different {what}. "
        f"{advice[several]}"
    )
    tell = note if several == "right" else warning
    return [tell("contradictions", text, len(against), places)]


def _differing(several: Sequence[Example]) -> list[Example]:
    """Return the first item of a set and the first one that contradicts it."""
    return [several[0], next(example for example in several if example.answer != several[0].answer)]


def _told(example: Example) -> str:
    return f"{plain(example.source or example.item)} says {plain(example.answer)!r}"


def _place(example: Example) -> dict[str, str]:
    return {"id": example.item, "source": example.source, "label": example.answer}
