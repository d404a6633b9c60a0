"""Where a run is shown: texts of the data and of the model are printed as characters, never obeyed, never markup."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rationem.report.part import Coded, Figure, Matrix, Part, Plot, Report, Tiles
from rationem.report.part import Table as Cells
from rationem.report.part import Text as Toned
from rationem.report.plain import plain, tolerate

#: Columns where there is no terminal: a table is not folded, and texts are not wrapped at all.
_PIPED = 1000
#: Blanks and rule between two columns of a table.
_APART = 3
#: Where a text is shortened, in characters.
SHORT = 400


def terminal(file: TextIO | None = None) -> Console:
    """Return what to print on; anything but a terminal gets plain text.

    Args:
        file: where to; standard output by default.
    """
    stream = file or sys.stdout
    tolerate(stream)
    there = stream.isatty()
    return Console(
        file=stream,
        force_terminal=there,
        color_system="auto" if there else None,
        width=None if there else _PIPED,
        markup=False,
        emoji=False,
        highlight=False,
    )


def line(console: Console, *parts: str | tuple[str, str], indent: int = 0) -> None:
    """Print one line: what a text holds beside letters is escaped, line breaks too.

    Args:
        parts: texts, or (text, style).
        indent: blanks before it.
    """
    told = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        told.append(plain(text), style)
    if not console.is_terminal:
        console.print(Text(" " * indent) + told, soft_wrap=True)
        return
    # What is wrapped stands further in: the rest of a text cannot pass for a line of ours.
    for place, row in enumerate(told.wrap(console, max(20, console.width - indent - 4))):
        row.rstrip()
        console.print(Text(" " * (indent + 4 * (place > 0))) + row, soft_wrap=True)


def block(console: Console, text: str, *, indent: int = 4, style: str = "") -> None:
    """Print a text with its line breaks, each line indented, so that it cannot pass for a line of ours."""
    told = Text(plain(text, breaks=True) or "(empty)", style)
    wrapped = console.is_terminal
    rows = told.wrap(console, max(20, console.width - indent)) if wrapped else told.split("\n", allow_blank=True)
    for row in rows:
        row.rstrip()
        console.print(Text(" " * indent) + row if row.plain else Text(), soft_wrap=True)


def shortened(text: str, limit: int | None) -> str:
    """Return the beginning of a text, and how much is missing.

    Args:
        limit: characters; None leaves it whole.

    >>> shortened("a long text", 6), shortened("a long text", None)
    ('a long ... (5 more characters)', 'a long text')
    """
    if limit is None or len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()} ... ({len(text) - limit:,} more characters)"


def table(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]], *, bold: int | None = None) -> None:
    """Print a table: the first column to the left, numbers to the right, none of them broken.

    Where the terminal is too narrow, the columns that do not fit follow below, each part with the first column.

    Args:
        bold: the row that stands out.
    """
    named = [plain(name) for name in head]
    shown = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(named, *shown, strict=True)]
    widths[0] = min(widths[0], max(16, console.width // 3))
    for place, part in enumerate(_parts(widths, console.width)):
        if place:
            console.print()
        made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
        made.add_column(Text(named[0]), width=widths[0], overflow="fold")
        for column in part:
            made.add_column(Text(named[column]), justify="right", no_wrap=True, overflow="fold")
        for number, row in enumerate(shown):
            cells = (Text(row[column]) for column in (0, *part))
            made.add_row(*cells, style="bold" if number == bold else "")
        with console.capture() as captured:
            console.print(made)
        # rich fills every line up with blanks
        console.out(*(row.rstrip() for row in captured.get().splitlines()), sep="\n", highlight=False)


def _parts(widths: Sequence[int], width: int) -> list[list[int]]:
    """Return the columns behind the first, in as few parts as fit beside it."""
    parts: list[list[int]] = [[]]
    used = widths[0]
    for column in range(1, len(widths)):
        if parts[-1] and used + _APART + widths[column] > width:
            parts.append([])
            used = widths[0]
        parts[-1].append(column)
        used += _APART + widths[column]
    return parts


def show(report: Report, console: Console) -> None:
    """Print a report."""
    line(console, (report.title, "bold"))
    for part in report.parts:
        section(console, part)


def section(console: Console, part: Part) -> None:
    """Print a section: its heading, then its blocks."""
    title(console, part.title)
    for place, one in enumerate(part.blocks):
        if place and isinstance(one, Cells | Matrix | Plot) and not getattr(one, "repeats", False):
            console.print()
        _PRINTERS[type(one)](console, one)


def _paragraph(console: Console, text: str) -> None:
    block(console, " ".join(text.split()), indent=0)


def _coded(console: Console, paragraph: Coded) -> None:
    _paragraph(console, paragraph.text)


def _toned(console: Console, text: Toned) -> None:
    warns = text.tone == "warning"
    block(console, f"{'Warning: ' * warns}{text.text}", indent=0, style="yellow" if warns else "")


def _cells(console: Console, one: Cells) -> None:
    if one.caption:
        line(console, one.caption)
    table(console, one.head, one.rows, bold=one.bold)


def _tiles(console: Console, one: Tiles) -> None:
    for tile in one.tiles:
        line(console, f"{tile.name}: ", (tile.value, "bold"), f" ({tile.remark})" if tile.remark else "", indent=2)


def _matrix(console: Console, one: Matrix) -> None:
    _cells(console, one.table)


def _plot(console: Console, one: Plot) -> None:
    if not one.repeats:
        _cells(console, replace(one.numbers, caption=one.title))


def _figure(console: Console, one: Figure) -> None:
    if one.file:
        line(console, f"Figure: {one.file}")


_PRINTERS: dict[type, Callable[[Console, Any], None]] = {
    str: _paragraph,
    Toned: _toned,
    Coded: _coded,
    Cells: _cells,
    Tiles: _tiles,
    Matrix: _matrix,
    Plot: _plot,
    Figure: _figure,
}


def title(console: Console, text: str) -> None:
    """Print a heading."""
    console.print()
    line(console, (text, "bold"))
