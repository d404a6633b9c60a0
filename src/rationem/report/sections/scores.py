"""The sections of a report that show scores: the headline with intervals, all other scores, the human scores."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from rationem import metrics
from rationem.report.part import Part, Section, Table
from rationem.report.tables import number, within
from rationem.report.trust import FEW_GROUPS, iteration_name
from rationem.report.words import kind_of, words

#: Headlines without levels, by ``Kind.page``; their numbers are not repeated below.
_OF_TEXTS = {"answers": metrics.titles("answers"), "rewards": metrics.titles("rewards")}

_PAIRS = (
    ("strict ({orders} right)", "strict"),
    ("lenient (mean of orders)", "lenient"),
    ("consistent", "consistency"),
    ("right side", "side"),
    ("side consistent", "side_consistency"),
    ("winner, ties apart", "winner"),
    ("says the first", "first_position_rate"),
    ("no verdict", "unparsed"),
)

Column = tuple[str, Mapping[str, Any]]


def scored(summary: Mapping[str, Any], split: str) -> list[Column]:
    """Return (name, block of scores) of every iteration scored on a split, and on test of the control."""
    found: list[Column] = []
    for entry in summary["iterations"]:
        k = entry["iteration"]
        if split in entry:
            found.append((iteration_name(summary, k), entry[split]))
        if k == 0 and split == "test" and summary["shots"]:
            found.append(
                (f"base model, {summary['shots']['examples']} examples in the prompt", summary["shots"]["test"])
            )
    return found


def numbers(summary: Mapping[str, Any], splits: Sequence[str] = ()) -> Part:
    """Return the headline numbers: baselines, model and people, with 95 % intervals on test.

    Args:
        splits: the sets; by default test and validation. The first is explained.
    """
    there = [split for split in splits or ("test", "validation") if split in summary["baselines"]]
    if not there:
        return Part("numbers", "Headline numbers", ("There is no validation and no test set.",))
    first, *others = (headline(summary, split) for split in there)
    averaged = _AVERAGED[kind_of(summary).parts] if summary["criteria"] else ""
    averaged = _OWN_SCALES if kind_of(summary).scale.parts else averaged
    told = (explained(summary, there[0]), *([averaged] if averaged else []))
    return Part("numbers", "Headline numbers", (first, *told, *others))


def headline(summary: Mapping[str, Any], split: str) -> Table:
    """Return the headline numbers of one set as a table."""
    return _of_set(summary, split, _headlines(summary), [words(summary).none, "unparsed draws"])


def brief(summary: Mapping[str, Any], split: str, numbers: Collection[str]) -> Table:
    """Return a table of some of the headline numbers of one set, by key."""
    return _of_set(summary, split, {key: name for key, name in _headlines(summary).items() if key in numbers}, [])


def _of_set(summary: Mapping[str, Any], split: str, columns: Mapping[str, str], more: Sequence[str]) -> Table:
    drawn = split == "test" and summary["groups"][split] >= metrics.FEWEST_GROUPS
    head = ["", *columns.values(), *more]
    rows = [row[: len(head)] for row in _headline_rows(summary, split, list(columns))]
    caption = f"{split.capitalize()} set{', with 95 % intervals' if drawn else ''}"
    return Table(head, rows, caption)


#: How numbers that compare items are averaged, by ``Kind.parts``.
_AVERAGED = {
    "": "",
    "criterion": (
        "Correlations and kappas are means over the criteria of each criterion's own number: pooled, they would reward "
        "knowing which criterion is rated high. Everything else is over all items."
    ),
    "subject": ("Kappas are means over the subjects of each subject's own number. Everything else is over all items."),
}


#: In place of :data:`_AVERAGED`, if criteria have their own scales.
_OWN_SCALES = (
    "The criteria have different scales, so these numbers of all items are those that need no distance between levels: "
    "shares, log-likelihoods and calibration over all items, and kappa as the mean over the criteria. Distances, "
    "correlations and QWK are in the table of each criterion, on its own scale."
)


def _headlines(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return number -> title of its column."""
    kind = kind_of(summary)
    return {**_OF_TEXTS, "levels": metrics.titles("ordered" if kind.scale.ordered else "nominal")}[kind.page]


def explained(summary: Mapping[str, Any], split: str) -> str:
    """Return the explanation of the table of the headline numbers."""
    groups = summary["groups"][split]
    narrow = ": too few, so they are too narrow" if groups < FEW_GROUPS else ""
    brackets = f"In brackets: 95 % intervals, a bootstrap over the {groups} groups of the {split} set{narrow}."
    if groups < metrics.FEWEST_GROUPS:
        brackets = (
            f"No intervals: the {split} set has {groups} groups of items, and fewer than {metrics.FEWEST_GROUPS} do "
            "not show how much items differ."
        )
    told = [*_EXPLAINED[kind_of(summary).page](summary), *_attainable(summary["baselines"][split])]
    return " ".join([*[brackets] * (split == "test"), *told])


