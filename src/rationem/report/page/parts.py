"""The parts of the page about one run: from the run's summary and a few further counts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rationem.ledger import read_examples, read_manifest, read_only, read_predictions
from rationem.metrics import METRICS
from rationem.report import sections, text
from rationem.report.inside import exact_cells, exact_said
from rationem.report.page import figures
from rationem.report.page.nouns import Told
from rationem.report.page.rationales import outcome_names
from rationem.report.part import Matrix, Part, Plot, Table
from rationem.report.reading import reading
from rationem.report.tables import number, within
from rationem.report.trust import compared, start_name
from rationem.report.words import kind_of, leading, words
from rationem.tasks.scale import Scale
from rationem.types import State

#: State -> its name on the page.
STATES: dict[str, str] = {
    State.KEPT: "kept",
    State.EXHAUSTED: "exhausted: no try accepted",
    State.TOO_LONG: "prompt too long",
    State.DROPPED_AT_TRAINING: "too long to train on",
    State.OWED: "owed by the engine",
}
#: Shades of the confusion matrix; the palest means no item.
SHADES = 6


def scored(summary: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """Return the split to show, with the scores before training and of the best iteration, or None.

    It is the split that measures the judge; for a run without a test so far, the validation set.
    """
    split, before, after = compared(summary)
    if after or split == "validation":
        return split, before, after
    entries = {entry["iteration"]: entry.get("validation") for entry in summary["iterations"]}
    return "validation", entries.get(0), entries.get(summary["best_iteration"])


def learned(summary: Mapping[str, Any]) -> Part:
    """Return the headline: one sentence, and the iteration that it is about."""
    told = f"{text.sizes(summary)} {text.chosen(summary)}{text.tested(summary)}".replace("**", "")
    return Part("learned", "What was learned", (text.sentence(summary), text.settings(summary), told))


def tiles(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the leading number and its baselines: name, number, remark; empty before any score."""
    split, before, after = scored(summary)
    if not before or not after:
        return []
    baselines, key, called = summary["baselines"][split], leading(summary), words(summary)
    best, ends = summary["best_iteration"], text.interval(after, summary["groups"][split], key)
    constant = baselines["constant"][key]
    found = [
        (
            f"{called.who}, iteration {best}, {split}{_OF_TILE[key]}",
            _told(after[key], key),
            ends,
        ),
        (start_name(summary), _told(before[key], key), ""),
        *([] if constant is None else [(called.constant, _told(constant, key), "")]),
        *([] if after["draw_reward"] is None else [("a single draw", _told(after["draw_reward"], key), "")]),
    ]
    ceiling, beside = baselines["human_ceiling"], after["beside_humans"]
    if ceiling and beside:
        same = f"the judge against the same raters: {text.percent(beside['accuracy'])}"
        found.append(("one person against the other raters", text.percent(ceiling["accuracy"]), same))
    return found


#: The text of a tile after the model's name.
_OF_TILE = {"accuracy": "", "reward": ": mean reward"}


def _told(value: float, key: str) -> str:
    return text.percent(value) if METRICS[key].percent else number(value)


def data(summary: Mapping[str, Any]) -> Part:
    """Return how the data was read, and the agreement of the raters."""
    told = [*reading(summary), *sections.raters(summary)]
    if summary["notes"].get("world"):
        told.insert(0, "The embedded judge world: questions and ratings made by the seed, no file was read.")
    return Part("data", "How the data was read", tuple(told) or ("The run has no notes on how its data was read.",))


def numbers(summary: Mapping[str, Any]) -> Part:
    """Return the tables of the headline numbers, one for each set that was or will be scored."""
    splits = [split for split in ("test", "validation") if split in summary["baselines"]]
    tables = tuple((f"{split} set", sections.headline_cells(summary, split)) for split in splits)
    told = (sections.explained(summary, splits[0]),) if splits else ("There is no validation and no test set.",)
    exact = exact_cells(summary)
    more = ((exact_said(summary),), (("evidence by enumeration, test set", exact),)) if exact else ((), ())
    return Part("numbers", "Headline numbers", (*told, *more[0]), (*tables, *more[1]))


