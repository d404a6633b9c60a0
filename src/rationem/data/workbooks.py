"""Workbooks of spreadsheet programs -> records of one sheet."""

from __future__ import annotations

import re
import zipfile
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem.data.file_format import FileFormat
from rationem.data.headers import BELOW, Header, check_title, header_of, named, same
from rationem.data.lines import MOST
from rationem.data.records import Records
from rationem.errors import ConfigError, DataError

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

#: Suffixes of the workbooks that are read, and of those that are not: a single cell far away in an ``.xlsb`` would take
#: more memory than there is.
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
UNREAD = (".numbers", ".xlsb")
#: Most cells of a sheet, empty ones included: it is read as a rectangle.
_CELLS = 1 << 24
#: A cell of a sheet's XML that is not empty; its attributes.
_CELL, _PLACE = re.compile(rb"<(?:\w+:)?c\b([^>]*[^/>])>"), re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_SHEET, _BINARY_SHEET = (re.compile(rf"xl/worksheets/[^/]+\.{kind}") for kind in ("xml", "bin"))

_Row = tuple[int, list[Any]]


def read_workbook(path: Path, given: FileFormat) -> Records:
    """Yield (row number, cells by name) of a sheet: the named one, or the only one with cells that is not hidden.

    Dates and times become ISO text, 4.0 becomes 4, a cell shown as 80 % is 0.8, an error such as #N/A is empty.

    Raises:
        DataError: it is damaged, protected or too large, or has several sheets and none is named.
        ConfigError: the library that reads workbooks is not installed.
    """
    rows = _rows(path, given)
    if not rows:
        return
    width = len(rows[0][1])
    header = _header(path, rows, given) or Header((tuple(map(str, range(1, width + 1))),))
    below = rows[header.size :] if given.header else rows
    # Columns without a name and without cells come from formatting.
    used = [at for at in range(width) if header.columns[at] or any(cells[at] is not None for _, cells in below)]
    names = named(header.columns)
    for number, cells in below:
        if not (given.header and header.repeats(cells)):
            yield number, {names[at]: cells[at] for at in used}


def notes_of_workbook(path: Path, given: FileFormat) -> dict[str, int]:
    """Return what is unusual about the header of a workbook's sheet."""
    state = path.stat()
    return dict(_notes(path, given, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=64)
def _notes(path: Path, given: FileFormat, _size: int, _changed: int) -> dict[str, int]:
    rows = _rows(path, given)
    header = _header(path, rows, given)
    return header.notes(sum(same(header.rows[0], cells) for _, cells in rows[1:])) if header else {}


def _rows(path: Path, given: FileFormat) -> list[_Row]:
    """Return (number, cells) of the rows of the sheet that are not empty, all of one length."""
    try:
        import python_calamine as calamine
    except ImportError as error:
        raise ConfigError(
            f"{path}: reading a workbook needs python-calamine: `pip install 'rationem[xlsx]'`. Or save the sheet as "
            '"CSV UTF-8" in your spreadsheet program.'
        ) from error
    try:
        _check_size(path)
        with _opened(path) as book:
            return [row for row in _sheet(path, book, given.records) if row[0] > given.skip_lines]
    except calamine.PasswordError as error:
        raise DataError(f"{path}: the workbook is protected by a password. Save it without one.") from error
    except (calamine.CalamineError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as a workbook: {error}. {_in_spite_of_its_name(path)}") from error


def _opened(path: Path) -> CalamineWorkbook:
    import python_calamine as calamine

    try:
        return calamine.load_workbook(path)
    except calamine.PasswordError:
        raise
    except calamine.CalamineError as error:
        try:  # a workbook of another kind than its name says
            return calamine.load_workbook(BytesIO(path.read_bytes()))
        except calamine.CalamineError:
            raise error from None


def _check_size(path: Path) -> None:
    """Raise DataError if a workbook is large out of proportion: it is read whole."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as file:
        parts = file.infolist()
        if sum(part.file_size for part in parts) > MOST:
            raise DataError(f"{path}: more than {MOST >> 20} MiB decompressed. Save the sheet as csv.")
        if any(_BINARY_SHEET.fullmatch(part.filename) for part in parts):
            raise DataError(f"{path}: this is a binary workbook (.xlsb), which is not read. Save it as .xlsx.")
        for part in parts:
            if _SHEET.fullmatch(part.filename):
                _check_area(path, file.read(part))


def _check_area(path: Path, sheet: bytes) -> None:
    """Raise DataError if a single cell far away makes a sheet too large for memory."""
    places = [place for cell in _CELL.finditer(sheet) if (place := _PLACE.search(cell[1]))]
    rows = max((int(place[2]) for place in places), default=0)
    last = max((place[1] for place in places), key=lambda letters: (len(letters), letters), default=b"")
    columns = 0
    for letter in last:
        columns = 26 * columns + letter - ord("A") + 1
    if rows * columns > _CELLS:
        raise DataError(
            f"{path}: a sheet has cells up to column {last.decode()} and down to row {rows}, too many to read. "
            "Delete cells far from the table, or save the sheet as csv."
        )


def _sheet(path: Path, book: CalamineWorkbook, asked: str) -> list[_Row]:
    """Return the rows of the named sheet, else of the only one with cells; hidden ones count if there are no others."""
    import python_calamine as calamine

    sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == calamine.SheetTypeEnum.WorkSheet]
    names = [sheet.name for sheet in sheets]
    if asked and asked not in names:
        raise DataError(f"{path}: there is no sheet {asked!r} (--records). The sheets are {names}.")
    if asked:
        return _filled(book, asked)
    filled = {name: rows for name in names if (rows := _filled(book, name))}
    visible = {sheet.name for sheet in sheets if sheet.visible == calamine.SheetVisibleEnum.Visible}
    shown = [name for name in filled if name in visible] or list(filled)
    if len(shown) > 1:
        raise DataError(f"{path}: the sheets {shown} have cells. Name one: `--records {shown[0]!r}`.")
    return filled[shown[0]] if shown else []


def _filled(book: CalamineWorkbook, name: str) -> list[_Row]:
    table = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    rows = ((number, [_cell(value) for value in row]) for number, row in enumerate(table, 1))
    return [(number, cells) for number, cells in rows if any(cell is not None for cell in cells)]


def _cell(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return value or None
    return value if isinstance(value, int | float) else str(value)


def _header(path: Path, rows: list[_Row], given: FileFormat) -> Header | None:
    if not given.header or not rows:
        return None
    header = header_of([cells for _, cells in rows[: BELOW + 1]], given.header_rows)
    if len(header.rows) == 1:
        check_title(path, rows)
    return header


def _in_spite_of_its_name(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(1 << 12)
    if start.lstrip().startswith(b"<"):
        return "It is a web page or XML: open it in your spreadsheet program, and save it as .xlsx."
    if start and b"\0" not in start and not start.startswith(b"PK"):
        return "It is text: if it is a table, name it .tsv or .csv."
    return "Open it in your spreadsheet program, and save it as .xlsx or csv."
