"""From results to files: results.json, tables, figures, report.md and report.html of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rationem import metrics
from rationem.compare.design import read_design
from rationem.compare.figures import LEADING, figures
from rationem.compare.kinds import leading
from rationem.compare.results import VALIDATION, summarize
from rationem.compare.tables import SCORES, latex, long_csv, tables
from rationem.ledger import write_text
from rationem.report.figures import adaptive
from rationem.report.page import write_page
from rationem.report.part import Figure, Part, Report, Text
from rationem.report.tables import number
from rationem.report.text import markdown
from rationem.report.trust import no_verdict

_METHOD = (
    "Numbers are means over seeds; in brackets 95 % intervals over seeds and groups of items (two-way variance "
    "components, Student's t with Satterthwaite's degrees of freedom); tokens, steps and seconds have no items, and "
    "intervals over seeds alone. Differences are paired by item and by seed; p-values are two-sided and adjusted for "
    "the number of arms (Holm)."
)
_ONE_SEED = (
    "One seed: in brackets 95 % bootstrap intervals over groups of items (2,000 resamples). They describe these runs "
    "and say nothing about other runs of the same schemes; nothing is tested."
)
_TWO_SEEDS = (
    "Numbers are means over two seeds. Two seeds do not show how much runs differ, so there are no intervals and "
    "nothing is tested: add a seed (--seeds 3)."
)


def write(output: Path, results: dict[str, Any] | None = None) -> dict[str, Any]:
    """Compute the results of a comparison from its runs' ledgers, write all its files, and return the results.

    ``results.json`` (docs/compare.md), ``report.md``, ``table.tex``, ``results.csv``, one SVG per figure, and
    ``report.html``.

    Args:
        output: its directory.
        results: from :func:`summarize`, if just computed.

    Raises:
        RunError: there is no comparison, or no seed is finished with every arm.
    """
    results = summarize(output) if results is None else results
    several, drawn = tables(results), figures(results)
    write_text(output / "results.json", json.dumps(results, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    write_text(output / "results.csv", long_csv(results))
    write_text(output / "table.tex", latex(several))
    for name, figure in drawn.items():
        write_text(output / f"{name}.svg", adaptive(figure.light))
    report = _report(results, several, drawn)
    write_text(output / "report.md", markdown(report))
    design = read_design(output)
    runs = {
        f"{arm.name}, seed {seed}": design.run(output, arm, seed) for arm in design.arms for seed in results["seeds"]
    }
    write_page(runs, output / "report.html", title=report.title, sections=report.parts)
    return results


def of_comparison(results: Mapping[str, Any]) -> Report:
    """Return the report of a comparison."""
    return _report(results, tables(results), figures(results))


def _report(results: Mapping[str, Any], several: Sequence[Part], drawn: Mapping[str, Figure]) -> Report:
    """Return the finding with its figures, the first table, and in detail the other figures and tables."""
    leading = [drawn[name] for name in LEADING if name in drawn]
    pictures = tuple(figure for name, figure in drawn.items() if name not in LEADING)
    found = Part("found", "What was found", (Text(headline(results), "headline"), *leading, _what(results)))
    first, *others = several
    first = replace(first, blocks=(*first.blocks, Text(_method(results), "quiet")))
    details = [*others, *([Part("figures", "Figures", pictures)] if pictures else [])]
    tabs = (replace(one, tab="In detail") for one in details)
    return Report(f"{len(results['arms'])} schemes compared", (found, first, *tabs))


def headline(results: Mapping[str, Any]) -> str:
    """Return the finding about accuracy (or mean reward), or evidence without a test set, in one or two sentences."""
    key = leading(results) if any(arm["chosen"].get("accuracy") for arm in results["arms"]) else VALIDATION
    arms = [arm for arm in results["arms"] if arm["chosen"].get(key)]
    if not arms:
        return "Nothing was measured: there is no validation and no test set."
    trained = [arm for arm in arms if any(arm["chosen_iterations"])]
    split = "validation" if key == VALIDATION else "test"
    few = no_verdict(results["groups"][split], split)
    if (none := _none_better(results, key, trained, few)) is not None:
        return none
    best = max(trained, key=lambda arm: arm["chosen"][key]["value"])
    if key == VALIDATION:
        return (
            f"{few}There is no test set. {best['name']} has the highest score (validation) of a chosen iteration, "
            f"{number(best['chosen'][key]['value'])}: chosen as the highest of several by the same drafts, so biased "
            "upwards."
        )
    reference = next(arm for arm in results["arms"] if arm["name"] == results["reference"])
    found = f"{few}{best['name']} has the highest {SCORES[key][0]}, {_told(best['chosen'][key])}{_untrained(best)}"
    base = results["base"].get(key)
    low = best["chosen"][key]["low"]
    unclear = base and low is not None and low <= base["value"]
    inside = ", which that interval includes: no clear gain" if unclear else ""
    before = f"; the base model has {number(base['value'])}{inside}" if base else ""
    if best is reference:
        return f"{found}; it is the reference{before}."
    apart = best["chosen"][key]["difference"]
    clear = "a clear difference" if apart.get("p_holm", 1.0) < 0.05 else "no clear difference"
    if few:
        clear = "no verdict"
    elif len(results["seeds"]) == 1:
        clear = "between these two runs, with one seed; it says little about the schemes"
    elif "p_holm" not in apart:
        clear = "not distinguishable from chance with so few seeds or groups of items"
    p = f", p = {number(apart['p_holm'])} (Holm)" if "p_holm" in apart else ""
    ends = "" if apart["low"] is None else f" [{number(apart['low'])}, {number(apart['high'])}]"
    return f"{found}; that is {apart['value']:+.3f}{ends} from the reference, {reference['name']}: {clear}{p}{before}."


def _untrained(arm: Mapping[str, Any]) -> str:
    """Return in how many runs of an arm validation chose the untrained weights; nothing where in none."""
    count, runs = arm["chosen_iterations"].count(0), len(arm["chosen_iterations"])
    return f" (in {count} of {runs} runs of the untrained weights, which validation chose)" if count else ""


def _none_better(results: Mapping[str, Any], key: str, trained: Sequence[Mapping[str, Any]], few: str) -> str | None:
    """Return that no scheme beat the base model; None if one did. An arm that chose the base model is no winner.

    Args:
        few: that there are too few groups for a verdict, or "".
    """
    base, score = results["base"].get(key), SCORES[key][0] if key in SCORES else "score (validation)"
    before = f" {'The base model' if few else 'It'} has {score} {_told(base)}." if base else ""
    found = few.rstrip() or f"No scheme beat the base model{'.' if trained else ':'}"
    if not trained:
        return f"{found} {'V' if few else 'v'}alidation chose the untrained weights in every run.{before}"
    best = max(trained, key=lambda arm: arm["chosen"][key]["value"])
    if not base or best["chosen"][key]["value"] > base["value"]:
        return None
    reached = f"The best of the trained ones, {best['name']}, has {_told(best['chosen'][key])}."
    return f"{found}{before} {reached}"


def _method(results: Mapping[str, Any]) -> str:
    seeds = len(results["seeds"])
    return _ONE_SEED if seeds == 1 else _TWO_SEEDS if seeds < metrics.FEWEST_SEEDS else _METHOD


def _told(one: Mapping[str, Any]) -> str:
    ends = "" if one["low"] is None else f" [{number(one['low'])}, {number(one['high'])}]"
    return f"{number(one['value'])}{ends}"


def _what(results: Mapping[str, Any]) -> str:
    config, sizes = results["config"], results["examples"]
    data = ", ".join(Path(name).name for name in config["data"])
    waiting = results["seeds_unfinished"]
    control = " An arm called control trains on the answer alone." if any(a["control"] for a in results["arms"]) else ""
    left = f" Seeds {', '.join(map(str, waiting))} are not finished with every arm and are left out." if waiting else ""
    counts = ", ".join(f"{count} {split}" for split, count in sizes.items())
    return (
        f"Data: {data} ({counts}), the same split for all runs. Model: {Path(config['model']).name}. Seeds: "
        f"{', '.join(map(str, results['seeds']))}. Reference, named before the first run: "
        f"{results['reference']}.{control}{left}"
    )