def curves(runs: Sequence[Told]) -> Part:
    """Return accuracy (or reward), log-likelihood and evidence by iteration; for several runs one line each."""
    split = "validation" if any(_series(told, "validation", "accuracy") for told in runs) else "test"
    key = leading(runs[0].summary)
    name = "Mean reward" if key == "reward" else "Accuracy"
    plots = [
        figures.curves(f"{name}, {split}", name.lower(), _lines(runs, split, key), _compared(runs, split, key)),
        figures.curves(f"A single draw, {split}", name.lower(), _lines(runs, split, "draw_reward")),
        figures.curves(
            f"Log-likelihood, {split}",
            "nats per rating",
            _lines(runs, split, "log_likelihood"),
            _compared(runs, split, "log_likelihood"),
        ),
        figures.curves("Score, validation", "nats per item", list(_evidence(runs))),
    ]
    told = "" if any(plots) else "No iteration is scored yet."
    more = "Higher is better in all of them. The chosen iteration is the one with the best score on validation."
    return Part("curves", "Iteration by iteration", (told or more,), plots=tuple(filter(None, plots)))


def _lines(runs: Sequence[Told], split: str, key: str) -> list[figures.Line]:
    if len(runs) > 1:
        return [figures.Line(told.name, _series(told, split, key)) for told in runs]
    found = {one: _series(runs[0], one, key) for one in (split, "test")}
    return [figures.Line(one, points) for one, points in found.items()]


def _series(told: Told, split: str, key: str) -> tuple[tuple[float, float | None], ...]:
    return tuple((entry["iteration"], entry[split].get(key)) for entry in told.summary["iterations"] if split in entry)


def _compared(runs: Sequence[Told], split: str, key: str = "accuracy") -> tuple[str, float] | None:
    """Return the reference line, if all runs have the same."""
    of = "training_marginal" if key == "log_likelihood" else "constant"
    found: set[Any] = {(told.summary["baselines"].get(split, {}).get(of) or {}).get(key) for told in runs}
    name = "training marginal" if key == "log_likelihood" else words(runs[0].summary).constant
    return (name, found.pop()) if len(found) == 1 and None not in found else None


def _evidence(runs: Sequence[Told]) -> Iterator[figures.Line]:
    for told in runs:
        known = [(e["iteration"], e["evidence"]) for e in told.summary["iterations"] if e["evidence"]]
        known = [(k, record) for k, record in known if record["score"] is not None]
        errors = tuple(record["standard_error"] or 0.0 for _, record in known)
        name = told.name if len(runs) > 1 else "score, with its standard error"
        yield figures.Line(name, tuple((k, record["score"]) for k, record in known), errors)


def confusion(told: Told) -> Part:
    """Return the matrix of human by predicted level, of the chosen iteration."""
    summary = told.summary
    split, best = scored(summary)[0], summary["best_iteration"]
    db = read_only(told.directory)
    try:
        predictions, examples = read_predictions(db, best, split), read_examples(db, split)
        scale = Scale.from_description(read_manifest(db)["task"]["scale"])
    finally:
        db.close()
    title = f"Confusion matrix, {split}, iteration {best}"
    if not predictions:
        return Part("confusion", title, (f"The {split} set is not scored in iteration {best} yet.",))
    answers = {x.id: x.answer for x in examples}
    counts = Counter((answers[p.example_id], p.predicted) for p in predictions)
    none = any(predicted is None for _, predicted in counts)
    columns: list[str | None] = [*scale.levels, *([None] if none else [])]
    rows = tuple((level, tuple(_cells([counts[level, column] for column in columns]))) for level in scale.levels)
    said = (
        "Each row is a level that people gave, each column one that the judge predicts; a cell holds the number of "
        "items and its share of the row. The stronger the shade, the larger the share."
    )
    names = tuple("no verdict" if column is None else column for column in columns)
    return Part("confusion", title, (said,), matrix=Matrix("people gave", names, rows))


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
    split, _, after = scored(summary)
    title = f"Reliability, {split}, iteration {summary['best_iteration']}"
    called = words(summary)
    plot = after and figures.reliability(
        title, after["reliability"], sure=called.sure, right=called.met, who=called.who
    )
    if not after or plot is None:
        return Part("reliability", title, (f"The {split} set is not scored in that iteration yet.",))
    said = [
        f"Squared calibration error {number(after['squared_calibration_error'], 4)}, without the share of chance "
        "(10 bins; below 0 is possible)."
    ]
    said += [called.sureness] * bool(called.sureness)
    if fit := summary["calibration"]:
        said.append(f"A temperature of {number(fit['temperature'])}, fitted on validation, is not applied here.")
    return Part("reliability", title, (" ".join(said),), plots=(plot,))


