"""What the columns of a file could be, by their cells: a chat to judge, and the ratings that no flag names."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from rationem.data.columns import Columns
from rationem.data.conversations import conversation
from rationem.data.nested import structure
from rationem.data.records import Row
from rationem.data.texts import is_blank

#: Most different cells of a column that is offered as the rating, and the least cells for each of them on average.
_MOST, _EACH = 11, 3
#: Most columns that are offered.
_OFFERED = 3
#: Cells of more characters, on average, are texts.
_TEXT_LENGTH = 12


def of_chat(
    columns: Columns, guessed: Mapping[str, str], rows: Sequence[Row], names: Collection[str]
) -> tuple[Columns, dict[str, str]]:
    """Return the columns, with the last answer of a chat as the response and what precedes it as the prompt.

    They are so read if the file has neither a prompt nor a response, and one column whose cells are chats.

    Args:
        rows: some rows, such as the first of every file.
        names: the names of all columns.
    """
    asked = {"prompt": columns.prompt, "response": columns.response}
    if any(name != role or name in names for role, name in asked.items()):
        return columns, dict(guessed)
    chats = {name: [_chat(row.cells.get(name)) for row in rows] for name in names}
    if len(found := [name for name, cells in chats.items() if all(cells)]) != 1:
        return columns, dict(guessed)
    (name,) = found
    text = next(key for key in _TEXT if key in chats[name][0][-1])
    alone = all(len(messages) == 2 for messages in chats[name])
    paths = {"prompt": f"{name}[0].{text}" if alone else f"{name}[:-1]", "response": f"{name}[-1].{text}"}
    return replace(columns, prompt=paths["prompt"], response=paths["response"]), {**guessed, **paths}


#: The keys of a message's text.
_TEXT = ("content", "value")


def _chat(cell: object) -> list[Mapping[str, object]]:
    """Return the messages of a chat that ends with an answer of the assistant, a text; none of any other cell."""
    messages = structure(cell)
    if not isinstance(messages, list) or len(messages) < 2 or conversation(messages) is None:
        return []
    told = conversation(messages[-1:]) or ""
    is_text = any(isinstance(messages[-1].get(key), str) for key in _TEXT)
    return messages if told.startswith("Assistant: ") and is_text else []


def likely_ratings(rows: Sequence[Row], taken: Collection[str]) -> str:
    """Return a sentence on the columns whose few different cells could be ratings; "" if there is none."""
    cells = [_with_keys(row.cells) for row in rows]
    names = dict.fromkeys(name for one in cells for name in one)
    counts = {name: Counter(_shown(one.get(name)) for one in cells) for name in names}
    has_texts = any(map(_holds_texts, counts.values()))
    counts = {name: count for name, count in counts.items() if name not in taken}
    offered = [name for name, count in counts.items() if _few(count)][:_OFFERED]
    if not offered:
        return ""
    told = [
        f"{name!r} has the cells {', '.join(f'{value!r} ({n})' for value, n in sorted(_given(counts[name]).items()))}"
        for name in offered
    ]
    if len(told) == 1:
        return f" {told[0]}: if it is the rating, use `--rating-col {shlex.quote(offered[0])}`."
    if len(told) == _OFFERED and not has_texts:
        return (
            f" {'; '.join(told)}. No column holds texts. If each column is one item and each row a rater, turn the "
            "table (in pandas: frame.set_index('rater').T.reset_index()) and add the items' texts (--join FILE --on "
            "KEY)."
        )
    several = shlex.quote(",".join(name for name, count in counts.items() if _few(count)))
    return (
        f" {'; '.join(told)}: if one of them is the rating, use `--rating-col` with its name; if each is one rater's, "
        f"`--rating-col {several}`; if they rate different things, `--criterion {several}`."
    )


def _with_keys(cells: Mapping[str, object]) -> dict[str, object]:
    """Return the cells of a row, and those of the keys of its objects by their paths."""
    inside = {
        f"{name}.{key}": value
        for name, cell in cells.items()
        if isinstance(found := structure(cell), Mapping)
        for key, value in found.items()
    }
    return {**inside, **cells}


def _holds_texts(counts: Mapping[str | None, int]) -> bool:
    """Say whether the cells of a column can be read: on average they are longer than names and numbers."""
    given = _given(counts)
    return sum(len(value) * n for value, n in given.items()) > _TEXT_LENGTH * sum(given.values())


def _shown(cell: object) -> str | None:
    """Return a cell as text; None if it is empty, and "" for what is no single value."""
    return None if is_blank(cell) else "" if isinstance(structure(cell), list | Mapping) else str(cell).strip()


def _given(counts: Mapping[str | None, int]) -> dict[str, int]:
    return {value: count for value, count in counts.items() if value is not None}


def _few(counts: Mapping[str | None, int]) -> bool:
    given = _given(counts)
    return "" not in given and 1 < len(given) <= _MOST and sum(given.values()) >= _EACH * len(given)
