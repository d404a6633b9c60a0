r"""Text -> (z, y_hat) or a named reason; never a default answer.

A completion is a rationale z, then a line with the marker and the verdict only::

    the sum is right, the tone is rude
    Final rating: 4

z ends at the *first* line that begins with the marker (conditioning on a later one would look into the future of z).
The verdict must be one of the offered levels; any other text is ``unoffered``. The parser reads only completions, never
prompts. The marker counts only at the beginning of a line ("No final rating: 5" is prose).

Thinking models begin with a thinking block, which is part of z, tags included::

    <think>
    at first sight it looks fine; Final rating: 4? no, the sum is wrong
    </think>

    Final rating: 2

A marker inside the block is ignored, and a block that is never closed has no verdict. Whether a line counts depends
only on the text before it, never on the text after it, so it is known as soon as the line is generated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rationem.errors import ConfigError
from rationem.types import Parsed

NO_MARKER = "no_marker"
EMPTY_VERDICT = "empty_verdict"
UNOFFERED_LEVEL = "unoffered_level"

#: The tags around a thinking block.
THINK, THOUGHT = "<think>", "</think>"

_ORNAMENT = " \t*_`"


class VerdictLine(NamedTuple):
    """Offsets of the first verdict line in a completion: its start, the end of its marker, its end."""

    begin: int
    marker_end: int
    end: int


def check_marker(marker: str) -> None:
    """Refuse a text that cannot open a line.

    Raises:
        ConfigError: it is blank or has a line break.
    """
    if not marker.strip() or len(marker.splitlines()) > 1:
        raise ConfigError(f"The marker opens a line: some text without a line break; found {marker!r}.")


def marker_pattern(marker: str) -> re.Pattern[str]:
    """Return the pattern of a verdict line: ornaments (``**``), the marker, the verdict up to the end of the line."""
    return re.compile(rf"^[ \t*_`#>]*{re.escape(marker)}(?P<verdict>[^\r\n]*)", re.MULTILINE | re.IGNORECASE)


def behind_thinking(text: str) -> int:
    """Return the end offset of a text's opening thinking block: 0 without one, the text's length while it is open.

    >>> behind_thinking("<think>hm</think> 4"), behind_thinking("<think>hm"), behind_thinking("no <think> here")
    (17, 9, 0)
    """
    if not text.lstrip().startswith(THINK):
        return 0
    end = text.find(THOUGHT)
    return len(text) if end < 0 else end + len(THOUGHT)


def find_verdict(pattern: re.Pattern[str], text: str) -> VerdictLine | None:
    """Return the first verdict line after the thinking block; it may begin right after the closing tag.

    Args:
        pattern: what ``marker_pattern`` returned.
        text: a completion or its beginning; a line that is found remains the first, whatever follows.
    """
    before = behind_thinking(text)
    match = pattern.search(text[before:])
    if match is None:
        return None
    return VerdictLine(before + match.start(), before + match.start("verdict"), before + match.end())


def parse_verdict(text: str, marker: str, levels: Sequence[str]) -> Parsed:
    r"""Split a completion at its first verdict line.

    Args:
        text: the completion, without the end-of-turn token.
        marker: the text that opens the verdict line, e.g. ``"Final rating:"``.
        levels: the offered levels; the match ignores surrounding spaces, ``*_``` ornaments and one final period, and
            case if that leaves exactly one level.

    Returns:
        ``Parsed``; without a verdict ``answer`` is None and ``problem`` is "no_marker", "empty_verdict" or
        "unoffered_level". Total: never raises on any text.

    >>> parse_verdict("polite\nFinal rating: 4", "Final rating:", ["1", "4"])
    Parsed(rationale='polite', answer='4', problem=None, marker_end=20)
    >>> parse_verdict("polite\nFinal rating: 45", "Final rating:", ["4", "5"]).problem
    'unoffered_level'
    """

    def read(verdict: str) -> str | None:
        return _offered(verdict, levels) or _offered(verdict.removesuffix(".").rstrip(_ORNAMENT), levels)

    return parse_line(text, marker, read, UNOFFERED_LEVEL)


def parse_line(text: str, marker: str, read: Callable[[str], str | None], unread: str) -> Parsed:
    r"""Split a completion at the first line that begins with the marker, and read the text after the marker.

    Args:
        text: the completion, without the end-of-turn token.
        marker: the text that opens the line.
        read: the text after the marker, without spaces and ornaments -> the answer, or None if it is not an answer.
        unread: the problem's name in that case.

    >>> parse_line("3 + 4 is 7\nAnswer: 7", "Answer:", str, "no_number").answer
    '7'
    """
    line = find_verdict(marker_pattern(marker), text)
    if line is None:
        return Parsed(rationale=text.strip(), answer=None, problem=NO_MARKER)
    rationale, marker_end = text[: line.begin].strip(), line.marker_end
    verdict = text[marker_end : line.end].strip(_ORNAMENT)
    if not verdict:
        return Parsed(rationale, None, EMPTY_VERDICT, marker_end)
    answer = read(verdict)
    return Parsed(rationale, answer, None if answer is not None else unread, marker_end)


def cut_line(text: str) -> str:
    r"""Return a text that was cut off up to its last line break; all of it if nothing would be left.

    >>> cut_line("it is kind\nthe to"), cut_line("it is ki")
    ('it is kind', 'it is ki')
    """
    whole = text.rstrip("\n").rpartition("\n")[0] if not text.endswith("\n") else text
    return whole if whole.strip() else text


def bare(text: str) -> str:
    r"""Return a text without surrounding spaces and ornaments (``**``), as the answer's line is read.

    >>> bare(" **4 km** \n"), bare("*")
    ('4 km', '')
    """
    while (shorter := text.strip().strip(_ORNAMENT)) != text:
        text = shorter
    return text


def _offered(verdict: str, levels: Sequence[str]) -> str | None:
    if verdict in levels:
        return verdict
    same = [level for level in levels if level.casefold() == verdict.casefold()]
    return same[0] if len(same) == 1 else None
