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
#: Characters of a line, and bytes of a file that is read whole: a gzip of some megabytes can grow to any size.
LONGEST, MOST = 1 << 26, 1 << 28


def text_lines(path: Path, newline: str) -> Iterator[str]:
    r"""Yield the lines of a text file with their line breaks.

    Args:
        path: the file; the name ends in ``.gz`` where it is compressed.
        newline: ``"\n"`` breaks there only, ``""`` also at ``"\r"`` and ``"\r\n"``.

    Raises:
        DataError: a byte is not UTF-8; the message names its line.
    """
    with open_bytes(path) as file:
        offset = len(codecs.BOM_UTF8) if file.peek(3).startswith(codecs.BOM_UTF8) else 0
        # A byte that is not UTF-8 becomes a surrogate, which no valid text holds: so its line is known.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=newline)
        for number, line in enumerate(iter(lambda: text.readline(LONGEST), ""), 1):
            if len(line) == LONGEST:
                raise DataError(
                    f"{path}:{number}: the line has more than {LONGEST >> 20} million characters. Is this the file "
                    "that you mean? Records are read one by one, and none of them is as long."
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
    """Return a command that converts the file from what it likely is: UTF-16 by its mark, else Windows' Latin-1."""
    encoding = "UTF-16" if line.startswith(("\udcff\udcfe", "\udcfe\udcff")) else "WINDOWS-1252"
    unpacked = path.suffix.lower() == GZIP
    file, new = shlex.quote(str(path)), shlex.quote(f"utf8-{path.stem if unpacked else path.name}")
    convert = f"iconv -f {encoding} -t UTF-8"
    return f"gzip -dc {file} | {convert} > {new}" if unpacked else f"{convert} {file} > {new}"


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open a file to be read as bytes, unpacked where its name ends in ``.gz``."""
    return gzip.open(path, "rb") if path.suffix.lower() == GZIP else path.open("rb")


def whole(path: Path) -> bytes:
    """Return the bytes of a file whose format must be read whole, unpacked.

    Raises:
        DataError: there are more of them than fit into the memory of an ordinary machine once they are read.
    """
    with open_bytes(path) as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise DataError(
            f"{path}: more than {MOST >> 20} MiB{' once it is unpacked' if path.suffix.lower() == GZIP else ''}, and "
            "json and xml are read whole. Write one object per line (.jsonl), or parquet: those have no limit."
        )
    return data


def kind_of(path: Path) -> str:
    """Return the suffix that tells the format, in small letters: ``.jsonl`` for ``a.JSONL`` and ``a.jsonl.gz``."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == GZIP else path.suffix.lower()


def stem_of(path: Path) -> str:
    """Return the name of a file without its suffixes that tell the format."""
    return Path(path.stem).stem if path.suffix.lower() == GZIP else path.stem
