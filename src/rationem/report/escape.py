"""Escaping of users' texts in our pages: shown unchanged, even if they look like Markdown or HTML."""

from __future__ import annotations

import re

from rationem.progress import plain

_MARKS = re.compile(r"[^\w\s,\-/%+.;?:]|_|(?<=www)\.|:(?=\S)", re.IGNORECASE)
#: An interval of numbers in brackets is not a link unless an address or a second bracket follows.
_INTERVAL = r"\[[-+–−∞\d., ]+\](?![\[(:])"
#: Characters that begin markup inside a line; an underscore inside a word does not.
_MARKUP = re.compile(_INTERVAL + r"|[\\`*\[\]<>&~|]|(?<!\w)_|_(?!\w)|(?<=www)\.|(?<=[A-Za-z]):(?=//)")
_FENCES = re.compile("`+")
#: Characters that an HTML file must not contain: control characters, halves of surrogate pairs, noncharacters.
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


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

    >>> readable("a|b <i>*x*</i> max_new [0.1, 0.2]")
    'a&#124;b &lt;i&gt;\\*x\\*&lt;/i&gt; max_new [0.1, 0.2]'
    """
    return _MARKUP.sub(_readable, plain(" ".join(str(text).split())))


def _readable(mark: re.Match[str]) -> str:
    if len(mark[0]) > 1:
        return mark[0]
    entities = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;", ".": "&#46;", ":": "&#58;"}
    return entities.get(mark[0], f"\\{mark[0]}")


def clean(text: str) -> str:
    r"""Return a text with the replacement character for everything that HTML, SVG and UTF-8 cannot represent.

    >>> clean("a\x00b\ud800\n")
    'a\ufffdb\ufffd\n'
    """
    return _UNSHOWN.sub("\ufffd", text)


def fenced(text: str, language: str = "text") -> str:
    """Return a text as a code block that nothing inside can end."""
    longest = max((len(run) for run in _FENCES.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
