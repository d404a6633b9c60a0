"""A run's summary as Markdown: what was learned, beside what it must be compared with, and where everything went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_HEAD = ("", "accuracy", "within one", "MAE", "log-likelihood", "unparsed draws", "too long")


def markdown(summary: Mapping[str, Any]) -> str:
    """Return the report of one run; every number in it is in ``summary``."""
    config = summary["config"]
    parts = [
        f"# {config['scheme']} on {config['model']}",
        _sentence(summary),
        f"{_sizes(summary)} Iteration **{summary['best_iteration']}** of {summary['last_iteration']} is the best by "
        f"{summary['chosen_by']}.{_tested(summary)}",
        *_warnings(summary),
    ]
    for split in ("test", "validation"):
        if split in summary["baselines"]:
            parts += [f"## {split.capitalize()}", table(_HEAD, list(_scores(summary, split)))]
    parts += ["## Every example of every iteration", table(*_accounts(summary))]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(value: Any, digits: int = 3) -> str:
    """Return a number for a table: None (no such number, or infinite) is a dash.

    >>> number(0.12345), number(None), number(7)
    ('0.123', '–', '7')
    """
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


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
    if not count:
        return []
    return [f"**{count} test examples ask what training examples ask too: the test numbers flatter.**"]


def _scores(summary: Mapping[str, Any], split: str) -> list[list[str]]:
    baselines = summary["baselines"][split]
    uniform = ["uniform", "–", "–", "–", number(baselines["uniform_log_likelihood"]), "–", "–"]
    rows = [uniform, _score("training marginal, majority label", baselines["majority"])]
    for entry in summary["iterations"]:
        if split in entry:
            k = entry["iteration"]
            name = "base model" if k == 0 else f"iteration {k}"
            mark = " (best)" if k == summary["best_iteration"] else ""
            rows.append(_score(name + mark, entry[split]))
    if baselines["human_ceiling"]:
        ceiling = baselines["human_ceiling"]
        cells = [number(ceiling[key]) for key in ("accuracy", "within_one", "mae")]
        rows.append(["one human against the others", *cells, number(baselines["human_log_likelihood"]), "–", "–"])
        best = next(e for e in summary["iterations"] if e["iteration"] == summary["best_iteration"])
        if split in best and best[split]["beside_humans"]:
            same = [number(best[split]["beside_humans"][key]) for key in ("accuracy", "within_one", "mae")]
            rows.append(["best iteration, on the humans' targets", *same, "–", "–", "–"])
    return rows


def _score(name: str, scores: Mapping[str, Any]) -> list[str]:
    keys = ("accuracy", "within_one", "mae", "log_likelihood", "unparsed_draws", "too_long")
    return [name, *(number(scores[key]) for key in keys)]


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
