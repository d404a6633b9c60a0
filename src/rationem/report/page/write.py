"""``report.html``: numbers, figures and texts of one run or several, in one file that loads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from rationem.errors import RunError
from rationem.ledger import write_text
from rationem.report import sections
from rationem.report.page import parts
from rationem.report.page.nouns import Section, Told
from rationem.report.page.rationales import rationales
from rationem.report.page.safe import clean, data_url, policy, script_json
from rationem.report.part import Part
from rationem.report.summary import summarize
from rationem.report.text import warnings
from rationem.report.words import kind_of

_MODES = ("light", "dark")
_BEHIND = re.compile(r"([-+–\d.,]+) (\[[-+–\d., ]+\]|\([\d.]+ %\))")


def write_page(
    runs: Mapping[str, Path],
    target: Path,
    *,
    title: str = "",
    sections: Sequence[Section] = (),
    summaries: Mapping[str, Mapping[str, Any]] | None = None,
    **limits: int,
) -> None:
    """Write the page of one run, or of the arms of a comparison, whole or not at all.

    Args:
        runs: name -> run directory. The page uses the names if there are several runs.
        target: the file.
        title: of the page; by default the scheme and the model of the only run, or "Comparison".
        sections: the sections of a comparison after its headline.
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


def render(runs: Sequence[Told], *, title: str = "", sections: Sequence[Section] = (), **limits: int) -> str:
    """Return the page; the arguments are those of :func:`write_page`."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    style, script, template = (_file(name) for name in ("page.css", "page.js", "page.html"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["picture"] = lambda figure: {name: data_url(getattr(figure, name)) for name in _MODES}
    environment.filters |= {"code": _code, "cell": _cell}
    block, total = rationales(runs, **limits)
    shown = environment.from_string(template).render(
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(script_json(block)),
        title=title or _title(runs),
        runs=[_run(told, f"-{n}-{parts.anchor(told.name)}" if len(runs) > 1 else "") for n, told in enumerate(runs, 1)],
        arms=parts.arms(runs) if len(runs) > 1 else None,
        curves=parts.curves(runs),
        sections=sections,
        shown=len(block["trials"]),
        total=total,
    )
    return clean(shown)


#: Parts that only some pages have, by ``Kind.page``.
_PARTS = {"levels": (parts.confusion,), "answers": (), "rewards": ()}


def _title(runs: Sequence[Told]) -> str:
    if len(runs) > 1:
        return "Comparison"
    config = runs[0].summary["config"]
    return f"{config['scheme']} on {config['model']}"


def _run(told: Told, anchor: str) -> dict[str, Any]:
    """Return the template's data of one run; ``anchor`` distinguishes its anchors from those of others."""
    summary = told.summary
    above: list[Part] = [parts.data(summary), parts.numbers(summary)]
    of_kind = [part(told) for part in _PARTS[kind_of(summary).page]]
    weights = sections.weights(summary)
    below = [*of_kind, parts.reliability(summary), parts.outcomes(summary), *([weights] if weights else [])]
    below.append(parts.cost(summary))
    return {
        "name": told.name,
        "anchor": anchor,
        "finished": summary["finished"],
        "learned": parts.learned(summary),
        "tiles": parts.tiles(summary),
        "warnings": warnings(summary),
        "above": above,
        "below": below,
        "settings": parts.settings(summary),
    }


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


def _file(name: str) -> str:
    return (resources.files("rationem.report.page") / name).read_text(encoding="utf-8")