def _attainable(baselines: Mapping[str, Any]) -> list[str]:
    """Return what the ceiling of the log-likelihood is and is not; nothing without items of several raters."""
    found = baselines.get("attainable")
    if not found:
        return []
    return [
        f"Attainable: no probabilities score these ratings higher than each item's own shares do ({found['items']} "
        f"items with {found['raters']:.3g} ratings on average). For new ratings that is too high, because few raters "
        f"look more certain than they are: corrected by Miller's term it is {number(found['corrected'])}, and with two "
        "or three raters the truth is lower still."
    ]


def _explained_levels(summary: Mapping[str, Any]) -> list[str]:
    steps = (
        "Within one level: at most one step of the scale off, whatever its size. MAE, the mean distance, is in the "
        "values of the scale (named levels are 1, 2, 3, ...). QWK is kappa with squared distances: 1 is agreement, 0 "
        "is chance."
    )
    return [
        *[steps] * summary["scale"]["ordered"],
        f"The {words(summary).constant} is the one that does best on these very items, number by number: no single "
        "one does better. The training marginal is the shares of the levels among the ratings in training. The "
        "log-likelihood is better the nearer it is to 0. A draft that names none of the levels counts as wrong and as "
        "far off as its label allows; correlations leave it out.",
    ]


def _times(summary: Mapping[str, Any]) -> str:
    return f"An item is asked {summary['config'].get('draws', 'several')} times"


def _explained_rewards(summary: Mapping[str, Any]) -> list[str]:
    return [
        f"{_times(summary)}; its answer is the one that all of its draws' answers agree with most, by the reward "
        f"({summary['reward']}, 0 to 1) itself. Mean reward: of that answer. One draw: of a single draw, so of a "
        "model that is asked once. Whole reward: the share of items that earn all of it. An item without an "
        "answer earns 0."
    ]


def _explained_answers(summary: Mapping[str, Any]) -> list[str]:
    return [
        f"{_times(summary)}; its answer is the one that most of its draws say. Accuracy: the share of items whose "
        "answer is right. One draw: the share of single draws that are right, so of a model that is asked once. An "
        "item without an answer counts as wrong."
    ]


_EXPLAINED = {"levels": _explained_levels, "answers": _explained_answers, "rewards": _explained_rewards}


def _headline_rows(summary: Mapping[str, Any], split: str, keys: Sequence[str]) -> Iterator[list[str]]:
    return _ROWS[kind_of(summary).page](summary, split, keys)


def _level_rows(summary: Mapping[str, Any], split: str, keys: Sequence[str]) -> Iterator[list[str]]:
    baselines = summary["baselines"][split]
    yield _row("uniform", {"log_likelihood": baselines["uniform_log_likelihood"]}, keys)
    models = [one for found in scored(summary, split) for one in (found, *_calibrated(summary, split, found[0]))]
    yield from _beside(words(summary).constant, baselines, models, _best(summary, split), keys)


def _calibrated(summary: Mapping[str, Any], split: str, name: str) -> Iterator[Column]:
    """Yield the log-likelihood of the best iteration with its temperature, which `judge` applies, below its own row."""
    found = calibrated(summary, split)
    if found is not None and name == iteration_name(summary, summary["best_iteration"]):
        yield f"{name}, calibrated", {"log_likelihood": found}


def calibrated(summary: Mapping[str, Any], split: str) -> float | None:
    """Return the log-likelihood of the best iteration on a set with the fitted temperature; None without one."""
    found = (summary["calibration"] or {}).get(split)
    return found["after"]["log_likelihood"] if found else None


def _answer_rows(summary: Mapping[str, Any], split: str, keys: Sequence[str]) -> Iterator[list[str]]:
    yield _row(words(summary).constant, summary["baselines"][split]["constant"], keys)
    for name, scores in scored(summary, split):
        yield _row(name, scores, keys)


_ROWS = {"levels": _level_rows, "answers": _answer_rows, "rewards": _answer_rows}


def _beside(
    constant: str,
    baselines: Mapping[str, Any],
    models: Sequence[Column],
    best: Mapping[str, Any] | None,
    keys: Sequence[str],
) -> Iterator[list[str]]:
    """Yield the models between the baselines of the labels alone and the human scores."""
    yield _row("training marginal", baselines["training_marginal"], keys)
    yield _row(f"{constant}, for each number", baselines["constant"], keys)
    for name, scores in models:
        yield _row(name, scores, keys)
    if attainable := baselines.get("attainable"):
        yield _row("attainable, given how raters differ", {"log_likelihood": attainable["log_likelihood"]}, keys)
    if baselines["human_ceiling"]:
        human = {**baselines["human_ceiling"], "log_likelihood": baselines["human_log_likelihood"]}
        yield _row("one human against the others", human, keys)
        if best and best["beside_humans"]:
            yield _row("best iteration, on the humans' targets", best["beside_humans"], keys)
        if best and best.get("minus_human"):
            yield _row("best iteration minus one human, paired", best["minus_human"], keys)


