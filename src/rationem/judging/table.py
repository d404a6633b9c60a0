"""Ratings -> the columns added to a file, and rows -> bytes of csv, tsv or jsonl."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rationem.errors import ConfigError, DataError
from rationem.judging.verdicts import Rating
from rationem.tasks.protocol import Task
from rationem.tasks.scale import Scale

#: Prefix of every added column if one of them is already a column of the input.
CLASH = "judge_"

#: Spreadsheets run a cell with such a start as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_WORDS = ("answer", "rationale", "problem")
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of the output.

    Args:
        given: the input's columns, kept as they are.
        added: per criterion, (name in the output, kind of value).
    """

    given: tuple[str, ...]
    added: tuple[tuple[tuple[str, str], ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in order."""
        return (*self.given, *(name for columns in self.added for name, _ in columns))

    def cells(self, ratings: Sequence[Rating]) -> dict[str, object]:
        """Return the added cells of one row, one rating per criterion."""
        return {
            name: value
            for columns, rating in zip(self.added, ratings, strict=True)
            for (name, _), value in zip(columns, _values(rating, [kind for _, kind in columns]), strict=True)
        }

    @property
    def words(self) -> frozenset[str]:
        """The added columns with text of the model or about the input."""
        return frozenset(name for columns in self.added for name, kind in columns if kind in _WORDS)


def layout(given: Sequence[str], task: Task, criteria: Sequence[str], *, fast: bool, sets: bool = False) -> Layout:
    """Return the output's columns; with several criteria the added ones begin with ``<criterion>_``.

    Raises:
        ConfigError: an added column is in the input even with the prefix ``judge_``, or two have the same name.
    """
    kinds = {criterion: _columns(task, task.scale.of(criterion), fast=fast, sets=sets) for criterion in criteria}
    prefixes = {criterion: f"{criterion}_" if len(criteria) > 1 else "" for criterion in criteria}
    added = [f"{prefixes[criterion]}{kind}" for criterion in criteria for kind in kinds[criterion]]
    if len(set(added)) < len(added):
        raise ConfigError(
            f"The criteria {list(criteria)} would give two columns the same name. Rate them separately: --criterion."
        )
    front = CLASH if set(added) & set(given) else ""
    if clash := sorted({f"{front}{name}" for name in added} & set(given)):
        raise ConfigError(f"Input and output both have columns called {clash}. Rename them in the input.")
    named = (tuple((f"{front}{prefixes[one]}{kind}", kind) for kind in kinds[one]) for one in criteria)
    return Layout(tuple(given), tuple(named))


def _columns(task: Task, scale: Scale, *, fast: bool, sets: bool) -> tuple[str, ...]:
    """Return the kinds of the columns that a rating adds."""
    consistent = ("consistent",) if task.orders > 1 else ()
    said = _SAID[task.kind.estimator](scale, fast=fast)
    return (
        *said,
        *(("set",) if sets else ()),
        "rationale",
        "status",
        *consistent,
        "draws",
        "unparsed_draws",
        "problem",
    )


def _consensus(_: Scale, *, fast: bool) -> tuple[str, ...]:
    return ("answer",) if fast else ("answer", "agreement")


def _levels(scale: Scale, *, fast: bool) -> tuple[str, ...]:
    expected = ("expected_rating",) if scale.ordered else ()
    probabilities = () if fast else (*expected, *(f"p_{level}" for level in scale.levels), "entropy")
    return ("rating", *probabilities)


_SAID = {"levels": _levels, "consensus": _consensus}


def _values(rating: Rating, kinds: Sequence[str]) -> list[object]:
    known: dict[str, object] = {
        "rating": rating.rating,
        "answer": rating.rating,
        "agreement": _rounded(rating.agreement),
        "expected_rating": _rounded(rating.expected),
        "entropy": _rounded(rating.entropy),
        "set": None if rating.levels is None else list(rating.levels),
        "rationale": rating.rationale,
        "status": str(rating.status),
        "consistent": rating.consistent,
        "draws": rating.draws,
        "unparsed_draws": rating.unparsed,
        "problem": rating.problem,
    }
    probabilities = rating.probabilities or {}
    known |= {f"p_{level}": _rounded(p) for level, p in probabilities.items()}
    return [known.get(kind) for kind in kinds]


def _rounded(value: float | None) -> float | None:
    """Keep significant digits, not decimals: a small probability stays one."""
    return None if value is None else float(f"{value:.{_DIGITS}g}")


Encode = Callable[[Layout, Sequence[tuple[Mapping[str, object], Mapping[str, object]]]], bytes]


@dataclass(frozen=True, slots=True)
class Format:
    """How a file is written: ``head(layout)``, then ``rows(layout, [(given cells, added cells), ...])``."""

    head: Callable[[Layout], bytes]
    rows: Encode


def format_of(path: Path, written: tuple[str, bytes] | None = None) -> Format:
    """Return the format of a file's suffix.

    Args:
        path: the output.
        written: the delimiter and the byte order mark of an input in csv, which an output in csv keeps.

    Raises:
        DataError: the suffix is not a supported output format.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise DataError(f"{path}: cannot write {path.suffix or 'a file without a suffix'}; write {', '.join(FORMATS)}.")
    return _delimited(*written) if written and path.suffix.lower() == ".csv" else found


def _delimited(delimiter: str, mark: bytes = b"") -> Format:
    def encoded(records: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter).writerows(records)
        return text.getvalue().encode(errors="backslashreplace")

    def rows(layout: Layout, pairs: Sequence[tuple[Mapping[str, object], Mapping[str, object]]]) -> bytes:
        words = layout.words
        return encoded(
            [
                [
                    *(_plain(given.get(name)) for name in layout.given),
                    *(guarded(_plain(cell)) if name in words else _plain(cell) for name, cell in added.items()),
                ]
                for given, added in pairs
            ]
        )

    return Format(lambda layout: mark + encoded([layout.names]), rows)


def guarded(text: str) -> str:
    """Return the text, with a leading ' if a spreadsheet would run it: model text must not become a formula.

    >>> guarded("=HYPERLINK(...)"), guarded("polite")
    ("'=HYPERLINK(...)", 'polite')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(value: object) -> str:
    """Return a cell as text: strings unchanged, empty for null, lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | list | Mapping):
        return _json(value)
    return str(value)


def _jsonl(layout: Layout, pairs: Sequence[tuple[Mapping[str, object], Mapping[str, object]]]) -> bytes:
    lines = [_json({**given, **added}) for given, added in pairs]
    return "".join(f"{line}\n" for line in lines).encode()


def _json(value: object) -> str:
    """Return JSON that every reader takes: NaN and infinities of the input become null, dates become text."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=str)
    # Half a character cannot be written in UTF-8, but can be escaped.
    return text if text.isascii() or _is_utf8(text) else json.dumps(_finite(value), allow_nan=False, default=str)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


#: Suffix -> how it is written.
FORMATS: dict[str, Format] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": Format(lambda _layout: b"", _jsonl),
    ".ndjson": Format(lambda _layout: b"", _jsonl),
}
