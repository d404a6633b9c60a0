"""Escaping of users' texts in our pages: shown unchanged, even if they look like Markdown or HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rationem.progress import plain

_MARKS = re.compile(r"[^\w\s,\-/%+.;?:]|_|(?<=www)\.|:(?=\S)", re.IGNORECASE)
#: Characters that begin markup inside a line; an underscore inside a word does not.
_MARKUP = re.compile(r"[\\`*\[\]<>&~|]|(?<!\w)_|_(?!\w)|(?<=www)\.|(?<=[A-Za-z]):(?=//)")
_FENCES = re.compile("`+")
#: Key -> the depth below it at which keys are the user's names.
_NAMED = {"by_criterion": 1, "alpha_by_criterion": 2, "recall": 1}


def literal(text: object) -> str:
    """Return a text in one line as Markdown that shows it unchanged; an entity is never markup.

    >>> literal("a|b <i>*x*</i>")
    'a&#124;b &#60;i&#62;&#42;x&#42;&#60;/i&#62;'
    """
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", " ".join(str(text).split()))


def readable(text: object) -> str:
    r"""Return a text in one line as Markdown that shows it unchanged, and whose source is readable too.

    Characters that a terminal would interpret are written as escapes. A bar is an entity because it separates table
    cells.

    >>> readable("a|b <i>*x*</i> max_new")
    'a&#124;b &lt;i&gt;\\*x\\*&lt;/i&gt; max_new'
    """
    return _MARKUP.sub(_readable, plain(" ".join(str(text).split())))


def _readable(mark: re.Match[str]) -> str:
    entities = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;", ".": "&#46;", ":": "&#58;"}
    return entities.get(mark[0], f"\\{mark[0]}")


def fenced(text: str, language: str = "text") -> str:
    """Return a text as a code block that nothing inside can end."""
    longest = max((len(run) for run in _FENCES.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def escaped(value: Any, names: int = 0, how: Callable[[object], str] = literal) -> Any:
    """Return a summary with all its texts escaped, and those keys that are the user's names.

    Args:
        value: the summary, or a part of it.
        names: the depth below this value at which its keys are such names; 0 means none.
        how: the function that escapes a text.
    """
    if isinstance(value, Mapping):
        return {
            how(key) if names == 1 else key: escaped(each, _NAMED.get(key, max(names - 1, 0)), how)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [escaped(each, 0, how) for each in value]
    return how(value) if isinstance(value, str) else value