def outcomes(summary: Mapping[str, Any]) -> Part:
    """Return the states of training examples and the outcomes of trials, by iteration."""
    steps = {entry["iteration"]: entry["e_step"] for entry in summary["iterations"] if entry.get("e_step")}
    found = text.outcomes(summary)
    if not steps:
        return Part(found.name, found.title, ("There is no E-step yet.",))
    names = outcome_names(words(summary))
    plots: list[Plot | None] = [
        figures.stacks(
            "How the training examples ended", "examples", {k: one["states"] for k, one in steps.items()}, STATES
        ),
        figures.stacks("What became of the tries", "tries", {k: one["outcomes"] for k, one in steps.items()}, names),
    ]
    return replace(found, plots=tuple(filter(None, plots)))


def cost(summary: Mapping[str, Any]) -> Part:
    """Return the cost of the drafts for training, in total and per kept example, and the seconds of every phase."""
    paid = [entry for entry in summary["iterations"] if (entry.get("e_step") or {}).get("cost")]
    rows = []
    for entry in paid:
        spent = entry["e_step"]["cost"]
        each = spent["per_kept"]
        rows.append(
            [
                str(entry["iteration"]),
                *(f"{spent[key]:,}" for key in ("prompt_tokens", "generated_tokens")),
                number(spent["seconds"], 1),
                number(spent["kept_examples"]),
                *(number(each[key], 1) for key in ("prompt_tokens", "generated_tokens")),
                number(each["seconds"], 3),
            ]
        )
    head = ["iteration", "prompt tokens", "generated tokens", "seconds of drawing", "examples kept"]
    head += ["prompt tokens per kept", "generated tokens per kept", "seconds per kept"]
    tables = [("draws for training", (head, rows))] if rows else []
    said = f"In all {number(summary['seconds'], 1)} seconds, evaluation included."
    return Part("cost", "Cost", (said,), (*tables, ("seconds of every phase", _phases(summary))))


def _phases(summary: Mapping[str, Any]) -> Table:
    phases = list(dict.fromkeys(phase for entry in summary["iterations"] for phase in entry["seconds"]))
    rows = [
        [
            start_name(summary) if entry["iteration"] == 0 else f"iteration {entry['iteration']}",
            *(number(entry["seconds"].get(phase), 1) for phase in phases),
            number(sum(entry["seconds"].values()), 1),
        ]
        for entry in summary["iterations"]
    ]
    return ["", *(phase.replace("_", "-") for phase in phases), "all"], rows


def settings(summary: Mapping[str, Any]) -> Part:
    """Return the settings, one row each."""
    rows = [[key, _value(value)] for key, value in summary["config"].items()]
    return Part("settings", "Settings", tables=(("", (["setting", "value"], rows)),))


def _value(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def arms(runs: Sequence[Told]) -> Table:
    """Return one row per run: the scores of its chosen iteration beside the baselines."""
    first = runs[0].summary
    key = leading(first)
    second, of_people = _SECOND[kind_of(first).page]
    head = ["", "chosen iteration", "set", words(first).score, second[0]]
    head += ["before training", words(first).constant, *of_people]
    rows = []
    for told in runs:
        summary = told.summary
        split, before, after = scored(summary)
        before, after, baselines = before or {}, after or {}, summary["baselines"].get(split) or {}
        ends = after.get("intervals") or {}
        drawn = [entry["e_step"]["generated_tokens"] for entry in summary["iterations"] if entry.get("e_step")]
        people = [(baselines.get("human_ceiling") or {}), (after.get("beside_humans") or {})]
        rows.append(
            [
                told.name,
                f"{summary['best_iteration']} of {summary['last_iteration']}",
                split,
                *(within(after.get(one), ends.get(one)) for one in (key, second[1])),
                number(before.get(key)),
                number((baselines.get("constant") or {}).get(key)),
                *(number(one.get("accuracy")) for _, one in zip(of_people, people, strict=False)),
                f"{sum(drawn):,}",
            ]
        )
    return [*head, "generated tokens"], rows


_DRAW = ("a single draw", "draw_reward")
#: The number beside the leading one, and the human numbers, by ``Kind.page``.
_SECOND: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = {
    "levels": (
        ("log-likelihood", "log_likelihood"),
        ("one person against the others", "on the same raters"),
    ),
    "answers": (_DRAW, ()),
    "rewards": (_DRAW, ()),
}


def anchor(name: str) -> str:
    """Return a name as the end of an anchor.

    >>> anchor("STaR, seed 0")
    'star-seed-0'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
