"""Bytes -> lines of text: UTF-8 with or without a byte order mark, plain or gzip, one line in memory at a time."""

from __future__ import annotations

import codecs
import gzip
import io
import shlex
from collections.abc import Iterator
from pathlib import Path

from rationem.errors import DataError

GZIP = ".gz"
#: Most characters of a line, and most bytes of a file that is read whole: a small gzip can expand to any size.
LONGEST, MOST = 1 << 26, 1 << 28


def text_lines(path: Path, newline: str) -> Iterator[str]:
    r"""Yield the lines of a text file with their line breaks.

    Args:
        path: the file; compressed if its name ends in ``.gz``.
        newline: ``"\n"`` breaks lines only there, ``""`` also at ``"\r"`` and ``"\r\n"``.

    Raises:
        DataError: a byte is not UTF-8; the message names its line.
    """
    with open_bytes(path) as file:
        offset = len(codecs.BOM_UTF8) if file.peek(3).startswith(codecs.BOM_UTF8) else 0
        # A byte that is not UTF-8 becomes a surrogate, which valid text never contains, so its line is known.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=newline)
        for number, line in enumerate(iter(lambda: text.readline(LONGEST), ""), 1):
            if len(line) == LONGEST:
                raise DataError(
                    f"{path}:{number}: the line has more than {LONGEST >> 20} million characters, which is too long "
                    "for a record. Is this the right file?"
                )
            try:
                offset += len(line.encode())
            except UnicodeEncodeError as error:
                place = offset + len(line[: error.start].encode())
                raise DataError(
                    f"{path}:{number}: byte {place} (0x{ord(line[error.start]) - 0xDC00:02x}) is not UTF-8. Save the "
                    f"file as UTF-8, or convert it: `{_conversion(path, line)}`."
                ) from error
            yield line


def _conversion(path: Path, line: str) -> str:
    """Return a command that converts the file from its likely encoding: UTF-16 by its mark, else Windows' Latin-1."""
    encoding = "UTF-16" if line.startswith(("\udcff\udcfe", "\udcfe\udcff")) else "WINDOWS-1252"
    unpacked = path.suffix.lower() == GZIP
    file, new = shlex.quote(str(path)), shlex.quote(f"utf8-{path.stem if unpacked else path.name}")
    convert = f"iconv -f {encoding} -t UTF-8"
    return f"gzip -dc {file} | {convert} > {new}" if unpacked else f"{convert} {file} > {new}"


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open a file for reading bytes, decompressed if its name ends in ``.gz``."""
    return gzip.open(path, "rb") if path.suffix.lower() == GZIP else path.open("rb")


def whole(path: Path) -> bytes:
    """Return the decompressed bytes of a file whose format must be read whole.

    Raises:
        DataError: the file is larger than an ordinary machine's memory can hold after parsing.
    """
    with open_bytes(path) as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise DataError(
            f"{path}: more than {MOST >> 20} MiB{' decompressed' if path.suffix.lower() == GZIP else ''}, and "
            "json and xml are read whole. Write one object per line (.jsonl), or parquet: those have no limit."
        )
    return data


def kind_of(path: Path) -> str:
    """Return the suffix that gives the format, in lower case: ``.jsonl`` for ``a.JSONL`` and ``a.jsonl.gz``."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == GZIP else path.suffix.lower()


def stem_of(path: Path) -> str:
    """Return the name of a file without the suffixes of its format."""
    return Path(path.stem).stem if path.suffix.lower() == GZIP else path.stem
