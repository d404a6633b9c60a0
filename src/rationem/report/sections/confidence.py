"""The sections of a report about single predictions: which levels are confused, how sure they are, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rationem.metrics import METRICS
from rationem.report import figures
from rationem.report.part import Matrix, Part, Plot, Section, Table
from rationem.report.tables import number
from rationem.report.trust import not_found, shown
from rationem.report.words import kind_of, words

#: Shades of the confusion matrix; the palest means no item.
SHADES = 6


_AS_JUDGED = "to these bins; those below have it, as ratings of new items do (for pairs, both orders as one item)"

_SHADED = (
    "Each row is a level that people gave, each column one that the judge predicts; a cell holds the number of "
    "items and its share of the row. The stronger the shade, the larger the share."
)
#: Whether a run has a confusion matrix, by ``Kind.page``.
_HAS_LEVELS = {"levels": True, "answers": False, "rewards": False}


def confusion(summary: Mapping[str, Any]) -> Part | None:
    """Return the matrix of human by predicted level, of the chosen iteration; None without levels."""
    if not _HAS_LEVELS[kind_of(summary).page]:
        return None
    split, _, after = shown(summary)
    title = f"Confusion matrix, {split}, iteration {summary['best_iteration']}"
    if not after:
        return Part("confusion", title, (_unscored(summary, split),))
    if after["confusion"] is None:
        told = _by_criterion(summary, split, after)
        return Part("confusion", title, (_SHADED, *told)) if told else None
    levels = (*summary["scale"]["levels"], words(summary).none)
    return Part("confusion", title, (_SHADED, _matrix(after["confusion"], levels, split)))


def _by_criterion(summary: Mapping[str, Any], split: str, after: Mapping[str, Any]) -> list[str | Matrix]:
    """Return one matrix for each criterion, on its own scale; nothing where there are no numbers of criteria."""
    told: list[str | Matrix] = []
    for name, scores in (after.get("by_criterion") or {}).items():
        levels = (*summary["scale"]["parts"][name]["levels"], words(summary).none)
        told += [f"For {name}:", replace(_matrix(scores["confusion"], levels, split), part=name)]
    return told


def _matrix(counts: Sequence[Sequence[int]], levels: Sequence[str], split: str) -> Matrix:
    """Return the matrix; the last of the ``levels`` is no verdict, and has a column only if it occurs."""
    wide = len(levels) - 1 + any(row[-1] for row in counts)
    rows = tuple((level, tuple(_cells(row[:wide]))) for level, row in zip(levels[:-1], counts, strict=True))
    return Matrix("people gave", "judge predicts", tuple(levels[:wide]), rows, of=split)


def _unscored(summary: Mapping[str, Any], split: str) -> str:
    return f"The {split} set is not scored in iteration {summary['best_iteration']} yet."


def _cells(counts: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Yield text and shade of a row's cells.

    >>> list(_cells([1, 0, 3]))
    [('1 (25 %)', 2), ('0', 0), ('3 (75 %)', 5)]
    """
    total = sum(counts)
    for count in counts:
        share = count / total if total else 0.0
        yield (f"{count} ({100 * share:.0f} %)", min(SHADES, 1 + int(share * SHADES))) if count else ("0", 0)


def reliability(summary: Mapping[str, Any]) -> Part:
    """Return the confidence of the chosen iteration against its accuracy."""
    split, _, after = shown(summary)
    title = f"Reliability, {split}, iteration {summary['best_iteration']}"
    called = words(summary)
    plot = after and figures.reliability(
        title, after["reliability"], sure=called.sure, right=called.met, who=called.who
    )
    if not after or plot is None:
        return Part("reliability", title, (_unscored(summary, split),))
    said = [
        f"Squared calibration error {number(after['squared_calibration_error'], 4)}, without the share of chance "
        "(10 bins; below 0 is possible)."
    ]
    said += [called.sureness] * bool(called.sureness)
    if fit := summary["calibration"]:
        applied = f"A temperature of {number(fit['temperature'])}, fitted on validation, is not applied"
        said.append(f"{applied} {_AS_JUDGED if fit['test'] else 'here'}.")
    return Part("reliability", title, (" ".join(said), plot, *_calibrated(summary)))


def _calibrated(summary: Mapping[str, Any]) -> tuple[Plot, ...]:
    """Return the reliability on test with the temperature; nothing without a test or a temperature."""
    fit, called = summary["calibration"] or {}, words(summary)
    bins = (fit.get("test") or {}).get("reliability")
    if not bins:
        return ()
    title = f"Calibrated, with temperature {number(fit['temperature'])}"
    plot = figures.reliability(title, bins["after"], sure=called.sure, right=called.met, who=called.who)
    return (plot,) if plot else ()


def calibration(summary: Mapping[str, Any]) -> Part | None:
    """Return the temperature and its effect; None without a validation set."""
    fit = summary["calibration"]
    if not fit:
        return None
    rows = [
        [
            split,
            *(
                number(fit[split][when][key], METRICS[key].digits)
                for key in ("log_likelihood", "squared_calibration_error")
                for when in ("before", "after")
            ),
        ]
        for split in ("validation", "test")
        if fit[split]
    ]
    head = ("", "log-likelihood before", "after", "squared calibration error before", "after")
    edge = not_found(fit["temperature"])
    told = (
        f"Temperature {number(fit['temperature'])}, fitted on the {fit['items']} validation items of iteration "
        f"{summary['best_iteration']} by log-likelihood (above 1 softens, below 1 sharpens). All other numbers on this "
        "page are without it, except where they are called calibrated."
    )
    return Part("calibration", "Calibration", (*([edge] if edge else []), told, Table(head, rows)))


def sets(summary: Mapping[str, Any]) -> Part | None:
    """Return the coverage and the size of conformal sets on test; None where a judge gives no sets."""
    found = summary.get("sets")
    if not found or not summary["finished"] or not summary["examples"]["test"]:
        return None
    asked, few = [], []
    for row in found["at"]:
        if row["threshold"] is None:
            few.append(f"{row['asked']:g} takes {row['needed']}")
        elif row["test"] is not None:
            asked.append((row["asked"], row["test"]))
    missing = (
        f"Validation has {found['groups']} groups with verdicts, too few for sets of every coverage: {', '.join(few)}."
        if few
        else ""
    )
    title = "Sets of levels, test"
    if not asked:
        return Part("sets", title, (missing or "No test item has a verdict, so none has a set.",), level=3)
    one = asked[0][1]
    told = (
        "The levels that hold one more person's rating with the coverage asked (judge --coverage), on "
        f"{one['items']} test items of {one['groups']} groups, each group counted once. Test chose no iteration, "
        "temperature or threshold. The interval is over these groups."
    )
    told += f" {one['without']} items without a verdict have no set." if one["without"] else ""
    rows = [
        [f"{coverage:g}", number(test["coverage"], 3), _ends(test["interval"]), number(test["size"])]
        for coverage, test in asked
    ]
    of_all = "" if summary["scale"].get("parts") else f", of {len(summary['scale']['levels'])}"
    head = ("coverage asked", "on test", "95 % interval", f"levels in a set{of_all}")
    return Part("sets", title, (told, Table(head, rows), *([missing] if missing else [])), level=3)


def _ends(ends: Sequence[float] | None) -> str:
    return "too few groups" if ends is None else f"{number(ends[0], 3)} to {number(ends[1], 3)}"


SECTIONS = (Section(confusion), Section(reliability), Section(calibration, on_card=True), Section(sets, on_card=True))
