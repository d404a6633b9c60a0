"""How a csv, tsv or txt file is written: its delimiter, its quoting, its header. What is unclear is refused.

A dialect is found from the whole file once, so that every command reads the same rows.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from rationem.data.columns import SYNONYMS
from rationem.data.file_format import FOUND, FileFormat
from rationem.data.headers import BELOW, Header, check_title, header_of, same
from rationem.data.lines import LONGEST, kind_of, text_lines
from rationem.errors import BrokenFile, DataError

#: Suffixes of the formats whose cells are separated by a character.
KINDS = (".csv", ".tsv", ".txt")
_MARKS = ",;\t|"
#: Lines that are looked at to find the delimiter, and their most characters.
_SAMPLE, _CHARACTERS = 200, 1 << 20
#: Fewest lines that show that quotation marks are no quoting; share of rows that speaks against a header.
_CLEAR, _MOST = 20, 0.9
_SEP = re.compile(r'\s*"?sep=(.)"?[\s,;]*$', re.IGNORECASE)
#: A quotation mark behind a backslash, which itself is not behind one.
_ESCAPED = re.compile(r'(?<!\\)((?:\\\\)*)\\"')


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a delimited file is written.

    Args:
        delimiter: between cells.
        quoting: "doubled", "backslash" or "none", see :class:`.FileFormat`.
        skip: lines before the header.
        header: what names the columns; None if nothing does.
        repeated: how often the header is repeated further down.
        lines: the lines of the file.
        lacking: how many last columns of the header no row has a cell for.
    """

    delimiter: str
    quoting: str = "doubled"
    skip: int = 0
    header: Header | None = None
    repeated: int = 0
    lines: int = 0
    lacking: int = 0

    @property
    def columns(self) -> list[str]:
        """The columns that rows have cells for."""
        names = self.header.columns if self.header else []
        return names[: len(names) - self.lacking]


def dialect_of(path: Path, given: FileFormat = FOUND) -> Dialect:
    """Return how a file is written: as the user says, else as the whole file shows.

    Raises:
        DataError: the header does not fit the rows, or it is unclear what quotation marks mean.
    """
    state = path.stat()
    return _dialect(path, given, state.st_size, state.st_mtime_ns)


def delimiter_of(path: Path, given: FileFormat = FOUND) -> str | None:
    """Return the delimiter of a csv, tsv or txt file; None for other formats."""
    return dialect_of(path, given).delimiter if kind_of(path) in KINDS else None


def notes_of_text(path: Path, given: FileFormat = FOUND) -> dict[str, Any]:
    """Return what differs from the usual way to write such a file, see :mod:`rationem.report.reading`."""
    dialect, usual = dialect_of(path, given), "\t" if kind_of(path) == ".tsv" else ","
    notes: dict[str, Any] = dict(dialect.header.notes(dialect.repeated)) if dialect.header else {}
    if dialect.header and dialect.lacking:
        notes["short_rows"] = dialect.header.columns[-dialect.lacking :]
    if dialect.delimiter != usual:
        notes["delimiter"] = dialect.delimiter
    if dialect.quoting == "backslash":
        notes["quoting"] = dialect.quoting
    return notes


