"""Bytes -> lines of text, plain or gzip, one line in memory at a time; UTF-8 unless another encoding is named."""

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
#: A compressed file may expand to this many bytes; beyond, to this many times its size.
_EXPANDED, _TIMES = 1 << 26, 100
#: The byte order mark. A second one, or one before a line further down, comes from files joined by ``cat``.
MARK = "\ufeff"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: Bytes that show the encoding, and the share of zeros at every second place that shows two bytes a character.
_FIRST, _ZEROS = 64, 0.7


def text_lines(path: Path, newline: str, encoding: str = "") -> Iterator[str]:
    r"""Yield the lines of a text file with their line breaks, without byte order marks before the first.

    Args:
        path: the file; compressed if its name ends in ``.gz``.
        newline: ``"\n"`` breaks lines only there, ``""`` also at ``"\r"`` and ``"\r\n"``.
        encoding: "" is UTF-8, or UTF-16 if the file begins with its byte order mark.

    Raises:
        DataError: a byte is not of the encoding; the message names its line.
    """
    with open_bytes(path) as file:
        start = file.peek(_FIRST)[:_FIRST]
        if not encoding and (wide := wide_encoding(start)):
            raise DataError(wide_told(path, wide))
        found = encoding or ("utf-16" if start.startswith(_UTF16) else "utf-8-sig")
        offset = len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0
        # A byte that is not UTF-8 becomes a surrogate, which valid text never contains, so its line is known.
        text = io.TextIOWrapper(file, encoding=found, errors="surrogateescape", newline=newline)
        for number, line in enumerate(_lines(path, text, found), 1):
            if len(line) == LONGEST:
                raise DataError(
                    f"{path}:{number}: the line has more than {LONGEST >> 20} million characters, which is too long "
                    "for a record. Is this the right file?"
                )
            try:
                offset += len(line.encode())
            except UnicodeEncodeError as error:
                raise _undecodable(path, number, line, error, offset, encoding) from error
            yield line.lstrip(MARK) if number == 1 else line


def wide_encoding(start: bytes) -> str:
    """Return the kind of UTF-16 without a byte order mark that a text begins with, by its zeros; "" if it is none.

    >>> wide_encoding("id,text".encode("utf-16-le")), wide_encoding("id,text".encode("utf-16-be")), wide_encoding(b"id")
    ('utf-16-le', 'utf-16-be', '')
    """
    if start.startswith(_UTF16):
        return ""
    start = start[:_FIRST]
    first, second = start[::2].count(0), start[1::2].count(0)
    least = max(_ZEROS * (len(start) // 2), 1)
    return "utf-16-le" if second >= least and not first else "utf-16-be" if first >= least and not second else ""


def wide_told(path: Path, encoding: str) -> str:
    """Return what is said of a file of such an encoding."""
    return (
        f"{path}: every second byte is zero, as in UTF-16 without a byte order mark. Add --encoding {encoding}; or "
        f"save the file as UTF-8: `{_conversion(path, encoding)}`."
    )


def _lines(path: Path, text: io.TextIOWrapper, encoding: str) -> Iterator[str]:
    number = 0
    try:
        for line in iter(lambda: text.readline(LONGEST), ""):
            number += 1
            yield line
    except UnicodeError as error:  # an encoding of several bytes a character
        raise DataError(
            f"{path}: after line {number}, the bytes are not {encoding.upper()}: {error}. Name the correct "
            "--encoding, or save the file as UTF-8."
        ) from error


def _undecodable(
    path: Path, number: int, line: str, error: UnicodeEncodeError, offset: int, encoding: str
) -> DataError:
    byte = f"0x{ord(line[error.start]) - 0xDC00:02x}"
    if encoding:
        return DataError(f"{path}:{number}: byte {byte} is not {encoding.upper()}. Name the correct --encoding.")
    place = offset + len(line[: error.start].encode())
    likely = _likely(line)
    return DataError(
        f"{path}:{number}: byte {place} ({byte}) is not UTF-8. If it is {likely}, add --encoding {likely}; or "
        f"save the file as UTF-8: `{_conversion(path, likely)}`."
    )


def _likely(line: str) -> str:
    """Return the likely encoding of a line that is not UTF-8: UTF-16 by its zeros, else Windows' Latin-1."""
    return "utf-16" if line.startswith(("\udcff\udcfe", "\udcfe\udcff")) else "cp1252"


def _conversion(path: Path, encoding: str) -> str:
    """Return a command that converts the file."""
    unpacked = path.suffix.lower() == GZIP
    file, new = shlex.quote(str(path)), shlex.quote(f"utf8-{path.stem if unpacked else path.name}")
    convert = f"iconv -f {encoding.upper()} -t UTF-8"
    return f"gzip -dc {file} | {convert} > {new}" if unpacked else f"{convert} {file} > {new}"


class _Expanding(io.RawIOBase):
    """The decompressed bytes of a gzip file, which may not expand out of all proportion."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = gzip.GzipFile(path, "rb")
        self._most = max(_EXPANDED, _TIMES * path.stat().st_size)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer)
        self._read += count
        if self._read > self._most:
            raise DataError(
                f"{self._path}: the file expands to more than {_TIMES} times its size ({self._most >> 20} MiB), which "
                "no ordinary data does. If it is what you want, decompress it first."
            )
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a file for reading bytes, decompressed if its name ends in ``.gz``.

    Reading raises a DataError if a compressed file expands out of all proportion.
    """
    if path.suffix.lower() == GZIP:
        return io.BufferedReader(_Expanding(path), 1 << 16)
    return path.open("rb")


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
