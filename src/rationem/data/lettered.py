"""A row's choices, and the choice that its answer means: by label, letter, column, number or text.

If choices have labels, the answer is a label. Otherwise the whole file decides: the notation that fits most rows is its
notation, and a row that does not fit it is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rationem.data.columns import Columns, check_columns
from rationem.data.records import Row
from rationem.data.texts import LEAVE_OUT, is_blank, text_of
from rationem.errors import ConfigError, DataError
from rationem.tasks.choices import LETTERS, fields_of, scale_of
from rationem.tasks.scale import Scale

_MANY = len(LETTERS)


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of one item, in the order of its file.

    Args:
        texts: their texts.
        labels: their names in the file: its labels, its columns, or numbers from 1.
        kind: the source of the labels: "labels", "columns" or "places".
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    kind: str

    @property
    def fields(self) -> dict[str, str]:
        """Return the fields that hold the choices in an example."""
        return fields_of(self.texts, self.labels)


def read_choices(row: Row, columns: Columns) -> Choices:
    """Return the choices of a row, without empty ones at the end.

    Raises:
        DataError: there are fewer than two or more than 26, one is empty or not a text, or two have the same label.
    """
    names = columns.choice_columns(row.cells)
    check_columns(row, [("choices", name) for name in names])
    found = _one(row, names[0]) if len(names) == 1 else ([(name, row.cells[name]) for name in names], "columns")
    pairs, kind = found
    while pairs and is_blank(pairs[-1][1]):
        pairs.pop()
    where = f"the column{'s' * (len(names) > 1)} {', '.join(map(repr, names))}"
    if not 2 <= len(pairs) <= _MANY:
        raise DataError(
            f"{row.source}: {len(pairs)} choices in {where}; an item must have 2 to {_MANY}. Correct the row, "
            f"{LEAVE_OUT}."
        )
    texts = tuple(text_of(text, row.source, f"{names[0]!r}, choice {n}") for n, (_, text) in enumerate(pairs, 1))
    labels = tuple(label for label, _ in pairs)
    if len(set(labels)) < len(labels):
        raise DataError(
            f"{row.source}: two choices in {where} have the same label: {list(labels)}. Give each its own, {LEAVE_OUT}."
        )
    return Choices(texts, labels, kind)


def _one(row: Row, name: str) -> tuple[list[tuple[str, object]], str]:
    """Return (label, text) of the choices in one cell, and the source of the labels."""
    cell = row.cells[name]
    if isinstance(cell, str) and cell.lstrip()[:1] in ("[", "{"):
        try:
            cell = json.loads(cell)
        except ValueError as error:
            raise DataError(f"{row.source}: column {name!r} begins like JSON but is not valid: {error}.") from error
    if isinstance(cell, Mapping) and isinstance(cell.get("text"), list) and isinstance(cell.get("label"), list):
        if len(cell["text"]) == len(cell["label"]):
            return list(zip(map(as_label, cell["label"]), cell["text"], strict=True)), "labels"
        raise DataError(
            f"{row.source}: column {name!r} holds {len(cell['text'])} texts and {len(cell['label'])} labels. Give "
            f"each choice a text and a label, {LEAVE_OUT}."
        )
    listed = cell if isinstance(cell, list) else []
    objects = [one for one in listed if isinstance(one, Mapping) and {"text", "label"} <= set(one)]
    if objects and len(objects) == len(listed):
        return [(as_label(one["label"]), one["text"]) for one in objects], "labels"
    if isinstance(cell, list) and not any(isinstance(one, Mapping | list) for one in cell):
        return [(str(n), text) for n, text in enumerate(cell, 1)], "places"
    raise DataError(
        f"{row.source}: column {name!r} holds a {type(cell).__name__}, not a list of choices. Give a list of texts, "
        'an object {"text": [...], "label": [...]}, or a column for each choice: --choices-col "a,b,c,d".'
    )


def as_label(value: object) -> str:
    """Return a label or an answer as text: ``1``, ``1.0`` and ``" 1"`` are "1"."""
    return str(value).strip().removesuffix(".0")


def lettered(
    rows: Sequence[tuple[str, Row]], columns: Columns, scale: Scale | None, report: Callable[[DataError], None]
) -> tuple[list[tuple[str, Row]], Scale]:
    """Return the rows with each answer as a letter (None for an empty one), and the scale of all letters.

    Args:
        rows: (default id, row).
        columns: the columns of multiple choice.
        scale: the letters, if given.
        report: receives the error of a row, which is then left out.

    Raises:
        DataError: the file's notation of answers is ambiguous.
        ConfigError: the scale does not consist of letters.
    """
    if scale is not None and (scale.ordered or scale.levels != tuple(LETTERS[: len(scale.levels)])):
        raise ConfigError(f"The levels of multiple choice are letters, 'A | B | C', not {scale.sentence()!r}.")
    read: list[tuple[str, Row, Choices]] = []
    for name, row in rows:
        try:
            read.append((name, row, _fitting(row, columns, scale)))
        except DataError as error:
            report(error)
    answered = [
        (as_label(row.cells[columns.rating]), choices) for _, row, choices in read if not _empty(row, columns.rating)
    ]
    places = _notation([(answer, choices) for answer, choices in answered if choices.kind != "labels"], columns.rating)
    done: list[tuple[str, Row]] = []
    for name, row, choices in read:
        try:
            done.append((name, _answered(row, columns.rating, choices, places)))
        except DataError as error:
            report(error)
    most = max((len(choices.texts) for _, _, choices in read), default=2)
    return done, scale or scale_of(most)


def _fitting(row: Row, columns: Columns, scale: Scale | None) -> Choices:
    check_columns(row, columns.needed(row.cells))
    choices = read_choices(row, columns)
    if scale is not None and len(choices.texts) > len(scale.levels):
        raise DataError(
            f"{row.source}: {len(choices.texts)} choices, and the scale {scale.sentence()!r} has letters for "
            f"{len(scale.levels)}. Name more (--scale), or leave such rows out (--skip-unusable)."
        )
    return choices


def _empty(row: Row, column: str) -> bool:
    return is_blank(row.cells[column])


_Place = Callable[[str, Choices], int | None]


def _answered(row: Row, column: str, choices: Choices, places: _Place) -> Row:
    if _empty(row, column):
        return replace(row, cells={**row.cells, column: None})
    answer = as_label(row.cells[column])
    at = _labelled(answer, choices) if choices.kind == "labels" else places(answer, choices)
    if at is None:
        raise DataError(
            f"{row.source}: the answer {answer!r} is not among the choices {list(choices.labels)}. Correct the row, "
            "or leave such rows out (--skip-unusable)."
        )
    return replace(row, cells={**row.cells, column: LETTERS[at]})


def _labelled(answer: str, choices: Choices) -> int | None:
    return choices.labels.index(answer) if answer in choices.labels else None


def _letter(answer: str, choices: Choices) -> int | None:
    at = LETTERS.find(answer.upper()) if len(answer) == 1 else -1
    return at if 0 <= at < len(choices.texts) else None


def _number(answer: str, choices: Choices, start: int) -> int | None:
    at = int(answer) - start if answer.isascii() and answer.isdigit() and len(answer) < 4 else -1
    return at if 0 <= at < len(choices.texts) else None


def _text(answer: str, choices: Choices) -> int | None:
    same = [at for at, text in enumerate(choices.texts) if text.strip() == answer]
    return same[0] if len(same) == 1 else None


#: Notations of answers for choices without labels; the first of equivalent ones is used.
_NOTATIONS: dict[str, _Place] = {
    "the columns' names": lambda answer, choices: _labelled(answer, choices) if choices.kind == "columns" else None,
    "letters": _letter,
    "numbers from 0": lambda answer, choices: _number(answer, choices, 0),
    "numbers from 1": lambda answer, choices: _number(answer, choices, 1),
    "the texts": _text,
}


def _notation(answered: Sequence[tuple[str, Choices]], column: str) -> _Place:
    """Return the function that finds an answer's index, by the notation that fits most rows.

    Raises:
        DataError: two notations fit equally many rows and disagree.
    """
    said = {name: [place(*one) for one in answered] for name, place in _NOTATIONS.items()}
    fitting = {name: sum(at is not None for at in places) for name, places in said.items()}
    best = [name for name in said if fitting[name] == max(fitting.values())]
    if any(said[name] != said[best[0]] for name in best[1:]):
        shown = ", ".join(map(repr, list(dict.fromkeys(answer for answer, _ in answered))[:5]))
        raise DataError(
            f"The answers in column {column!r} ({shown}) can be read as {' and as '.join(best)}, which "
            "disagree. Write letters (A is the first choice), or give the choices labels."
        )
    return _NOTATIONS[best[0]]
