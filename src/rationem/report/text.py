"""A run's summary as Markdown: what was learned, beside what it must be compared with, and where everything went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.report import sections
from rationem.report.tables import number, table

__all__ = ["markdown", "number", "table"]


def markdown(summary: Mapping[str, Any]) -> str:
    """Return the report of one run; every number in it is in ``summary``."""
    config = summary["config"]
    parts = [
        f"# {config['scheme']} on {config['model']}",
        _sentence(summary),
        f"{_sizes(summary)} Iteration **{summary['best_iteration']}** of {summary['last_iteration']} is the best by "
        f"{summary['chosen_by']}.{_tested(summary)}",
        *_warnings(summary),
        *sections.raters(summary),
    ]
    for split in ("test", "validation"):
        if split in summary["baselines"]:
            parts += [f"## {split.capitalize()}", sections.headline(summary, split)]
            if split == "test" or "test" not in summary["baselines"]:
                parts += _details(summary, split)
    parts += sections.calibration(summary)
    parts += ["## Every example of every iteration", table(*_accounts(summary))]
    return "\n\n".join(parts) + "\n"


def _details(summary: Mapping[str, Any], split: str) -> list[str]:
    explained = (
        "In brackets: 95 % intervals, a bootstrap over groups. What names no level on offer counts as wrong and as "
        "far off as its label allows; correlations leave it out."
    )
    return [
        *([explained] if split == "test" else []),
        *sections.pairs(summary, split),
        *sections.criteria(summary, split),
        f"## All numbers on {split}",
        sections.full(summary, split),
        *sections.reliability(summary, split),
    ]


def _sentence(summary: Mapping[str, Any]) -> str:
    split = "test" if summary["examples"]["test"] else "validation"
    by_iteration = {entry["iteration"]: entry for entry in summary["iterations"]}
    before = by_iteration.get(0, {}).get(split)
    after = by_iteration.get(summary["best_iteration"], {}).get(split)
    if not summary["finished"]:
        return "The run is not finished; these are its numbers so far."
    if not before or not after:
        return "There is no validation and no test set: nothing says how well the model does."
    return (
        f"On {after['count']} {split} items the model went from accuracy {number(before['accuracy'])} to "
        f"{number(after['accuracy'])} (standard error {number(after['accuracy_se'])}), and from a log-likelihood of "
        f"{number(before['log_likelihood'])} to {number(after['log_likelihood'])} nats per rating; always saying the "
        f"most frequent training label gives {number(summary['baselines'][split]['majority']['accuracy'])}."
    )


def _sizes(summary: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{count} {split}" for split, count in summary["examples"].items())
    elided = f" {summary['elided']} responses were shortened, as asked." if summary["elided"] else ""
    engine = summary["engine"]
    seeds = "honours" if engine["honours_seeds"] else "does not honour"
    return f"Examples: {sizes}.{elided} Engine: {engine['name']}, which {seeds} a seed per request."


def _tested(summary: Mapping[str, Any]) -> str:
    if not summary["finished"] or not summary["examples"]["test"]:
        return ""
    return " The test set was scored at the end only."


def _warnings(summary: Mapping[str, Any]) -> list[str]:
    count = summary["notes"].get("test_examples_whose_group_is_trained_on", 0)
    shared = f"{count} test examples ask what training examples ask too: the test numbers flatter."
    return [f"**{sentence}**" for sentence in (*([shared] if count else []), *summary["raters"]["warnings"])]


def _accounts(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    steps = [entry for entry in summary["iterations"] if entry.get("e_step")]
    states = sorted({state for entry in steps for state in entry["e_step"]["states"]})
    outcomes = sorted({outcome for entry in steps for outcome in entry["e_step"]["outcomes"]})
    head = [
        "iteration",
        *states,
        *(f"trials {outcome}" for outcome in outcomes),
        "generated tokens",
        "loss (nats per sample)",
        "seconds",
    ]
    rows = [
        [
            str(entry["iteration"]),
            *(str(entry["e_step"]["states"].get(state, 0)) for state in states),
            *(str(entry["e_step"]["outcomes"].get(outcome, 0)) for outcome in outcomes),
            str(entry["e_step"]["generated_tokens"]),
            number((entry["m_step"] or {}).get("loss")),
            number(sum(entry["seconds"].values()), 1),
        ]
        for entry in steps
    ]
    return head, rows
