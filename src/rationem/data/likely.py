"""What the columns of a file could be, by their cells: a chat to judge, and the ratings that no flag names."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from rationem.data.columns import Columns
from rationem.data.conversations import conversation
from rationem.data.families import families
from rationem.data.nested import structure
from rationem.data.notations import plain
from rationem.data.records import Row
from rationem.data.suggest import typed
from rationem.data.texts import is_blank
from rationem.data.unpivot import COLUMN, new_names

#: Most different cells of a column that is offered as the rating, and the least cells for each of them on average.
_MOST, _EACH = 11, 3
#: What a column of times is called.
_TIME = re.compile(r"time|date|created|updated|submitted", re.IGNORECASE)
#: Ends of names of columns that are no ratings: WorkerId, worker_id, AssignmentStatus.
_NO_RATING = re.compile(r"(?:(?:^|[\W_])(?:[iI][dD]|[sS]tatus)|(?<=[a-z])(?:I[dD]|Status))\s*$")
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
    texts = [name for name, count in counts.items() if _holds_texts(count)]
    counts = {name: count for name, count in counts.items() if name not in taken}
    few = [name for name, count in counts.items() if _few(count)]
    few = [name for name in few if not _NO_RATING.search(name)] or few
    columns = list(dict.fromkeys(name for row in rows for name in row.cells))
    if told := _of_responses(columns, [name for name in texts if name not in taken], few):
        return told
    if not texts and (told := _of_items(columns, counts)):
        return told
    if not (offered := few[:_OFFERED]):
        return ""
    told_of = [
        f"{name!r} has the cells {', '.join(f'{value!r} ({n})' for value, n in sorted(_given(counts[name]).items()))}"
        for name in offered
    ]
    if len(told_of) == 1:
        return f" {told_of[0]}: if it is the rating, use `--rating-col {shlex.quote(offered[0])}`."
    several = shlex.quote(",".join(few))
    return (
        f" {'; '.join(told_of)}: if one of them is the rating, use `--rating-col` with its name; if each is one "
        f"rater's, `--rating-col {several}`; if they rate different things, `--criterion {several}`."
    )


def latest_by(rows: Sequence[Row], taken: Collection[str]) -> str:
    """Return the flag that keeps a rater's latest rating of an item, if a column looks like a time; else ""."""
    names = dict.fromkeys(name for row in rows for name in row.cells if name not in taken)
    found = [name for name in names if _is_time(name, [row.cells.get(name) for row in rows])]
    return f"--latest-by {typed(found[0])}" if found else ""


def _is_time(name: str, cells: Sequence[object]) -> bool:
    """Say whether all cells are ISO dates or times, or numbers in a column that is called a time."""
    texts = ["" if is_blank(cell) else str(cell).strip() for cell in cells]
    if all(map(plain, texts)):
        return _TIME.search(name) is not None
    try:
        return bool([datetime.fromisoformat(text) for text in texts])
    except ValueError:
        return False


def _of_responses(columns: Sequence[str], texts: Collection[str], few: Collection[str]) -> str:
    """Return a sentence on responses that each have a rating column: answer_a, score_a, answer_b, score_b."""
    written, rated = families([n for n in columns if n in texts]), families([n for n in columns if n in few])
    pairs = [
        (text, rating)
        for text, responses in written.items()
        for rating, ratings in rated.items()
        if responses.keys() == ratings.keys()
    ]
    if not pairs:
        return ""
    text, rating = pairs[0]
    keys = list(written[text])
    response_col = typed(",".join(written[text][key] for key in keys))
    rating_col = typed(",".join(rated[rating][key] for key in keys))
    new = new_names((text, rating))
    told = (
        f" The columns {', '.join(written[text].values())} hold texts, and each has a column of few different cells "
        f"({', '.join(rated[rating].values())}). To compare the responses, of which the one with the highest score is "
        f"the best: `--response-col {response_col} --rating-col {rating_col}`."
    )
    if new[0] == new[1]:
        return told
    return (
        f"{told} To rate each by itself: `--unpivot {typed(text)} {typed(rating)} --response-col {typed(new[0])} "
        f"--rating-col {typed(new[1])}`."
    )


def _of_items(columns: Sequence[str], counts: Mapping[str, Counter[str | None]]) -> str:
    """Return a sentence on a table with a column for each item and a row for each rater."""
    together = families([name for name in columns if name in counts], fewest=_OFFERED)
    found = {
        pattern: named
        for pattern, named in together.items()
        if _few(sum((counts[name] for name in named.values()), Counter()))
    }
    if not found:
        return ""
    pattern, named = next(iter(found.items()))
    (new,) = new_names((pattern,))
    texts = sum(map(len, named)) > _TEXT_LENGTH * len(named)
    rest = [name for name in columns if name not in named.values() and not _TIME.search(name)]
    rater = f" --rater-col {typed(rest[0])}" if len(rest) == 1 else " --rater-col RATER"
    read = f"--response-col {COLUMN}" if texts else f"--join ITEMS --on {COLUMN}=ID --response-col TEXT"
    where = "" if texts else " ITEMS is a file with the items' texts (TEXT) beside their names (ID)."
    return (
        f" No column holds texts. If each row is a rater and each of the {len(named)} columns {typed(pattern)} an "
        f"item, make a row of each rating: `--unpivot {typed(pattern)} {read} --rating-col {typed(new)}{rater}`.{where}"
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
    """Say whether the cells of a column can be read: on average they are longer than a name, and of words."""
    given = _given(counts)
    long = sum(len(value) * n for value, n in given.items()) > _TEXT_LENGTH * sum(given.values())
    return long and 2 * sum(n for value, n in given.items() if _is_text(value)) > sum(given.values())


def _is_text(value: str) -> bool:
    """Say whether a cell is neither one word, such as an address, nor mostly digits, such as a time."""
    digits = sum(map(str.isdigit, value))
    return not value.isascii() or (len(value.split()) > 1 and sum(map(str.isalpha, value)) > digits)


def _shown(cell: object) -> str | None:
    """Return a cell as text; None if it is empty, and "" for what is no single value."""
    return None if is_blank(cell) else "" if isinstance(structure(cell), list | Mapping) else str(cell).strip()


def _given(counts: Mapping[str | None, int]) -> dict[str, int]:
    return {value: count for value, count in counts.items() if value is not None}


def _few(counts: Mapping[str | None, int]) -> bool:
    given = _given(counts)
    return "" not in given and 1 < len(given) <= _MOST and sum(given.values()) >= _EACH * len(given)
