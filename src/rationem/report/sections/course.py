"""The sections of a report about its iterations: scores and their curves, states of examples, outcomes of trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rationem.report import figures
from rationem.report.part import Block, Part, Section, Table
from rationem.report.tables import number
from rationem.report.trust import start_name
from rationem.report.words import kind_of, leading, outcome_names, words
from rationem.types import Outcome, State

_Summary = Mapping[str, Any]

#: State -> its name on the page.
STATES: dict[str, str] = {
    State.KEPT: "kept",
    State.EXHAUSTED: "exhausted: no try accepted",
    State.TOO_LONG: "prompt too long",
    State.DROPPED_AT_TRAINING: "too long to train on",
    State.OWED: "owed by the engine",
}


def iterations(summary: _Summary) -> Part | None:
    """Return one row per iteration, with its curves on a page; the chosen one is marked."""
    entries = summary["iterations"]
    if not entries:
        return None
    steps = [entry["e_step"] for entry in entries if "e_step" in entry]
    outcomes = [one for one in Outcome if any(step["outcomes"].get(one) for step in steps)]
    head = ["iteration", "kept", *outcomes, "score", *(name for name, _ in scores_of(summary)), "tokens", "seconds"]
    rows = [_row(entry, outcomes, summary) for entry in entries]
    best = [place for place, entry in enumerate(entries) if entry["iteration"] == summary["best_iteration"]]
    table = Table(head, rows, "scores on validation", best[0] if best else None)
    return Part("curves", "Iteration by iteration", (table, *curves({"": summary}, repeats=True)))


def scores_of(summary: _Summary) -> tuple[tuple[str, str], ...]:
    """Return title and key of the scores that are shown of every iteration."""
    return (words(summary).score, leading(summary)), _SECOND[kind_of(summary).page]


_DRAW = ("one draw", "draw_reward")
_SECOND = {"levels": ("log-likelihood", "log_likelihood"), "answers": _DRAW, "rewards": _DRAW}


def _row(entry: Mapping[str, Any], outcomes: list[Outcome], summary: _Summary) -> list[str]:
    k, step, scores = entry["iteration"], entry.get("e_step"), entry.get("validation") or {}
    name = f"{k} {start_name(summary)}" if k == 0 else str(k)
    chosen = k == summary["best_iteration"] and summary["finished"]
    return [
        f"{name} (chosen)" if chosen else name,
        str(step["states"].get("kept", 0)) if step else "",
        *(str(step["outcomes"].get(one, 0)) if step else "" for one in outcomes),
        number((entry.get("evidence") or {}).get("score")),
        *(number(scores.get(key)) for _, key in scores_of(summary)),
        f"{step['generated_tokens']:,}" if step else "",
        number(float(sum(entry["seconds"].values())), 1),
    ]


def curves(runs: Mapping[str, _Summary], *, repeats: bool = False) -> tuple[Block, ...]:
    """Return accuracy (or reward), log-likelihood and evidence by iteration, with a sentence; one line per run.

    Args:
        runs: name -> summary. Of a single run each set is a line.
        repeats: whether a table shows the numbers already.
    """
    split = "validation" if any(_series(one, "validation", "accuracy") for one in runs.values()) else "test"
    key = leading(next(iter(runs.values())))
    name = "Mean reward" if key == "reward" else "Accuracy"
    drawn: tuple[tuple[str, str, list[figures.Line], tuple[str, float] | None], ...] = (
        (f"{name}, {split}", name.lower(), _lines(runs, split, key), _compared(runs, split, key)),
        (f"A single draw, {split}", name.lower(), _lines(runs, split, "draw_reward"), None),
        (
            f"Log-likelihood, {split}",
            "nats per rating",
            _lines(runs, split, "log_likelihood"),
            _compared(runs, split, "log_likelihood"),
        ),
        ("Score, validation", "nats per item", list(_evidence(runs)), None),
    )
    plots = [plot for one in drawn if (plot := figures.curves(*one, repeats=repeats))]
    if not plots:
        return ("No iteration is scored yet.",)
    told = "Higher is better in all of them. Scores on validation choose the iteration."
    return (told, *plots)


def _lines(runs: Mapping[str, _Summary], split: str, key: str) -> list[figures.Line]:
    if len(runs) > 1:
        return [figures.Line(name, _series(summary, split, key)) for name, summary in runs.items()]
    (summary,) = runs.values()
    return [figures.Line(one, _series(summary, one, key)) for one in dict.fromkeys((split, "test"))]


def _series(summary: _Summary, split: str, key: str) -> tuple[tuple[float, float | None], ...]:
    return tuple((entry["iteration"], entry[split].get(key)) for entry in summary["iterations"] if split in entry)


def _compared(runs: Mapping[str, _Summary], split: str, key: str) -> tuple[str, float] | None:
    """Return the reference line, if all runs have the same."""
    of = "training_marginal" if key == "log_likelihood" else "constant"
    found: set[Any] = {(summary["baselines"].get(split, {}).get(of) or {}).get(key) for summary in runs.values()}
    name = "training marginal" if key == "log_likelihood" else words(next(iter(runs.values()))).constant
    return (name, found.pop()) if len(found) == 1 and None not in found else None


def _evidence(runs: Mapping[str, _Summary]) -> Iterator[figures.Line]:
    for run, summary in runs.items():
        known = [(e["iteration"], e["evidence"]) for e in summary["iterations"] if e["evidence"]]
        known = [(k, record) for k, record in known if record["score"] is not None]
        errors = tuple(record["standard_error"] or 0.0 for _, record in known)
        name = run if len(runs) > 1 else "score, with its standard error"
        yield figures.Line(name, tuple((k, record["score"]) for k, record in known), errors)


def outcomes(summary: _Summary) -> Part:
    """Return the state of every training example and the outcome of every try, by iteration."""
    title, name = "Every example of every iteration", "outcomes"
    steps = {entry["iteration"]: entry["e_step"] for entry in summary["iterations"] if entry.get("e_step")}
    if not steps:
        return Part(name, title, ("There is no E-step yet.",))
    states, tries = ({k: step[key] for k, step in steps.items()} for key in ("states", "outcomes"))
    plots = (
        figures.stacks("How the training examples ended", "examples", states, STATES),
        figures.stacks("Outcomes of the tries", "tries", tries, outcome_names(words(summary))),
    )
    return Part(name, title, (_accounted(summary), _accounts(summary), *filter(None, plots)))


def _accounted(summary: _Summary) -> str:
    steps = [entry["e_step"] for entry in summary["iterations"] if entry.get("e_step")]
    leaked = any("leaked" in step["outcomes"] for step in steps)
    said = words(summary).said
    told = f" Of a leaked one the {said} was accepted, and the draft mentions the hint or copies it." if leaked else ""
    return (
        "Training examples that are kept are trained on; of exhausted ones no try was accepted. A trial is one try; "
        f"the selector may keep one of several accepted.{told}{_closed(steps)}{_unlikely(steps, said)} Seconds are of "
        "the whole iteration, evaluation included."
        f"{_trained(summary)}"
    )


def _closed(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return the share of tries that did not end with a verdict line of their own; empty if none was closed."""
    if not any(one.get("closed") for one in steps):
        return ""
    shares = [f"{one['closed'] / one['drawn']:.2f}" if one["drawn"] else "-" for one in steps]
    return (
        f" Share of tries without a verdict line, closed with one (--close), by iteration: {', '.join(shares)}; "
        "without it they would count as truncated or unparseable."
    )


