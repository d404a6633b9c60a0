"""parquet and arrow -> records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rationem.data.file_format import FileFormat
from rationem.data.lines import MOST
from rationem.data.records import Records
from rationem.errors import DataError

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
    from pyarrow import types

    for batch in batches:
        if batch.get_total_buffer_size() > 8 * MOST:
            raise DataError(f"{path}: {_BATCH} rows have more than {8 * MOST >> 20} MiB. Is this the right file?")
        maps = [field.name for field in batch.schema if types.is_map(field.type)]
        for row in batch.to_pylist():
            # A map is a list of pairs there, which no path can enter.
            yield {**row, **{name: dict(row[name]) for name in maps if row[name] is not None}} if maps else row


@contextmanager
def _told(path: Path, kind: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, ValueError, OverflowError, KeyError, TypeError) as error:  # also text not UTF-8
        raise DataError(f"{path}: cannot be read as {kind}: {error}") from error