def _row(name: str, scores: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    ends = scores.get("intervals") or {}
    share = scores["unparsed"] / scores["count"] if "unparsed" in scores else None
    cells = (within(scores.get(key), ends.get(key)) for key in keys)
    return [name, *cells, number(share), number(scores.get("unparsed_draws"))]


def _best(summary: Mapping[str, Any], split: str) -> Mapping[str, Any] | None:
    found = [entry.get(split) for entry in summary["iterations"] if entry["iteration"] == summary["best_iteration"]]
    return found[0] if found else None


def full(summary: Mapping[str, Any]) -> Part | None:
    """Return every other number that exists, one row each: the model, one human, the best on the same targets."""
    split = _detailed(summary)
    if split is None:
        return None
    columns = scored(summary, split)
    if not columns:
        return None
    ceiling, best = summary["baselines"][split]["human_ceiling"], _best(summary, split)
    if ceiling and best and best["beside_humans"]:
        columns += [("one human", ceiling), ("best, on the humans' targets", best["beside_humans"])]
    kind = kind_of(summary)
    left_out = _OF_TEXTS.get(kind.page, {})
    rows = [
        [
            title.replace("a verdict", words(summary).verdict),
            *(number(scores.get(key), metrics.METRICS[key].digits) for _, scores in columns),
        ]
        for key, title in metrics.titles("full").items()
        if (kind.scale.ordered or metrics.METRICS[key].needs != "order")
        and key not in left_out
        and any(scores.get(key) is not None for _, scores in columns)
    ]
    for level in columns[0][1]["recall"]:
        rows.append([f"recall of {level}", *(number(scores["recall"][level]) for _, scores in columns)])
    if not rows:
        return None
    return Part("full", f"All numbers on {split}", (Table(["", *(name for name, _ in columns)], rows),), folded=True)


def _detailed(summary: Mapping[str, Any]) -> str | None:
    """Return the set whose numbers are shown in full: test, or validation without a test set."""
    return next((split for split in ("test", "validation") if split in summary["baselines"]), None)


def criteria(summary: Mapping[str, Any]) -> Part | None:
    """Return baselines, models and people on each criterion; None with one criterion, or without a scored model."""
    if (split := _detailed(summary)) is None:
        return None
    models = [(model, scores["by_criterion"]) for model, scores in scored(summary, split) if scores.get("by_criterion")]
    if not models:
        return None
    columns = (
        _headlines(summary)
        if not kind_of(summary).scale.parts
        else {**metrics.titles("ordered"), **metrics.titles("nominal")}
    )
    part = kind_of(summary).parts
    head = [part, "items", "raters' alpha", "", *columns.values()]
    best = (_best(summary, split) or {}).get("by_criterion") or {}
    rows = [
        [name or "(none)", number(baselines["constant"]["count"]), number(alpha), *row]
        for name, baselines in summary["baselines"][split]["by_criterion"].items()
        for alpha in [summary["raters"]["alpha_by_criterion"][split].get(name)]
        for row in _beside(
            words(summary).constant,
            baselines,
            [(model, each[name]) for model, each in models],
            best.get(name),
            list(columns),
        )
    ]
    return Part("criteria", f"Each {part}", (Table([*head, "no verdict", "unparsed draws"], rows),))


def pairs(summary: Mapping[str, Any]) -> Part | None:
    """Return the scores over both orders of each pair; None if no pairs are compared."""
    if (split := _detailed(summary)) is None:
        return None
    blocks = [(name, scores["pairs"]) for name, scores in scored(summary, split) if scores["pairs"]]
    if not blocks:
        return None
    count, all_of = blocks[0][1]["pairs"], blocks[0][1]["candidates"]
    graded = summary["scale"]["ordered"]
    columns = [(title, key) for title, key in _PAIRS if graded or key not in ("side", "side_consistency")]
    rows = [[name, *(number(scores[key]) for _, key in columns)] for name, scores in blocks]
    orders, first = ("both orders", "half") if all_of == 2 else (f"all {all_of} orders", f"one in {all_of}")
    side = (
        " The side of a verdict is which response it says is better, whatever the degree; a tie is a side of its own."
    )
    told = (
        "Every number above counts each order of a comparison as an item. A verdict without a favourite place says the "
        f"first in {first} of the cases.{side if graded else ''} The winner is looked at where the label is no tie."
    )
    title = f"{orders.capitalize()} of {count} {'pairs' if all_of == 2 else 'comparisons'}"
    head = ["", *(name.format(orders=orders) for name, _ in columns)]
    return Part("pairs", title, (told, Table(head, rows)))


def raters(summary: Mapping[str, Any]) -> list[str]:
    """Return Krippendorff's alpha of the sets whose items have several ratings; nothing if there are none."""
    known = {split: value for split, value in summary["raters"]["alpha"].items() if value is not None}
    if not known:
        return []
    kind = "" if summary["scale"].get("parts") else "ordinal " if summary["scale"]["ordered"] else "nominal "
    shown = ", ".join(f"{number(value)} on {split}" for split, value in known.items())
    means = "; the mean over criteria" if len(summary["criteria"]) > 1 else ""
    return [f"The raters among themselves: Krippendorff's {kind}alpha {shown} (1 is agreement, 0 is chance{means})."]


SECTIONS = (Section(numbers), Section(pairs, on_card=True), Section(criteria, on_card=True), Section(full))