def _unlikely(steps: Sequence[Mapping[str, Any]], said: str) -> str:
    """Return how often no drawn rationale supports the answer that is trained on; empty where answers are drawn."""
    shares = [f"{one['unlikely_share']:.2f}" for one in steps if one.get("unlikely_share") is not None]
    if not shares:
        return ""
    return (
        f" The drawn {said} is summed out: every rationale weighs by the probability of the right one. Share of "
        f"training examples that no rationale makes likely (below .5), by iteration: {', '.join(shares)}."
    )


def _trained(summary: _Summary) -> str:
    """Return how the M-steps were computed and what went to waste; empty where an M-step does not say."""
    found = [entry["m_step"] for entry in summary["iterations"] if (entry.get("m_step") or {}).get("seconds")]
    if not found:
        return ""
    processes, share = found[-1]["processes"], max(one["share"] for one in found)
    where = f"in {processes} processes, each holding {share:.0%} of the weights or less" if processes > 1 else "alone"
    spent = sum(sum(one["seconds"].values()) for one in found)
    useful = sum(one["trained_tokens"] for one in found) / sum(one["computed_tokens"] for one in found)
    beside = 1 - sum(one["seconds"]["train"] for one in found) / spent
    return (
        f" The M-steps ran {where}, in {found[-1]['precision']}; of their seconds {beside:.1%} went into loading, "
        f"preparing and saving, of the tokens computed {1 - useful:.1%} were padding."
    )


def _accounts(summary: _Summary) -> Table:
    """Return the table of states and outcomes: one row per E-step, every example and trial in it."""
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
    return Table(head, rows)


def weights(summary: _Summary) -> Part | None:
    """Return how unequal the weights of accepted draws were, by iteration; None if the selector does not weigh."""
    steps = [(entry["iteration"], (entry.get("e_step") or {}).get("weights")) for entry in summary["iterations"]]
    found = [(k, one) for k, one in steps if one]
    if not found:
        return None
    rows = [
        [str(k), *(number(one[key]) for key in ("examples", "unweighed")), *(number(one[key], 2) for key in _WEIGHTS)]
        for k, one in found
    ]
    told = (
        "The selector weighs each accepted draw of a training example by its probability without the hint, divided by "
        "the probability with which it was drawn; the weights of an example sum to 1. What is kept tends to the "
        "posterior as the number of draws grows. An effective sample size near 1 means that one draw had all the "
        "weight. A single draw always has weight 1. An example is not weighed if an unhinted draw of the current model "
        "was accepted and kept."
    )
    head = ("iteration", "examples weighed", "not weighed", *_WEIGHTS.values())
    return Part("weights", "Weights of the draws for training", (told, Table(head, rows)))


_WEIGHTS = {
    "accepted": "accepted draws",
    "alone": "one draw alone",
    "ess": "effective sample size",
    "largest": "largest weight",
    "dominated": "largest above .9",
}


SECTIONS = (Section(iterations), Section(outcomes), Section(weights))
