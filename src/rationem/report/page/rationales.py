"""The browser of rationales: trials, prompts and labels as one block of data that the page's script shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from rationem.ledger import read_examples, read_manifest, read_only
from rationem.ledger.listing import ListedTrial, TrialKey, listed_trials
from rationem.report.page import items
from rationem.report.page.marks import finder, spans
from rationem.report.page.nouns import OpenedRun, Shared, Told
from rationem.report.page.prompts import Wording, wording
from rationem.report.page.sample import SampledTrials, candidates, choose
from rationem.report.trust import start_name
from rationem.report.words import outcome_names, words
from rationem.sampling.hint_leakage import PHRASES
from rationem.tasks.built_in import described
from rationem.tasks.scale import Scale
from rationem.tasks.words import Words
from rationem.types import Example, Outcome, Purpose, Splits

#: The order of purposes within an iteration.
_ORDER = (Purpose.TRAIN, Purpose.EVAL, Purpose.CONTROL)

_WHO = {"base": "by the base model", "teacher": "by the teacher"}


def rationales(runs: Sequence[Told], **limits: int) -> tuple[dict[str, Any], int]:
    """Return the data of the browser of rationales, and the number of trials that it was chosen from.

    Args:
        runs: the runs, in the order of display.
        limits: of :func:`.sample.choose`.
    """
    opened: list[OpenedRun] = []
    try:
        for told in runs:
            opened.append(_open(told))
        choices = choose([one.there for one in opened], **limits)
        return _data(opened, choices), sum(choice.total for choice in choices)
    finally:
        for one in opened:
            one.db.close()


def _open(told: Told) -> OpenedRun:
    with ExitStack() as until_opened:
        db = read_only(told.directory)
        until_opened.callback(db.close)
        manifest, config = read_manifest(db), told.summary["config"]
        sets = {split: read_examples(db, split) for split in ("train", "validation", "test")}
        put = wording(told.directory, manifest, Splits(sets["train"], sets["validation"], sets["test"]))
        there = candidates(db, seed=int(config.get("seed") or 0), best=told.summary["best_iteration"])
        until_opened.pop_all()
    phrases = () if config.get("leak_filter") == "off" else tuple(config.get("leak_phrases", PHRASES))
    return OpenedRun(told, db, sets, put, described(manifest["task"]), phrases, there)


def _data(opened: Sequence[OpenedRun], choices: Sequence[SampledTrials]) -> dict[str, Any]:
    shared, called = Shared(), words(opened[0].told.summary)
    for one in opened:
        for level in one.kind.scale.levels:
            shared.levels.number(level)
    rows, told = [], []
    for n, (one, choice) in enumerate(zip(opened, choices, strict=True)):
        numbers: dict[str, int] = {}
        rows += list(_rows(n, one, choice, shared, numbers))
        told += list(items.rows(n, one, shared, numbers))
    return {
        "runs": [_run(one, choice, shared) for one, choice in zip(opened, choices, strict=True)],
        "levels": list(shared.levels),
        "purposes": list(shared.purposes),
        "outcomes": [[outcome, said] for outcome, said in outcome_names(called).items()],
        "gaps": list(items.FITS["levels"]),
        "open": _IS_LISTED_SHORT[opened[0].kind.page],
        "words": {
            **{name: getattr(called, name) for name in ("label", "none", "shown", "who", "said")},
            "part": opened[0].kind.parts,
        },
        "hints": list(shared.hints),
        "examples": list(shared.examples),
        "trials": rows,
        "fields": list(shared.fields),
        "parts": list(shared.parts),
        "fits": list(items.FITS[opened[0].kind.page]),
        "scored": sum(map(items.scored, opened)),
        "items": told,
    }


def _run(one: OpenedRun, choice: SampledTrials, shared: Shared) -> dict[str, Any]:
    return {
        "name": one.told.name,
        "best": choice.best,
        "start": start_name(one.told.summary),
        "split": choice.split,
        "scale": [shared.levels.number(level) for level in one.kind.scale.levels],
        "around": one.wording.around,
        "common": one.wording.common,
        "solved": one.wording.solved,
        "known": one.wording.task is not None,
    }


def _rows(
    n: int, one: OpenedRun, choice: SampledTrials, shared: Shared, numbers: dict[str, int]
) -> Iterator[list[Any]]:
    """Yield the rows of one run: by iteration, purpose, place of the example, attempt and retry.

    Args:
        numbers: id -> number of the examples that the rows name; filled here.
    """
    known = {x.id: x for part in one.sets.values() for x in part}
    splits = {x.id: split for split, part in one.sets.items() for x in part}
    pattern, called = finder(one.phrases), words(one.told.summary)
    outcomes, trials = list(outcome_names(called)), _chosen(one, choice.keys, splits)
    for _, key, proposal, tokens, prompt_tokens, text, predicted, end, outcome, earned in trials:
        iteration, purpose, example_id, attempt, retry = key
        x = known[example_id]
        if example_id not in numbers:
            numbers[example_id] = shared.examples.number(_example(x, one.wording, shared))
        asked = shared.purposes.number(_purpose(purpose, proposal, splits[example_id], called))
        row = [
            *(n, iteration, asked, numbers[example_id]),
            *(attempt, retry, outcomes.index(outcome)),
            -1 if predicted is None else shared.levels.number(predicted),
            *(tokens, prompt_tokens),
            _LAST[one.kind.page](outcome, predicted, x.answer, one.kind.scale.of(one.kind.part_of(x)), earned),
            text,
        ]
        marked = spans(text, end, one.phrases, pattern)
        yield [*row, marked] if marked else row


def _chosen(one: OpenedRun, keys: frozenset[TrialKey], splits: Mapping[str, str]) -> list[ListedTrial]:
    """Return the chosen trials by iteration, purpose, set, place of the example, attempt and retry."""

    def place(row: ListedTrial) -> tuple[Any, ...]:
        iteration, purpose, example_id, *drawn = row.key
        return (iteration, _ORDER.index(purpose), splits[example_id] != "test", row.position, drawn)

    return sorted(listed_trials(one.db, keys), key=place)


def _example(x: Example, put: Wording, shared: Shared) -> tuple[Any, ...]:
    asked, answer = put.of(x), shared.levels.number(x.answer)
    return (x.id, answer, put.short(asked.forward), shared.hints.number(asked.hint), *(asked.seen or ()))


def _purpose(purpose: str, proposal: str, split: str, called: Words) -> str:
    """Return the purpose and proposal of a trial in words.

    >>> from rationem.tasks.words import JUDGE
    >>> _purpose("train", "rationalize@base", "test", JUDGE)
    'for training, shown the label, by the base model'
    >>> _purpose("train", "forward~demos", "test", JUDGE)
    'for training, from the question alone, after demonstrations'
    """
    if purpose == Purpose.CONTROL:
        return "test, solved examples in the prompt"
    if purpose == Purpose.EVAL:
        return split
    asked, _, who = proposal.partition("@")
    how, _, demos = asked.partition("~")
    hows = {
        "forward": "from the question alone",
        "rationalize": called.shown,
        "answer": f"the {called.label} as it is, nothing drawn",
        "posterior": "from the enumerated posterior",
    }
    beside = [*(["after demonstrations"] if demos else []), *([_WHO.get(who, who)] if who else [])]
    return ", ".join(["for training", hows.get(how, how), *beside])


def _gap(outcome: str, predicted: str | None, answer: str, scale: Scale, _: float) -> int:
    """Return the distance of a draft's verdict from the label, an index into ``items.FITS``."""
    lost = outcome in {Outcome.TRUNCATED, Outcome.UNPARSEABLE, Outcome.ENGINE_FAILED}
    return items.distance(None if lost else predicted, answer, scale)


def _earned(_: str, __: str | None, ___: str, ____: Scale, earned: float) -> float:
    return earned


#: The last of a trial's numbers, and whether answers are shortened in the list, by ``Kind.page``.
_LAST: dict[str, Callable[[str, str | None, str, Scale, float], float]] = {
    "levels": _gap,
    "answers": _earned,
    "rewards": _earned,
}
_IS_LISTED_SHORT = {"levels": False, "answers": True, "rewards": True}
