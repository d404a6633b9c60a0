r"""Open answers: one line of text instead of a level. How it is read and how it is rewarded.

A *kind* turns the line after the marker into one canonical text, so that equal answers are equal texts:

    number        the only number in the line: "$1,234.50" and "1234.5 dollars" are "1234.5", "2/6" is "1/3"
    text          the line itself, with each run of white space as one space
    pattern:RE    the first group (or all) of the regular expression's first match, white space as above

A *reward* r(y_hat, y*) in [0, 1] compares two canonical texts: ``exact``, ``rouge-l`` (F1 of the longest common
subsequence of words, Lin 2004), or your own function (``--task my_task.py:MyTask``).
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import regex

from rationem.errors import ConfigError, closest

#: Canonical text of a line, or None if it has no such answer.
Read = Callable[[str], str | None]
#: r(y_hat, y*) of two canonical texts.
TextReward = Callable[[str, str], float]

#: Separates a published solution from its answer.
SOLVED = "####"
KINDS = ("number", "text", "pattern:REGEX")
REWARDS = ("exact", "rouge-l")

_DIGITS = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
# A sign counts unless it could join two things: "3-4" holds 3 and 4, "$-4" holds -4.
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w)\]])[-+−–]\s?)?(?:[$€£¥]\s?)?(?P<inner>[-−–])?(?P<whole>{_DIGITS})?"
    r"(?P<part>(?<=\d)\.\d+|(?<![\w.])\.\d+)?(?:\s?/\s?(?P<under>\d+))?"
)
_MISREAD = re.compile(r"\d[⁰¹²³⁴-⁹⁻]|[¼-¾⅐-⅞↉√∛∜]")
# A minus sign that belongs to a bracket before the number: "-(5)", "-**5**".
_MINUS_BEFORE = re.compile(r"[-−–]\s*(?:[$€£¥]\s*)?[(\[{|*_`\"']+\s*$")
# No answer is longer, and Python parses no much longer integers by default.
_LONGEST = 400
_WORD = re.compile(r"\w+")
_COPYABLE = 4  # words
_PATIENCE = 2  # seconds per line for a pattern: without a limit one completion could stall a run
_LONGEST_PATTERN = 2_000  # characters of a pattern: compiling a longer one can exceed the time limit


def number(text: str) -> str | None:
    """Return the only number in a text, in lowest terms; None if there is none, or several.

    Signs, thousands separators, currencies, percent signs and units are allowed; a fraction of two integers is one
    number. Exact: no floating point. Ambiguous text has no number: a power (``5²``), a root, a fraction in one
    character (``5½``), a dash between a word and a number (``eggs - 7``), a minus before a bracket (``-(5)``), a
    denominator after a unit (``24 km/2h``), a point that does not belong to the number (``..5``).

    >>> number("$1,234.50"), number("-3 apples"), number("2/6"), number("2.50"), number("3 or 4"), number("none")
    ('1234.5', '-3', '1/3', '2.5', None, None)
    """
    if len(text) > _LONGEST:
        return None
    found = [match for match in _NUMBER.finditer(text) if match["whole"] or match["part"] or match["under"]]
    if len(found) != 1 or _MISREAD.search(text):
        return None
    match = found[0]
    if not (match["whole"] or match["part"]) or _MINUS_BEFORE.search(text[: match.start()]):
        return None
    if match["whole"] and text[: match.start("whole")].endswith("."):
        return None
    if match["sign"] and match["sign"][-1].isspace() and text[: match.start()].rstrip()[-1:].isalnum():
        return None
    digits = (match["whole"] or "0").replace(",", "") + (match["part"] or "")
    if match["under"] and (match["part"] or not int(match["under"])):
        return None
    value = Fraction(digits) / int(match["under"] or 1)
    negative = [sign for sign in (match["sign"], match["inner"]) if sign and sign.strip() != "+"]
    plain = _plain(-value if len(negative) == 1 else value)
    return plain if len(plain) <= _LONGEST else None  # a longer text could not be parsed again


def _plain(value: Fraction) -> str:
    """Return an integer, a terminating decimal, or a fraction in lowest terms."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def final(cell: str) -> str | None:
    r"""Return the answer of a published solution: the text after the last ``####``, or in the last ``\boxed{...}``.

    A cell without either is itself the answer. LaTeX is supported if it writes one number (``\frac{a}{b}``, a currency,
    a percent sign, degrees, a unit in ``\text``); None for anything else, such as a root or a power.

    >>> final("2 + 2 = 4 eggs\n#### 4"), final("7"), final(r"So $x = \boxed{\dfrac{3}{4}}$."), final(r"$2\sqrt{3}$")
    ('4', '7', '3/4', None)
    """
    _, mark, behind = cell.rpartition(SOLVED)
    if mark:
        return behind.strip()
    opened = max((cell.rfind(word) for word in ("\\boxed{", "\\fbox{")), default=-1)
    if opened >= 0:
        return _of_latex(_braced(cell, cell.index("{", opened)))
    return _of_latex(cell) if "\\" in cell or "^" in cell else cell


def _braced(text: str, start: int) -> str:
    """Return the text between the brace at ``start`` and its closing brace; "" without one."""
    depth = 0
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return text[start + 1 : at]
    return ""


