"""What a page is made of: figures, tables and the sections that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Head, and rows as long as the head.
Table = tuple[Sequence[str], Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture for the light and one for the dark mode.

    Args:
        light: SVG text for a light ground.
        dark: the same for a dark ground.
        label: what is to be seen, in words and numbers, for those who cannot see it.
    """

    light: str
    dark: str
    label: str


@dataclass(frozen=True, slots=True)
class Section:
    """A block that a comparison shows behind the headline.

    Args:
        title: its heading.
        text: paragraphs, parted by blank lines; plain text.
        table: shown below the text, if any.
        figures: shown below the table.
    """

    title: str
    text: str
    table: Table | None = None
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """One run and its numbers.

    Args:
        name: what the page calls it.
        directory: the run directory.
        summary: of ``rationem.report.summarize``.
    """

    name: str
    directory: Path
    summary: Mapping[str, Any]


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
    """One part of the page, as the template shows it: texts first, then what else there is.

    Args:
        name: the anchor; lower-case letters.
        tables: caption, which may be empty, and table.
    """

    name: str
    title: str
    texts: tuple[str, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    matrix: Matrix | None = None
    plots: tuple[Plot, ...] = field(default=())
