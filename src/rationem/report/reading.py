"""How the data was read, in a few sentences: the non-zero counts of a run's notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rationem.report.part import Coded

_ROLES = ("prompt", "response", "rating", "reference", "context", "id", "group", "rater", "weight")
#: For multiple choice: role -> its name.
_OF_CHOICE = {"choices": "choices", "rating": "answer", "subject": "subject"}

#: The same for open answers; inputs have the names of their fields.
_OF_OPEN = {"rating": "answer"}

#: The note that says how many validation examples are not measured.
LEFT_OUT = "validation_examples_not_measured"
LEFT_OUT_OF_TEST = "test_examples_not_measured"
#: Note -> (wording for one, for several).
_COUNTED = {
    LEFT_OUT: (
        "1 validation example is not measured (--measure).",
        "{} validation examples are not measured (--measure lean): the others serve every iteration.",
    ),
    LEFT_OUT_OF_TEST: (
        "1 test example is not measured (--test-items).",
        "{} test examples are not measured (--test-items).",
    ),
    "skipped": (
        "1 row could not be used and was left out.",
        "{} rows could not be used and were left out.",
    ),
    "identical_duplicates": (
        "1 row is the same as another one and was left out.",
        "{} rows are the same as other ones and were left out.",
    ),
    "repeated_ratings": (
        "1 rating is a second one by the same rater for the same item and was left out.",
        "{} ratings are second ones by the same rater for the same item and were left out.",
    ),
    "missing_ratings": (
        "1 rating cell is empty beside filled ones.",
        "{} rating cells are empty beside filled ones.",
    ),
    "unrated": (
        "1 rating is missing: that item is not asked for that criterion.",
        "{} ratings are missing: an item is asked only for the criteria that it is rated on.",
    ),
    "not_scored_without_majority": (
        "1 held-out item is not scored: its raters agree on no label.",
        "{} held-out items are not scored: their raters agree on no label.",
    ),
}
#: The same for open answers, which have no ratings.
_COUNTED_OPEN = {
    "unrated": ("1 row has no answer and was left out.", "{} rows have no answer and were left out."),
}


def reading(summary: Mapping[str, Any]) -> list[Coded]:
    """Return one short paragraph on how the data was read; nothing if the run has no notes on it.

    Args:
        summary: the result of :func:`rationem.report.summarize`.
    """
    sentences = list(_sentences(summary["notes"], summary["config"].get("raters") == "each"))
    return [Coded(f"Data: {' '.join(sentences)}")] if sentences else []


def _sentences(notes: Mapping[str, Any], each: bool) -> Iterator[str]:
    parts = [notes, notes.get("test") or {}]
    yield from _rows(notes, parts)
    yield from _columns(notes)
    if notes.get("verdicts_by_name"):
        names = ", ".join(map(_shown, notes["verdicts_by_name"]))
        yield f"Verdicts name systems; which response is whose is read from {names}, row by row."
    if notes.get("weights"):
        yield notes["weights"]
    told = _COUNTED | (_COUNTED_OPEN if (notes.get("columns") or {}).get("inputs") else {})
    for name, (one, several) in told.items():
        count = sum(part.get(name, 0) for part in parts)
        if count:
            yield one if count == 1 else several.format(count)
    if each and notes.get("several_raters"):
        yield (
            f"{notes['several_raters']} items have several ratings: in training every rating is an example of its own, "
            "elsewhere an item has one label made of all its ratings."
        )
    for _, sentence in written(parts):
        yield sentence


#: What is unusual about a text file or a workbook -> the sentence on it.
_WRITTEN: dict[str, Callable[[str, Any], str]] = {
    "delimiter": lambda file, mark: (
        f"The cells of {file} are parted at {_shown('tab' if mark == chr(9) else mark)}, not at commas."
    ),
    "quoting": lambda file, _: (
        f'Quotation marks inside the cells of {file} are escaped by a backslash (\\"), and so read (--quoting '
        "backslash)."
    ),
    "explained_header": lambda file, count: (
        f"Below the header of {file}, {'1 row explains' if count == 1 else f'{count} rows explain'} it: not read."
    ),
    "joined_header": lambda file, count: (
        f"The header of {file} has {count} rows, whose texts are joined: `upper - lower` (--header-rows 1 reads one)."
    ),
    "short_rows": lambda file, names: (
        f"No row of {file} has a cell for the last columns of its header, {', '.join(map(_shown, names))}: not read."
        if len(names) > 1
        else f"No row of {file} has a cell for the last column of its header, {_shown(names[0])}: not read."
    ),
    "repeated_header": lambda file, count: (
        f"The header of {file} is repeated further down{'' if count == 1 else f', {count} times'}: skipped."
    ),
}


def written(parts: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what is unusual about text files and workbooks, and the sentence on it.

    Args:
        parts: the notes of DATA, and of a test set.
    """
    for what, sentence in _WRITTEN.items():
        for file, how in {file: how for part in parts for file, how in part.get(what, {}).items()}.items():
            yield what, sentence(_shown(file), how)


def _rows(notes: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not notes.get("rows"):
        return
    of = f" of the published set {notes['preset']}" if notes.get("preset") else ""
    more = f", and {parts[1]['rows']} for the test" if parts[1].get("rows") else ""
    yield f"{notes['rows']} rows{of}{more}."


def _columns(notes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the columns that were read; a preset's columns need no check and are left out."""
    columns, guessed = notes.get("columns"), notes.get("guessed") or {}
    if not columns or notes.get("preset"):
        return
    roles = [role for role in _ROLES if columns.get(role) and not (role == "rating" and columns.get("criteria"))]
    if columns.get("choices"):
        others = [role for role in roles if role not in ("prompt", "response", "rating")]
        roles = ["prompt", *(role for role in _OF_CHOICE if columns.get(role)), *others]
    called = _OF_CHOICE if columns.get("choices") else {}
    if columns.get("inputs"):
        others = [role for role in ("rating", "id", "group", "weight") if columns.get(role)]
        fields = (*columns["inputs"], *(columns.get("optional") or ()))
        read = [f"{name if name.isidentifier() else _shown(name)} from {_shown(column)}" for name, column in fields]
        named = [*read, *(f"{_OF_OPEN.get(role, role)} from {_shown(columns[role])}" for role in others)]
        yield f"Columns: {', '.join(named)}{_guessed(guessed)}."
        return
    named = [f"{called.get(role, role)} from {_shown(columns[role])}" for role in roles]
    named += [f"criterion {_shown(name)} from {_shown(column)}" for name, column in columns.get("criteria") or ()]
    yield f"Columns: {', '.join(named)}{_guessed(guessed)}."


def _guessed(guessed: Mapping[str, str]) -> str:
    return f" (guessed by name: {' and '.join(guessed)})" if guessed else ""


def _shown(name: str) -> str:
    """Return a user's name as code, in one line."""
    return "`" + " ".join(name.replace("`", "'").split() or [name]) + "`"