_FRACTION = re.compile(r"(?<![\d.}])\\[dt]?frac(?:\{\s*(-?\d+)\s*\}\{\s*(\d+)\s*\}|\s?(\d)(\d)(?!\d))")
_UNIT = re.compile(r"\\(?:text|mbox|mathrm|textrm)\s*\{[^{}\d]*\}|\^\s*(?:\\circ|\{\s*\\circ\s*\})")
_SPACE = re.compile(r"\\[,!;: ]\s*|\\q?quad\b|\\left\b|\\right\b|\\\(|\\\)|(?<!\\)\$")


def _of_latex(text: str) -> str | None:
    """Return a number written in LaTeX as plain text; None if anything else is left."""
    text = text.replace("{,}", ",")
    text = _FRACTION.sub(lambda found: f"{found[1] or found[3]}/{found[2] or found[4]}", text)
    text = _SPACE.sub("", _UNIT.sub("", text)).replace("\\$", "$").replace("\\%", "%").strip()
    return text if re.fullmatch(r"(?:[a-z]\s*=\s*)?[-+$%\d.,/\s]+", text) else None


def line(text: str) -> str | None:
    r"""Return a text as one line, with each run of white space as one space; None if nothing is left.

    >>> line("  a\n b "), line(" \n")
    ('a b', None)
    """
    return " ".join(text.split()) or None


def reader(kind: str) -> Read:
    """Return the function that reads answers of a kind.

    Raises:
        ConfigError: there is no such kind, or its pattern is not a regular expression.
    """
    if kind == "number":
        return number
    if kind == "text":
        return line
    name, colon, pattern = kind.partition(":")
    if name != "pattern" or not colon or not pattern:
        raise ConfigError(f"Unknown kind of answer {kind!r}.{closest(kind, KINDS)} Use one of {list(KINDS)}.")
    if len(pattern) > _LONGEST_PATTERN:
        raise ConfigError(f"The answer's pattern has {len(pattern)} characters; the limit is {_LONGEST_PATTERN}.")
    try:
        compiled = regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise ConfigError(f"The answer's pattern {pattern!r} is not a regular expression: {error}.") from error
    return lambda text: _matched(compiled, text)


def _matched(pattern: Any, text: str) -> str | None:
    try:
        match = pattern.search(text, timeout=_PATIENCE)
    except TimeoutError:
        _warn(pattern.pattern)
        return None
    return None if match is None else line((match[1] if pattern.groups else match[0]) or "")


@lru_cache  # once per pattern
def _warn(pattern: str) -> None:
    logging.getLogger(__name__).warning(
        "The answer's pattern %r took more than %d s on a line; such a line counts as having no answer. Avoid a "
        "repetition inside a repetition.",
        pattern,
        _PATIENCE,
    )


def reward(name: str) -> TextReward:
    """Return the reward function r(y_hat, y*) of that name.

    Raises:
        ConfigError: there is no such reward.
    """
    if name == "exact":
        return _exact
    if name == "rouge-l":
        return rouge_l
    raise ConfigError(
        f"Unknown reward {name!r} of an open answer.{closest(name, REWARDS)} Use one of {list(REWARDS)}, or write a "
        "task of your own (--task my_task.py:MyTask)."
    )


def _exact(predicted: str, answer: str) -> float:
    return float(predicted == answer)


@lru_cache(maxsize=65_536)
def rouge_l(predicted: str, answer: str) -> float:
    """Return ROUGE-L, the F1 of the longest common subsequence of words; ignores case, works in any script.

    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004. Equal to rouge-score's value.
    """
    said, right = _WORD.findall(predicted.casefold()), _WORD.findall(answer.casefold())
    common = _common(said, right)
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(right)
    return 2 * precision * recall / (precision + recall)


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    A row of the usual table is one integer with a bit per word of ``right``, 0 where the row rises. Long texts take one
    step per word, not per pair of words (Hyyro, "Bit-parallel LCS-length computation revisited", 2004).
    """
    places: dict[str, int] = defaultdict(int)
    for place, word in enumerate(right):
        places[word] |= 1 << place
    every = (1 << len(right)) - 1
    row = every
    for word in left:
        if hits := row & places.get(word, 0):
            row = ((row + hits) | (row - hits)) & every
    return len(right) - row.bit_count()


def copied(text: str, answer: str) -> float | None:
    """Return the longest run of an answer's words that occurs in a text, as a share of the answer's words.

    1 if the whole answer was copied, 0 if none of its words occurs. Ignores case. None for an answer of fewer than four
    words, because stating it is not copying.

    >>> copied("as I was told, the cat sat there", "The cat sat down"), copied("so it is 14", "14")
    (0.75, None)
    """
    words, of = _WORD.findall(text.casefold()), _WORD.findall(answer.casefold())
    if len(of) < _COPYABLE:
        return None
    longest, before = 0, [0] * (len(of) + 1)
    for word in words:
        row = [0] * (len(of) + 1)
        for at, other in enumerate(of, start=1):
            if word == other:
                row[at] = before[at - 1] + 1
        longest, before = max(longest, *row), row
    return longest / len(of)


def unknown(text: str) -> float:
    """Return log p of a text under a uniform model of bytes: each byte, and the end, has probability 1/257; in nats.

    For open answers it replaces the training marginal: it keeps the score of an item without any evidence finite.
    """
    return -(len(text.encode()) + 1) * _LOG_BYTES


_LOG_BYTES = 5.54907608489522  # log 257
