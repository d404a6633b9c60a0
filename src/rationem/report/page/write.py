"""``report.html``: numbers, figures and texts of one run or several, in one file that loads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from rationem.errors import RunError
from rationem.ledger import write_text
from rationem.report import sections as of_run
from rationem.report.escape import clean
from rationem.report.page.nouns import Told
from rationem.report.page.rationales import rationales
from rationem.report.page.safe import data_url, policy, script_json
from rationem.report.page.several import every, together
from rationem.report.part import Block, Matrix, Part
from rationem.report.summary import summarize

_MODES = ("light", "dark")
#: One script on the page, in this order: ``common.js`` has what the others use.
_SCRIPTS = ("common.js", "tabs.js", "words.js", "item.js", "items.js", "rationales.js")
_BEHIND = re.compile(r"([-+–\d.,]+) (\[[-+–\d., ]+\]|\([\d.]+ %\))")


def write_page(
    runs: Mapping[str, Path],
    target: Path,
    *,
    title: str = "",
    sections: Sequence[Part] = (),
    summaries: Mapping[str, Mapping[str, Any]] | None = None,
    **limits: int,
) -> None:
    """Write the page of one run, or of the arms of a comparison, whole or not at all.

    Args:
        runs: name -> run directory. The page uses the names if there are several runs.
        target: the file.
        title: of the page; by default the scheme and the model of the only run, or "Comparison".
        sections: the sections of a comparison, before the runs.
        summaries: name -> result of ``rationem.report.summarize``, if already known.
        limits: ``most_trials`` and ``most_text``: the maximum numbers of trials and characters in the browser of
            rationales.

    Raises:
        RunError: a directory is not a run, or ``runs`` is empty.
    """
    if not runs:
        raise RunError("A report of no run was asked for. Name one or more run directories.")
    known = summaries or {}
    told = [Told(name, path, known[name] if name in known else summarize(path)) for name, path in runs.items()]
    write_text(target, render(told, title=title, sections=sections, **limits))


def render(runs: Sequence[Told], *, title: str = "", sections: Sequence[Part] = (), **limits: int) -> str:
    """Return the page; the arguments are those of :func:`write_page`."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    style, template = _file("page.css"), _file("page.html")
    script = "\n".join(['"use strict";', *map(_file, _SCRIPTS)])
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["picture"] = lambda figure: {name: data_url(getattr(figure, name)) for name in _MODES}
    environment.filters |= {"code": _code, "cell": _cell}
    environment.filters |= {"together": _together, "opens": _opens, "tabbed": _tabbed}
    block, total = rationales(runs, **limits)
    several = len(runs) > 1
    parts = _several(runs, sections) if several else [*sections, *of_run.parts(runs[0].summary)]
    shown = environment.from_string(template).render(
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(script_json(block)),
        title=title or ("Comparison" if several else of_run.title(runs[0].summary)),
        parts=parts,
        leading=1 + len(sections) if not several else len(parts),
        runs=[_run(told, n) for n, told in enumerate(runs, 1)] if several else [],
        shown=len(block["trials"]),
        total=total,
    )
    return clean(shown)


def _several(runs: Sequence[Told], sections: Sequence[Part]) -> list[Part]:
    """Return the parts of a page of several runs: a comparison has curves of its own."""
    if sections:
        return [*sections, replace(every(runs, "Every run"), tab=sections[-1].tab)]
    return [every(runs, "What was learned"), together(runs)]


def _run(told: Told, n: int) -> dict[str, Any]:
    """Return one of several runs; ``anchor`` distinguishes its anchors from those of others."""
    return {"name": told.name, "anchor": f"-{n}-{_anchor(told.name)}", "parts": of_run.parts(told.summary)}


def _together(part: Part) -> Iterator[tuple[str, list[Block]]]:
    """Yield the blocks of a part in order, neighbours of one kind together: figures stand side by side."""
    for kind, blocks in groupby(part.blocks, key=lambda block: type(block).__name__):
        yield kind, list(blocks)


def _tabbed(parts: Sequence[Part]) -> list[tuple[str, list[Part]]]:
    """Return (title, its tabs) and ("", a part) in order."""
    groups = [(tab, list(several)) for tab, several in groupby(parts, key=lambda one: one.tab)]
    return [one for tab, several in groups for one in ([(tab, several)] if tab else [("", [part]) for part in several])]


def _code(text: str) -> Any:
    """Return a sentence with text between backticks as code; everything in it is escaped."""
    from markupsafe import Markup, escape

    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(one) if n % 2 else escape(one) for n, one in enumerate(pieces)
    )


def _cell(text: str) -> Any:
    """Return a cell's text; an interval or a share after a number is on its own line."""
    from markupsafe import Markup

    found = _BEHIND.fullmatch(text)
    return Markup('{} <span class="behind">{}</span>').format(*found.groups()) if found else text


def _opens(matrix: Matrix, row: str, column: str, run: str) -> str:
    """Return the address of the items that a cell counts: items.js reads it.

    >>> _opens(Matrix("people gave", "judge predicts", (), (), of="test"), "a b", "4", "")
    '#items?split=test&people=a+b&judge=4'
    """
    named = ({"run": run} if run else {}) | ({"part": matrix.part} if matrix.part else {})
    return f"#items?{urlencode({**named, 'split': matrix.of, 'people': row, 'judge': column})}"


def _file(name: str) -> str:
    return (resources.files("rationem.report.page") / name).read_text(encoding="utf-8")


def _anchor(name: str) -> str:
    """Return a name as the end of an anchor.

    >>> _anchor("STaR, seed 0")
    'star-seed-0'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
