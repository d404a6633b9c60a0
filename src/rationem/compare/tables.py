"""From results to tables: Markdown for reading, LaTeX for a paper, CSV for everything else."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rationem.compare.kinds import called, kind_of, leading
from rationem.compare.results import TESTED, VALIDATION
from rationem.metrics import FEWEST_GROUPS, METRICS, titles
from rationem.report.part import Part, Table
from rationem.report.tables import number, within

#: Number -> (title, digits): quality, drafts and cost.
SCORES = {
    **{name: (title, METRICS[name].digits) for name, title in titles("compare").items()},
    "faithful": ("faithful", 3),
}
COSTS = {
    "accepted": ("first attempts accepted", 3),
    "kept": ("kept", 3),
    "length": ("completion, tokens", 1),
    "iterations": ("iterations", 1),
    "steps": ("steps", 0),
    "passes": ("passes over a kept example, per iteration", 1),
    "generated_tokens": ("generated tokens", 0),
    "prompt_tokens": ("prompt tokens", 0),
    "seconds": ("seconds", 0),
}
#: The effects of the hint, by name in ``results``.
HINTS = {
    "said_answer_hinted": "right, hinted",
    "said_answer_forward": "right, unhinted",
    "copied_hinted": "answer's words copied, hinted",
    "copied_forward": "copied, unhinted",
    "faithful_hinted": "faithful, hinted",
    "faithful_forward": "faithful, unhinted",
    "wrong_justified": "wrong hints justified",
}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "∞": r"$\infty$",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
}

_Results = Mapping[str, Any]


def tables(results: _Results) -> list[Part]:
    """Return all tables of a comparison, each a section."""
    held, against = _held(results), f"Differences from {results['reference']}"
    found = [
        _part(
            "Test set, chosen weights",
            f"For the iteration that validation chose.{_moved(results)} {held}",
            _scores(results, "chosen"),
        ),
        _part(f"{against}, chosen weights", "", _apart(results, "chosen")),
        _part("Test set, last weights", f"For the last iteration. {held}", _scores(results, "last")),
        _part(f"{against}, last weights", "", _apart(results, "last")),
        *_validation(results),
        *_hinted(results),
        _part(
            "Cost",
            "The cost of training up to the last iteration: drafts, tokens, steps; seconds are those of the last "
            "process.",
            _costs(results),
        ),
    ]
    found = [one for one in found if len(table_of(one).head) > 1]  # without a test set nothing is scored on it
    if beside := _beside(results):
        note = (
            "Each rating against the item's other ratings, for judges and people alike; chosen weights. "
            "The differences are paired: the same resamples for both."
        )
        found.append(_part("Beside people", note, beside))
    if exact := _exact(results):
        items = max(one["items"] for one in _enumerated(results))
        note = (
            f"Certified bounds of the mean of log p(y* | x) over {items} test items, nats, by enumeration. After the "
            "semicolon: the largest share of an item's posterior that is missing, on prefixes that were too "
            "improbable to follow (--enumerate-above). Enumerated EM draws from the found part, so it equals EM up "
            "to the missing share."
        )
        found.append(_part("Evidence by enumeration", note, exact))
    return [replace(one, name=f"table-{n}") for n, one in enumerate(found, 1)]


def _part(title: str, note: str, cells: tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]) -> Part:
    return Part("", title, (*([note] if note else []), Table(*cells)))


def table_of(part: Part) -> Table:
    """Return the table of one of the sections of :func:`tables`."""
    return next(block for block in part.blocks if isinstance(block, Table))


def _held(results: _Results) -> str:
    count, seeds = results["config"]["iterations"], len(results["seeds"])
    iterations = f"{count} iteration{'s' * (count > 1)}"
    runs = f"Means of {seeds} seeds.{_no_intervals(results)}" if seeds > 1 else f"One seed.{_no_intervals(results)}"
    if results["equal"] == "tokens":
        return (
            f"Held equal: generated tokens, about those of {results['reference']} in {iterations}; arms that generate "
            f"none have {iterations} (Cost). {runs}"
        )
    if results["equal"] == "passes":
        return (
            f"Held equal: {iterations}, and passes over a kept example in each, those of {results['reference']}; the "
            f"number of steps follows from how many examples an arm kept (What it took). {runs}"
        )
    steps = {(arm["last"]["iterations"]["value"], arm["last"]["steps"]["value"]) for arm in results["arms"]}
    if len(steps) > 1:
        return f"At most {iterations}; iterations or steps differ between the arms (Cost). {runs}"
    return (
        f"Held equal: {iterations} of as many gradient steps. How often a kept example is trained on is not: arms that "
        f"keep fewer go over them more often (What it took). {runs}"
    )


def _no_intervals(results: _Results) -> str:
    """Return why there are no intervals; empty if there are."""
    groups = results["groups"]["test"]
    if groups < FEWEST_GROUPS:
        return (
            f" No intervals: the test set has {groups} groups of items, and fewer than {FEWEST_GROUPS} do not show how "
            "much items differ."
        )
    return " No intervals: two seeds do not show how much runs differ." if len(results["seeds"]) == 2 else ""


#: Numbers that repeat another one, and those with their own title, by ``Kind.page``.
_REPEATS = {"levels": ("reward",), "answers": ("reward",), "rewards": ()}
_TITLES: dict[str, dict[str, str]] = {"levels": {}, "answers": {}, "rewards": titles("compare rewards")}


def _shown(results: _Results, columns: Mapping[str, tuple[str, int]], weights: str) -> list[str]:
    """Return the columns that some arm has, the leading number first.

    For an open answer that is correct or wrong, the mean reward equals the accuracy and is not shown again.
    """
    known = [name for name in columns if any(arm[weights].get(name) for arm in results["arms"])]
    known = [name for name in known if name not in _REPEATS[kind_of(results).page]]
    return sorted(known, key=lambda name: name != leading(results))


def _scores(results: _Results, weights: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    shown = _shown(results, SCORES, weights)
    said = {called(results).constant: "constant", "training marginal": "training_marginal"}
    known = {title: found for title, name in said.items() if (found := results["baselines"].get(name))}
    if attainable := results["baselines"].get("attainable"):
        known["attainable, given how raters differ"] = {
            **dict.fromkeys(("log_likelihood", "calibrated_log_likelihood"), attainable["log_likelihood"])
        }
    rows = [(title, *(number(one.get(name), SCORES[name][1]) for name in shown)) for title, one in known.items()]
    above = {"base model": results["base"]}
    if results["shots"]:
        above[f"base model, {results['config']['shots']} solved examples"] = results["shots"]
    rows += [(title, *(_cell(one.get(name), SCORES[name][1]) for name in shown)) for title, one in above.items()]
    rows += [(_named(arm), *(_cell(arm[weights][name], SCORES[name][1]) for name in shown)) for arm in results["arms"]]
    return ("arm", *(_title(results, name) for name in shown)), tuple(rows)


def _title(results: _Results, name: str) -> str:
    """Return the title of a column; with graded rewards the accuracy is the share of full ones."""
    return _TITLES[kind_of(results).page].get(name) or {**SCORES, **COSTS}[name][0]


def _apart(results: _Results, weights: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    columns = {**SCORES, **COSTS}
    shown = [
        name
        for name in _shown(results, {name: columns[name] for name in TESTED}, weights)
        if any((arm[weights].get(name) or {}).get("difference") for arm in _others(results))
        and name not in _TITLES[kind_of(results).page]
    ]
    tested = [
        name
        for name in shown
        if any("p_holm" in (arm[weights][name] or {}).get("difference", {}) for arm in _others(results))
    ]
    head = [cell for name in shown for cell in (columns[name][0], *(["p (Holm)"] if name in tested else []))]
    rows = []
    for arm in _others(results):
        cells = []
        for name in shown:
            apart = (arm[weights].get(name) or {}).get("difference")
            cells.append(_cell(apart, columns[name][1], signed=True))
            if name in tested:
                cells.append(number((apart or {}).get("p_holm"), 3))
        rows.append((_named(arm), *cells))
    return ("arm", *head), tuple(rows)


def _moved(results: _Results) -> str:
    """Return in how many runs a standard-error rule took an earlier iteration than the best; empty if in none."""
    runs = [
        pair
        for arm in results["arms"]
        for pair in zip(arm["chosen_iterations"], arm["highest_iterations"], strict=True)
    ]
    moved = sum(chosen != highest for chosen, highest in runs)
    return f" In {moved} of {len(runs)} runs --choose-within took an earlier one than the best." if moved else ""


def _validation(results: _Results) -> list[Part]:
    """Return the score on validation; nothing if it was not measured."""
    base = results["base"].get(VALIDATION)
    if not base:
        return []
    rows = [("base model", _cell(base, 3), "", "")]
    for arm in results["arms"]:
        last = arm["last"].get(VALIDATION)
        apart = _cell((last or {}).get("difference"), 3, signed=True) if arm in _others(results) else ""
        rows.append((_named(arm), _cell(last, 3), apart, _cell(arm["chosen"].get(VALIDATION), 3)))
    note = (
        "Smoothed log-probability of the correct answers over all drafts, unhinted and hinted; nats per item; not a "
        "bound, and not on test. The iteration was chosen because this score was the highest, or nearly, so the "
        "value is biased upwards: it has no interval and is not tested."
    )
    head = ("arm", "last weights", f"difference from {results['reference']}", "chosen weights, biased upwards")
    return [_part("Score (validation)", note, (head, tuple(rows)))]


def _hinted(results: _Results) -> list[Part]:
    """Return the effects of the hint; nothing without hinted drafts."""
    named = {"base model": results["base"]["hints"], **{_named(arm): arm["hints"]["last"] for arm in results["arms"]}}
    shown = [name for name in HINTS if any(one and one[name] is not None for one in named.values())]
    if not shown:
        return []
    rows = tuple((name, *(number((one or {}).get(key), 3) for key in shown)) for name, one in named.items())
    note = "Rationales on validation, of hinted and unhinted drafts; last weights."
    head = ("arm", *(HINTS[name] for name in shown))
    return [_part("The effect of hints", note, (head, rows))]


def _beside(results: _Results) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] | None:
    """Return one person and the judges on the same targets; None if no item has several ratings."""
    ceiling = results["baselines"].get("human_ceiling")
    if not ceiling:
        return None
    shown = [name for name in SCORES if ceiling.get(name) is not None]
    named = {"one person": ceiling, **{_named(arm): arm["beside_humans"] for arm in results["arms"]}}
    rows = [(name, *(number(one.get(key), SCORES[key][1]) for key in shown)) for name, one in named.items() if one]
    rows += [
        (f"{_named(arm)} minus one person", *(_cell(apart.get(key), SCORES[key][1], signed=True) for key in shown))
        for arm in results["arms"]
        if (apart := arm.get("minus_human"))
    ]
    return ("", *(SCORES[name][0] for name in shown)), tuple(rows)


def _costs(results: _Results) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    shown = _shown(results, COSTS, "last")
    rows = [(_named(arm), *(_cell(arm["last"][name], COSTS[name][1]) for name in shown)) for arm in results["arms"]]
    return ("arm", *(COSTS[name][0] for name in shown)), tuple(rows)


def _exact(results: _Results) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] | None:
    if not _enumerated(results):
        return None
    base = _bounds(results["base"]["exact"])
    rows = [
        (_named(arm), base, _bounds(arm["exact"]["chosen"]), _bounds(arm["exact"]["last"])) for arm in results["arms"]
    ]
    return ("arm", "base model", "chosen", "last"), tuple(rows)


def _enumerated(results: _Results) -> list[Mapping[str, Any]]:
    several = [results["base"]["exact"], *(one for arm in results["arms"] for one in arm["exact"].values())]
    return [one for one in several if one]


def _bounds(exact: Mapping[str, Any] | None) -> str:
    """Return the bounds; if an item's lower bound is 0, the mean has none, and the mean of the others is given
    separately.
    """
    if exact is None:
        return "–"
    upper, missing, lost = number(exact["upper"], 3), exact["without_lower"], f"; {number(exact['missing'], 2)}"
    if missing:
        return f"-∞ .. {upper} (without {missing} items {number(exact['lower'], 3)}){lost}"
    return f"{number(exact['lower'], 3)} .. {upper}{lost}"


def _others(results: _Results) -> list[Mapping[str, Any]]:
    return [arm for arm in results["arms"] if arm["name"] != results["reference"]]


def _named(arm: Mapping[str, Any]) -> str:
    return f"{arm['name']} (control)" if arm["control"] else str(arm["name"])


def _cell(one: Mapping[str, Any] | None, digits: int, *, signed: bool = False) -> str:
    if one is None:
        return "–"
    ends = None if one["low"] is None else (one["low"], one["high"])
    if signed:
        shown = f"{one['value']:+.{digits}f}"
        return shown if ends is None else f"{shown} [{ends[0]:+.{digits}f}, {ends[1]:+.{digits}f}]"
    return within(float(one["value"]), ends, digits)


def latex(several: Sequence[Part]) -> str:
    r"""Return the tables in LaTeX; they need ``\usepackage{booktabs}``."""
    return "\n".join(_latex(one) for one in several)


def _latex(part: Part) -> str:
    one, told = table_of(part), [block for block in part.blocks if isinstance(block, str)]

    def row(cells: Sequence[str]) -> str:
        return " & ".join(_escaped(cell) for cell in cells) + r" \\"

    columns = "l" + "r" * (len(one.head) - 1)
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escaped(' '.join([f'{part.title}.', *told]))}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            row(one.head),
            r"\midrule",
            *map(row, one.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def long_csv(results: _Results) -> str:
    """Return every number as a row: arm, weights, number, value, low, high, and its difference from the reference."""
    names = ("value", "low", "high")
    head = ["arm", "weights", "number", *names, *(f"difference_{name}" for name in (*names, "p", "p_holm"))]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    blocks: list[tuple[str, str, Mapping[str, Any]]] = [("base model", "base", results["base"])]
    blocks += [(arm["name"], weights, arm[weights]) for arm in results["arms"] for weights in ("chosen", "last")]
    for arm, weights, numbers in blocks:
        for name, one in numbers.items():
            if one is not None and name not in ("exact", "hints"):
                apart = one.get("difference") or {}
                cells = [*(one.get(key) for key in names), *(apart.get(key) for key in (*names, "p", "p_holm"))]
                writer.writerow([arm, weights, name, *("" if cell is None else cell for cell in cells)])
    return file.getvalue()
