"""A user's text on a terminal: what it holds is shown as characters and never obeyed."""

from __future__ import annotations

import unicodedata
from io import TextIOWrapper
from typing import TextIO

#: Control, format (direction marks, zero widths), surrogate and private characters.
_UNSEEN = {"Cc", "Cf", "Cs", "Co"}


def plain(text: str, *, breaks: bool = False) -> str:
    r"""Return the text with every character that a terminal may obey, or cannot show, written as an escape.

    Args:
        text: anything.
        breaks: keep line breaks and tabs as they are.

    >>> plain("a\x1b[31mred\n")
    'a\\x1b[31mred\\n'
    """
    return "".join(character if _shown(character, breaks) else _escape(character) for character in text)


def short(text: str, width: int = 40) -> str:
    """Return at most ``width`` characters of the text in one plain line, with three dots where something is left out.

    >>> short("a long text that goes on", 10)
    'a long ...'
    """
    line = plain(" ".join(text.split()))
    return line if len(line) <= width else f"{line[: width - 4].rstrip()} ..."


def counted(count: int, one: str, many: str) -> str:
    """Return a number and what it counts, with the verb that goes with it.

    >>> counted(1, "row is", "rows are"), counted(0, "row is", "rows are")
    ('1 row is', '0 rows are')
    """
    return f"{count} {one if count == 1 else many}"


def tolerate(stream: TextIO) -> None:
    """Let a stream that cannot encode a character write its escape instead of failing."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _shown(character: str, breaks: bool) -> bool:
    return unicodedata.category(character) not in _UNSEEN or (breaks and character in "\n\t")


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