def records_of(path: Path, given: FileFormat, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of every record that is not empty, the header first.

    Raises:
        BrokenFile: the quotation marks do not close, so nothing behind this line can be read.
    """
    lines: Iterable[str] = islice(text_lines(path, "", given.encoding), dialect.skip, None)
    if dialect.quoting == "backslash":
        lines = (_ESCAPED.sub(r'\1""', line) for line in lines)
    # strict: otherwise an unclosed quotation mark would make the rest of the file one cell.
    if dialect.quoting == "none":
        reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
    line = dialect.skip + 1
    while (cells := _next_cells(path, dialect, line, reader)) is not None:
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = dialect.skip + reader.line_num + 1


def fitted(cells: list[str], header: Sequence[str]) -> list[str]:
    """Return a record without empty cells beyond the header, and with one for each last column without a name."""
    if len(cells) > len(header) and not any(cell.strip() for cell in cells[len(header) :]):
        return cells[: len(header)]
    if len(cells) < len(header) and not any(name.strip() for name in header[len(cells) :]):
        return [*cells, *[""] * (len(header) - len(cells))]
    return cells


def _next_cells(path: Path, dialect: Dialect, line: int, reader: Any) -> list[str] | None:
    # The limit of a cell is process-wide: it is raised only while a row is read.
    before = csv.field_size_limit(LONGEST)
    try:
        cells: list[str] | None = next(reader, None)
        return cells
    except csv.Error as error:
        lost = f" {dialect.lines - line} of {dialect.lines} lines lie behind it." if dialect.lines else ""
        raise BrokenFile(
            f"{path}:{line}: quoting breaks here: {error}.{lost} If quotation marks are ordinary characters in this "
            'file, add `--quoting none`; if they are written \\", `--quoting backslash`. Else put cells with a '
            'quotation mark, a line break or the delimiter in quotation marks, and double each mark inside ("").'
        ) from error
    finally:
        csv.field_size_limit(before)


@lru_cache(maxsize=64)
def _dialect(path: Path, given: FileFormat, _size: int, _changed: int) -> Dialect:
    sample = list(islice(_readable(path, given), given.skip_lines, given.skip_lines + _SAMPLE))
    named = None if given.delimiter or not sample else _SEP.match(sample[0].rstrip("\r\n"))
    skip, sample = (given.skip_lines + 1, sample[1:]) if named else (given.skip_lines, sample)
    dialect = Dialect(given.delimiter or (named[1] if named else _delimiter(path, sample)), skip=skip)
    plain = _unquoted(path, given, dialect)
    dialect = replace(dialect, lines=plain.lines)
    if given.quoting != "auto":
        dialect = replace(dialect, quoting=given.quoting)
    survey = _survey(path, given, dialect)
    if given.quoting == "auto" and plain.marked and (quoting := _quoting(path, given, dialect, plain, survey)):
        dialect = replace(dialect, quoting=quoting)
        survey = _survey(path, given, dialect)
    if given.header:
        if given.header_rows < 2:
            dialect = replace(dialect, lacking=_lacking(survey))
            _check_header(path, given, dialect, survey)
        dialect = replace(dialect, header=survey.named(given.header_rows), repeated=survey.repeated)
    return dialect


def _readable(path: Path, given: FileFormat) -> Iterator[str]:
    """Yield the lines before one that cannot be read: reading the rows reports it."""
    lines = text_lines(path, "", given.encoding)
    while True:
        try:
            line = next(lines, None)
        except DataError:
            return
        if line is None:
            return
        yield line


def _delimiter(path: Path, sample: Sequence[str]) -> str:
    """Return the mark of a header with only one of them, else the one by which most rows have the header's cells."""
    lines = [line for line in sample if line.strip("\r\n")]
    header = re.sub(r'"[^"]*"', "", lines[0].rstrip("\r\n")) if lines else ""
    marks, usual = [mark for mark in _MARKS if mark in header], "\t" if kind_of(path) == ".tsv" else ","
    if usual == "\t" and (usual in marks or len(marks) != 1):
        return usual
    if len(marks) < 2 or len(lines) < 3:
        return marks[0] if len(marks) == 1 else usual
    shares = {mark: _share(lines, mark) for mark in marks}
    best = max(marks, key=shares.__getitem__)
    return usual if shares.get(usual, 0) >= shares[best] else best


def _share(lines: Sequence[str], mark: str) -> float:
    """Return the share of records with as many cells as the header, 0 if it has only one."""
    size = 0
    few = [line for line in lines if (size := size + len(line)) <= _CHARACTERS]
    try:
        records = [cells for cells in csv.reader(few, delimiter=mark) if cells]
    except csv.Error:
        return 0.0
    alike = sum(len(fitted(cells, records[0])) == len(records[0]) for cells in records)
    return alike / len(records) if records and len(records[0]) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class _Unquoted:
    """What the lines of a file show if nothing is quoted.

    Args:
        lines: their number, with skipped ones.
        marked: whether there is a quotation mark.
        alike: whether every line has the cells of the first, and more than one.
        proper: whether every cell that begins with a quotation mark is properly quoted.
    """

    lines: int
    marked: bool
    alike: bool
    proper: bool


def _unquoted(path: Path, given: FileFormat, dialect: Dialect) -> _Unquoted:
    lines, marked, proper, widths = 0, False, True, set()
    for lines, line in enumerate(_readable(path, given), 1):
        text = line.rstrip("\r\n")
        if lines <= dialect.skip or not text.strip():
            continue
        widths.add(text.count(dialect.delimiter) + 1)
        if '"' in text:
            marked = True
            proper = proper and all(map(_is_proper, text.split(dialect.delimiter)))
    return _Unquoted(lines, marked, len(widths) == 1 and widths != {1}, proper)


def _is_proper(cell: str) -> bool:
    """Say whether a cell is either not quoted, or is quoted with all marks inside it doubled."""
    return not cell.startswith('"') or (len(cell) > 1 and cell[-1] == '"' and '"' not in cell[1:-1].replace('""', ""))


@dataclass(frozen=True, slots=True)
class _Survey:
    """The records of a file in one dialect.

    Args:
        header: (line, cells) of the first, None if there is none.
        first: the next few.
        widths: the number of cells of the others -> records, see :func:`fitted`.
        broken: whether the quotation marks break.
        swallowed: the first and last line of the first record of several lines.
        repeated: how many records are the same as the first.
    """

    header: tuple[int, list[str]] | None
    first: list[tuple[int, list[str]]]
    widths: Counter[int]
    broken: bool
    swallowed: tuple[int, int] | None
    repeated: int

    def named(self, rows: int) -> Header | None:
        """Return the header of the records."""
        head = [self.header, *self.first] if self.header else []
        return header_of([cells for _, cells in head], rows) if head else None

    @property
    def fits(self) -> bool:
        """Whether all records have the cells of the first."""
        return not self.broken and self.header is not None and set(self.widths) <= {len(self.header[1])}


def _survey(path: Path, given: FileFormat, dialect: Dialect) -> _Survey:
    header, broken, swallowed, repeated = None, False, None, 0
    first: list[tuple[int, list[str]]] = []
    widths: Counter[int] = Counter()
    try:
        for line, cells in records_of(path, given, dialect):
            if header is None:
                header = (line, cells)
                continue
            widths[len(fitted(cells, header[1]))] += 1
            repeated += same(header[1], cells)
            if len(first) < BELOW:
                first.append((line, cells))
            if swallowed is None and any("\n" in cell or "\r" in cell for cell in cells):
                breaks = sum(len(re.findall(r"\r\n|\r|\n", cell)) for cell in cells)
                swallowed = (line, line + breaks)
    except BrokenFile:
        broken = True
    except DataError:  # found again, and told, where the rows are read
        pass
    return _Survey(header, first, widths, broken, swallowed, repeated)


def _quoting(path: Path, given: FileFormat, dialect: Dialect, plain: _Unquoted, survey: _Survey) -> str | None:
    """Return how a file quotes if it does not do so by doubling; tables separated by tabs are often not quoted.

    Raises:
        DataError: a quoted cell holds several lines, each of which is a row of its own.
    """
    if dialect.delimiter == "\t":
        return None if (plain.proper if plain.alike else survey.fits) else "none"
    if plain.alike and plain.lines >= _CLEAR and survey.swallowed:
        start, end = survey.swallowed
        raise DataError(
            f"{path}:{start}: the quotation mark that opens here closes in line {end} only, although every line of the "
            f"file is a row by itself: {end - start + 1} rows would become one. If quotation marks are ordinary "
            "characters here, add `--quoting none`; if that cell is right, `--quoting doubled`; else remove the mark."
        )
    return "backslash" if survey.broken and _survey(path, given, replace(dialect, quoting="backslash")).fits else None


def _lacking(survey: _Survey) -> int:
    """Return how many last columns no row has a cell for; 0 if one of them has the name of an input or the rating.

    Then cells may stand under the wrong name, because a name in the header holds the delimiter.
    """
    if survey.header is None or survey.broken or len(survey.widths) != 1:
        return 0
    (width,), header = survey.widths, survey.header[1]
    if not 1 < width < len(header):
        return 0
    lacking = {name.strip().casefold() for name in header[width:]}
    usual = {*SYNONYMS, *(name for names in SYNONYMS.values() for name in names)}
    return 0 if lacking & usual else len(header) - width


def _check_header(path: Path, given: FileFormat, dialect: Dialect, survey: _Survey) -> None:
    """Raise DataError if nearly all rows have another number of cells than the header."""
    if survey.header is None:
        return
    check_title(path, [survey.header, *survey.first])
    (line, header), rows = survey.header, survey.widths.total()
    if len(header) == 1 and not given.delimiter and header[0].split()[1:]:
        spaced = _survey(path, given, replace(dialect, delimiter=" "))
        if spaced.fits and spaced.widths:
            raise DataError(f"{path}:{line}: cells seem to be separated by spaces. If so, add `--delimiter space`.")
    width, count = survey.widths.most_common(1)[0] if rows else (len(header), 0)
    if rows < 2 or width == len(header) - dialect.lacking or count < _MOST * rows:
        return
    told = f"{path}:{line}: this line has {len(header)} cell{'s' * (len(header) > 1)}, but {count} of {rows} rows have"
    if len(header) == 1:
        later = next(at for at, cells in (*survey.first, (line + 1, [])) if len(cells) == width or not cells)
        raise DataError(f"{told} {width}. If it is a title above the header, add `--skip-lines {later - 1}`.")
    if width == len(header) + 1 and count == rows:
        raise DataError(
            f"{told} {width}. The first column seems to have no name, as R writes row names. If so, give it one, "
            f"or add `--no-header --skip-lines {line}` and name columns by their numbers: "
            f"{', '.join(f'{at} is {name.strip()!r}' for at, name in enumerate(header, 2))}. If cells hold the "
            f"delimiter {dialect.delimiter!r}, put them in quotation marks."
        )
    raise DataError(
        f"{told} {width}. If it is no header, add `--no-header`; if it stands above the header, `--skip-lines {line}`; "
        f"if cells hold the delimiter {dialect.delimiter!r}, put them in quotation marks, or name another --delimiter."
    )
