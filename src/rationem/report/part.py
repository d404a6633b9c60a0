"""A section of a report before it is rendered: its function provides the content, a medium the form.

``text.section`` renders it as Markdown, the macro ``part`` of ``page/page.html`` as HTML, ``terminal.console.section``
on a terminal. All texts are plain: each renderer escapes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph that stands out from the others, or stays in the background.

    Args:
        tone: "headline", "quiet" or "warning".
    """

    text: str
    tone: Literal["headline", "quiet", "warning"]


@dataclass(frozen=True, slots=True)
class Coded:
    """A paragraph whose text between backticks is code. Code that makes it takes the backticks out of users' names."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Args:
        head: titles of the columns.
        rows: each as long as the head; the first cell names the row.
        caption: above it, if any.
        bold: the row that stands out on a terminal.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    bold: int | None = None


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the few numbers that matter most.

    Args:
        name: what was measured.
        value: the number, as it is shown.
        remark: behind it, such as its interval.
        at: the number, between 0 and 1.
        ends: of its interval, if it has one.
    """

    name: str
    value: str
    remark: str
    at: float
    ends: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Tiles:
    """The few numbers that matter most; a page draws them on one axis from 0 to 1."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Counts of human level by predicted level.

    Args:
        corner: what the rows are.
        over: what the columns are.
        columns: names of the columns.
        rows: name of a row, and its cells: the text, and its shade from 0 to 6.
        of: the set whose items it counts, where a page's cells open them; otherwise "".
        part: the criterion whose items it counts; "" for all.
    """

    corner: str
    over: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    of: str = ""
    part: str = ""

    @property
    def table(self) -> Table:
        """The same as a table, without shades."""
        rows = [[name, *(text for text, _ in cells)] for name, cells in self.rows]
        return Table((f"{self.corner} / {self.over}", *self.columns), rows)


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture for the light and one for the dark mode.

    Args:
        light: SVG text for a light background.
        dark: the same for a dark background.
        label: a description in words and numbers, for people who cannot see the figure.
        file: the name of the light one where it is a file beside the page.
    """

    light: str
    dark: str
    label: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure with its title and the numbers that it is drawn from.

    Args:
        title: above it.
        numbers: shown where there are no pictures.
        label: as :class:`Figure` has it.
        draw: returns the SVG for a light and for a dark background.
        repeats: whether a table of the same section has the numbers already.
    """

    title: str
    numbers: Table
    label: str
    draw: Callable[[], tuple[str, str]]
    repeats: bool = False

    @property
    def figure(self) -> Figure:
        """The picture; drawn at each call."""
        return Figure(*self.draw(), self.label)


#: A string is a paragraph.
Block = str | Text | Coded | Table | Tiles | Matrix | Figure | Plot


@dataclass(frozen=True, slots=True)
class Part:
    """One section of a report, which every medium renders in full.

    Args:
        name: the anchor on the page; lower-case letters.
        title: its heading.
        blocks: in order.
        level: of its heading; 3 if it belongs to the section before it.
        folded: whether a page shows it only when asked: a long table that few need.
        tab: title of the tabs that it is one of; a page shows neighbours with the same title as tabs.
    """

    name: str
    title: str
    blocks: tuple[Block, ...] = ()
    level: int = 2
    folded: bool = False
    tab: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A row of a table of sections.

    Args:
        make: summary of a run -> the section, or None where the run has nothing for it.
        on_card: whether the model card shows it too.
        below: sections of level 3 under it; it is left out where they all are.
    """

    make: Callable[[Mapping[str, Any]], Part | None]
    on_card: bool = False
    below: tuple[Section, ...] = ()

    def parts(self, summary: Mapping[str, Any]) -> tuple[Part, ...]:
        """Return the section and those below it, as far as the run has them."""
        made = self.make(summary)
        under = tuple(part for one in self.below for part in one.parts(summary))
        if made is None or (self.below and not under):
            return under
        return (made, *under)


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report: of a run, or of a comparison."""

    title: str
    parts: tuple[Part, ...]
