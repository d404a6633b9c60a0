"""parquet, arrow and xlsx -> records."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from rationem.data.delimited import named
from rationem.data.dialects import FEW, explaining
from rationem.data.file_format import FileFormat
from rationem.data.lines import MOST
from rationem.data.records import Records
from rationem.errors import ConfigError, DataError

# For parquet: rows per batch, and bytes of the buffer.
_BATCH, _BUFFER = 256, 2**18


def read_parquet(path: Path, _: FileFormat) -> Records:
    """Yield (number, cells) of the rows of a parquet file.

    Raises:
        DataError: it is damaged, or is no parquet file.
    """
    from pyarrow import parquet

    # Without an explicit buffer size a reader holds the columns of a whole row group, often the whole file.
    with _told(path, "parquet"), parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
        yield from enumerate(_rows(path, file.iter_batches(batch_size=_BATCH)), 1)


def read_arrow(path: Path, _: FileFormat) -> Records:
    """Yield (number, cells) of the rows of an arrow file or stream.

    Raises:
        DataError: it is damaged, or is no arrow file.
    """
    import pyarrow
    from pyarrow import ipc

    with _told(path, "arrow"), pyarrow.memory_map(str(path)) as source:
        try:
            file = ipc.open_file(source)
            batches: Iterator[Any] = (file.get_batch(at) for at in range(file.num_record_batches))
        except pyarrow.ArrowInvalid:
            source.seek(0)
            batches = iter(ipc.open_stream(source))
        parts = (batch.slice(at, _BATCH) for batch in batches for at in range(0, batch.num_rows, _BATCH))
        yield from enumerate(_rows(path, parts), 1)


def _rows(path: Path, batches: Iterator[Any]) -> Iterator[dict[str, object]]:
    for batch in batches:
        if batch.get_total_buffer_size() > 8 * MOST:
            raise DataError(f"{path}: {_BATCH} rows have more than {8 * MOST >> 20} MiB. Is this the right file?")
        yield from batch.to_pylist()


@contextmanager
def _told(path: Path, kind: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, ValueError, OverflowError, KeyError, TypeError) as error:  # also text not UTF-8
        raise DataError(f"{path}: cannot be read as {kind}: {error}") from error


def read_workbook(path: Path, given: FileFormat) -> Records:
    """Yield (row number, cells by name) of a sheet of a workbook: the only one with cells, or the named one.

    Raises:
        DataError: it is damaged, or has several sheets and none is named.
        ConfigError: the library that reads workbooks is not installed.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise ConfigError(
            f"{path}: reading a workbook needs openpyxl: `pip install 'rationem[xlsx]'`. Or save the sheet as "
            '"CSV UTF-8" in your spreadsheet program.'
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and validations, which are not read
        try:
            _check_size(path)
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            sheets = {sheet.title: _filled(sheet) for sheet in book.worksheets}
            book.close()
        except (BadZipFile, SyntaxError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise DataError(f"{path}: cannot be read as a workbook: {error}") from error
    yield from _table(path, sheets[_sheet(path, sheets, given.records)], given)


def _check_size(path: Path) -> None:
    with ZipFile(path) as file:
        size = sum(part.file_size for part in file.infolist())
    if size > MOST:
        raise DataError(f"{path}: more than {MOST >> 20} MiB decompressed. Save the sheet as csv.")


def _filled(sheet: Any) -> list[tuple[int, list[Any]]]:
    """Return (number, cells) of the rows that are not empty."""
    sheet.reset_dimensions()  # what the file says about its size may be wrong
    rows = (
        (number, [_cell(value) for value in row]) for number, row in enumerate(sheet.iter_rows(values_only=True), 1)
    )
    return [(number, cells) for number, cells in rows if any(cell not in (None, "") for cell in cells)]


def _cell(value: Any) -> Any:
    """Return a value as JSON has it: dates become text, 4.0 becomes 4."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int | float | None) else str(value)


def _sheet(path: Path, sheets: Mapping[str, Any], asked: str) -> str:
    if asked:
        if asked not in sheets:
            raise DataError(f"{path}: there is no sheet {asked!r} (--records). The sheets are {list(sheets)}.")
        return asked
    filled = [name for name, rows in sheets.items() if rows]
    if len(filled) > 1:
        raise DataError(f"{path}: the sheets {filled} have cells. Name one: `--records {filled[0]!r}`.")
    return filled[0] if filled else next(iter(sheets))


def _table(path: Path, rows: list[tuple[int, list[Any]]], given: FileFormat) -> Records:
    left = [(number, cells) for number, cells in rows if number > given.skip_lines]
    if not left:
        return
    width = max(len(cells) for _, cells in left)
    left = [(number, [*cells, *[None] * (width - len(cells))]) for number, cells in left]
    if not given.header:
        yield from ((number, {str(at): cell for at, cell in enumerate(cells, 1)}) for number, cells in left)
        return
    (line, header), left = left[0], left[1:]
    _check_header(path, line, header, left)
    names = named(["" if cell is None else str(cell) for cell in header])
    # Columns without a name and without cells come from formatting.
    used = [at for at in range(width) if header[at] is not None or any(cells[at] is not None for _, cells in left)]
    for number, cells in left[explaining(left[:FEW]) :]:
        yield number, {names[at]: cells[at] for at in used}


def _check_header(path: Path, line: int, header: list[Any], left: list[tuple[int, list[Any]]]) -> None:
    """Raise DataError if the first row has one cell and those below have more: it is a title."""
    counts = [sum(cell is not None for cell in cells) for _, cells in left]
    if left and sum(cell is not None for cell in header) == 1 < min(counts[:FEW]):
        raise DataError(
            f"{path}:{line}: this row has one cell, those below have up to {max(counts)}. If it is a title above the "
            f"header, add `--skip-lines {left[0][0] - 1}`."
        )
