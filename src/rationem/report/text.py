"""A report as Markdown: the one renderer of sections for ``report.md``, the model card and a comparison's page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rationem.report.escape import readable
from rationem.report.part import Block, Coded, Figure, Matrix, Part, Plot, Report, Table, Text, Tiles
from rationem.report.plain import plain
from rationem.report.tables import table


def markdown(report: Report) -> str:
    """Return a report as a Markdown page; its texts stay texts."""
    parts = [f"# {readable(report.title)}", *(one for part in report.parts for one in section(part))]
    return "\n\n".join(parts) + "\n"


def section(part: Part | None, below: int = 0) -> list[str]:
    """Return a section's blocks as Markdown, the heading first; nothing without a section.

    Args:
        below: how many levels deeper its heading is on this page.
    """
    if part is None:
        return []
    heading = f"{'#' * (part.level + below)} {readable(part.title)}"
    return [heading, *(one for block in part.blocks for one in blocks(block))]


def blocks(block: Block) -> Iterator[str]:
    """Yield a block as Markdown paragraphs and tables; a figure that is no file is shown by its numbers."""
    return _RENDERERS[type(block)](block)


def _paragraph(text: str) -> Iterator[str]:
    yield readable(text)


def _toned(text: Text) -> Iterator[str]:
    yield f"{'**Warning:** ' if text.tone == 'warning' else ''}{readable(text.text)}"


def _coded(paragraph: Coded) -> Iterator[str]:
    """Yield a paragraph with its code as code; an odd backtick ends nothing.

    >>> [*_coded(Coded("rating from `r_1` *")), *_coded(Coded("a ` b"))]
    ['rating from `r_1` \\\\*', 'a \\\\` b']
    """
    pieces = " ".join(paragraph.text.split()).split("`")
    if len(pieces) % 2 == 0:
        yield readable(paragraph.text)
        return
    yield "".join(f"`{plain(one)}`" if n % 2 else _between(one) for n, one in enumerate(pieces))


def _between(text: str) -> str:
    """Return a piece of a paragraph with the blanks at its ends kept."""
    inner = text.strip()
    before, behind = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{readable(inner)}{behind}" if inner else text


def _table(one: Table) -> Iterator[str]:
    if one.caption:
        yield f"**{readable(one.caption)}**"
    yield table([readable(cell) for cell in one.head], [[readable(cell) for cell in row] for row in one.rows])


def _tiles(one: Tiles) -> Iterator[str]:
    lines = (f"{tile.name}: {tile.value}{f' ({tile.remark})' if tile.remark else ''}" for tile in one.tiles)
    yield "\n".join(f"- {readable(line)}" for line in lines)


def _matrix(one: Matrix) -> Iterator[str]:
    return _table(one.table)


def _plot(one: Plot) -> Iterator[str]:
    if not one.repeats:
        yield from _table(replace(one.numbers, caption=one.title))


def _figure(one: Figure) -> Iterator[str]:
    if one.file:
        yield f"![{readable(one.label)}]({one.file})"


_RENDERERS: dict[type, Callable[[Any], Iterator[str]]] = {
    str: _paragraph,
    Text: _toned,
    Coded: _coded,
    Table: _table,
    Tiles: _tiles,
    Matrix: _matrix,
    Plot: _plot,
    Figure: _figure,
}
