"""How the records of a file are found where its name and content do not tell: the user's flags, checked."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from rationem.errors import ConfigError

#: Names for separators that are awkward to type in a shell.
_NAMED = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
#: Characters that cannot separate cells.
_NEVER = frozenset('"\r\n\0')


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What the user says about a file; everything else is found.

    Args:
        delimiter: of csv, tsv and txt: one character or a name of it, such as "tab"; "" finds it.
        encoding: of text files; "" is UTF-8, or UTF-16 with a byte order mark.
        quoting: how csv, tsv and txt write quotation marks inside quoted cells: "doubled", "backslash"; "none" if cells
            are not quoted; "auto" finds it.
        skip_lines: lines before the header.
        header: whether the first line names the columns; else they are called 1, 2, ...
        header_rows: how many rows the header has, joined column by column; 0 finds it.
        records: a path to the records inside a JSON file or inside each row, or the name of a workbook's sheet.

    Raises:
        ConfigError: the delimiter is not one character, the encoding is unknown, or a missing header has rows.
    """

    delimiter: str = ""
    encoding: str = ""
    quoting: str = "auto"
    skip_lines: int = 0
    header: bool = True
    header_rows: int = 0
    records: str = ""

    def __post_init__(self) -> None:
        if self.header_rows and not self.header:
            raise ConfigError("--header-rows and --no-header exclude each other: omit one.")
        mark = _NAMED.get(self.delimiter, self.delimiter)
        if len(mark) > 1 or mark in _NEVER:
            raise ConfigError(
                f"--delimiter {self.delimiter!r}: cells are separated by one character, such as ';' or '|', or by one "
                f"of {', '.join(name for name in _NAMED if name.isalpha())}."
            )
        object.__setattr__(self, "delimiter", mark)
        try:
            is_text = not self.encoding or codecs.lookup(self.encoding)._is_text_encoding
        except (LookupError, ValueError):
            is_text = False
        if not is_text:
            raise ConfigError(f"--encoding {self.encoding!r} is unknown. Usual ones: utf-8, cp1252, utf-16, gb18030.")


#: Everything is found.
FOUND = FileFormat()
