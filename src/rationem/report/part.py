"""A section of a report before it is rendered: its function provides the content, the pages the form.

The template of ``report.html`` renders it as HTML, :func:`markdown` as Markdown, ``terminal.console.section`` as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rationem.report.tables import table

#: Head, and rows as long as the head.
Table = tuple[Sequence[str], Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture for the light and one for the dark mode.

    Args:
        light: SVG text for a light background.
        dark: the same for a dark background.
        label: a description in words and numbers, for people who cannot see the figure.
    """

    light: str
    dark: str
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure with its title and the numbers that it was drawn from."""

    title: str
    figure: Figure
    numbers: Table


@dataclass(frozen=True, slots=True)
class Matrix:
    """Counts of human level by predicted level.

    Args:
        corner: what rows and columns are.
        columns: names of the columns.
        rows: name of a row, and its cells: the text, and its shade from 0 to 6.
    """

    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One section of a report, which each page renders: texts first, then the rest.

    Args:
        name: the anchor on the page; lower-case letters.
        tables: caption, which may be empty, and table.
    """

    name: str
    title: str
    texts: tuple[str, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    matrix: Matrix | None = None
    plots: tuple[Plot, ...] = field(default=())


def markdown(one: Part | None, level: int = 2) -> list[str]:
    """Return a section's blocks as Markdown: title, texts and tables; nothing without a section.

    Args:
        level: of its heading.
    """
    if one is None:
        return []
    return [f"{'#' * level} {one.title}", *one.texts, *(table(*cells) for _, cells in one.tables)]
