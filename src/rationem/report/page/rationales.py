"""The browser of rationales: trials, prompts and labels as one block of data that the page's script shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from rationem.ledger import read_examples, read_manifest, read_only
from rationem.ledger.listing import ListedTrial, TrialKey, listed_trials
from rationem.report.page.marks import finder, spans
from rationem.report.page.nouns import Told
from rationem.report.page.prompts import Wording, wording
from rationem.report.page.sample import Candidates, SampledTrials, candidates, choose
from rationem.report.trust import start_name
from rationem.report.words import outcome_names, words
from rationem.sampling.hint_leakage import PHRASES
from rationem.tasks.built_in import described
from rationem.tasks.kinds import Kind
from rationem.tasks.scale import Scale
from rationem.tasks.words import Words
from rationem.types import Example, Outcome, Purpose, Splits

#: The distance of a verdict from the label; the last is for trials without a verdict.
GAPS = ("agrees", "off by one level", "off by more", "differs", "no verdict")
_AGREES, _ONE, _MORE, _DIFFERS, _NONE = range(5)

#: The order of purposes within an iteration.
_ORDER = (Purpose.TRAIN, Purpose.EVAL, Purpose.CONTROL)

_WHO = {"base": "by the base model", "teacher": "by the teacher"}


@dataclass(slots=True)
class _Names:
    """Texts that many rows share, each stored once; a row holds its number."""

    found: dict[Any, int] = field(default_factory=dict)

    def number(self, one: Any) -> int:
        return self.found.setdefault(one, len(self.found))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.found)


@dataclass(frozen=True, slots=True)
class _Opened:
    """One run's ledger and what is the same for all its trials."""

    told: Told
    db: sqlite3.Connection
    examples: Mapping[str, Example]
    wording: Wording
    kind: Kind
    phrases: tuple[str, ...]
    there: Candidates


def rationales(runs: Sequence[Told], **limits: int) -> tuple[dict[str, Any], int]:
    """Return the data of the browser of rationales, and the number of trials that it was chosen from.

    Args:
        runs: the runs, in the order of display.
        Yield the rows of one run: by iteration, purpose, position of the example, attempt and retry.
    """
    opened: list[_Opened] = []
    try:
        for told in runs:
            opened.append(_open(told))
        choices = choose([one.there for one in opened], **limits)
        return _data(opened, choices), sum(choice.total for choice in choices)
    finally:
        for one in opened:
            one.db.close()


def _open(told: Told) -> _Opened:
    with ExitStack() as until_opened:
        db = read_only(told.directory)
        until_opened.callback(db.close)
        manifest, config = read_manifest(db), told.summary["config"]
        sets = {split: read_examples(db, split) for split in ("train", "validation", "test")}
        put = wording(told.directory, manifest, Splits(sets["train"], sets["validation"], sets["test"]))
        there = candidates(db, seed=int(config.get("seed") or 0), best=told.summary["best_iteration"])
        until_opened.pop_all()
    phrases = () if config.get("leak_filter") == "off" else tuple(config.get("leak_phrases", PHRASES))
    examples = {x.id: x for part in sets.values() for x in part}
    return _Opened(told, db, examples, put, described(manifest["task"]), phrases, there)


def _data(opened: Sequence[_Opened], choices: Sequence[SampledTrials]) -> dict[str, Any]:
    levels, purposes, hints, examples = _Names(), _Names(), _Names(), _Names()
    called = words(opened[0].told.summary)
    for one in opened:
        for level in one.kind.scale.levels:
            levels.number(level)
    rows = []
    for n, (one, choice) in enumerate(zip(opened, choices, strict=True)):
        rows += list(_rows(n, one, choice, (levels, purposes, hints, examples)))
    return {
        "runs": [_run(one, choice) for one, choice in zip(opened, choices, strict=True)],
        "levels": list(levels),
        "purposes": list(purposes),
        "outcomes": [[outcome, said] for outcome, said in outcome_names(called).items()],
        "gaps": list(GAPS),
        "open": _IS_LISTED_SHORT[opened[0].kind.page],
        "words": {"label": called.label, "none": called.none, "shown": called.shown},
        "hints": list(hints),
        "examples": list(examples),
        "trials": rows,
    }


def _run(one: _Opened, choice: SampledTrials) -> dict[str, Any]:
    return {
        "name": one.told.name,
        "best": choice.best,
        "start": start_name(one.told.summary),
        "split": choice.split,
        "around": one.wording.around,
        "common": one.wording.common,
        "solved": one.wording.solved,
        "known": one.wording.task is not None,
    }


def _rows(n: int, one: _Opened, choice: SampledTrials, names: tuple[_Names, ...]) -> Iterator[list[Any]]:
    """Yield the rows of one run: by iteration, purpose, place of the example, attempt and retry."""
    levels, purposes, hints, examples = names
    numbers: dict[str, int] = {}
    pattern, called = finder(one.phrases), words(one.told.summary)
    outcomes = list(outcome_names(called))
    for _, key, proposal, tokens, prompt_tokens, text, predicted, end, outcome, earned in _chosen(one.db, choice.keys):
        iteration, purpose, example_id, attempt, retry = key
        x = one.examples[example_id]
        if example_id not in numbers:
            numbers[example_id] = examples.number(_example(x, one.wording, levels, hints))
        row = [
            *(n, iteration, purposes.number(_purpose(purpose, proposal, choice.split, called)), numbers[example_id]),
            *(attempt, retry, outcomes.index(outcome)),
            -1 if predicted is None else levels.number(predicted),
            *(tokens, prompt_tokens, _LAST[one.kind.page](outcome, predicted, x.answer, one.kind.scale, earned)),
            text,
        ]
        marked = spans(text, end, one.phrases, pattern)
        yield [*row, marked] if marked else row


def _chosen(db: sqlite3.Connection, keys: frozenset[TrialKey]) -> list[ListedTrial]:
    rows = listed_trials(db, keys)
    rows.sort(key=lambda row: (row.key[0], _ORDER.index(row.key[1]), row.position, row.key[3:]))
    return rows


def _example(x: Example, put: Wording, levels: _Names, hints: _Names) -> tuple[Any, ...]:
    asked = put.of(x)
    return (x.id, levels.number(x.answer), put.short(asked.forward), hints.number(asked.hint), *(asked.seen or ()))


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
    """Return the distance of a verdict from the label, an index into ``GAPS``."""
    if predicted is None or outcome in {Outcome.TRUNCATED, Outcome.UNPARSEABLE, Outcome.ENGINE_FAILED}:
        return _NONE
    if predicted == answer:
        return _AGREES
    if not scale.ordered:
        return _DIFFERS
    return _ONE if abs(scale.rank(predicted) - scale.rank(answer)) == 1 else _MORE


def _earned(_: str, __: str | None, ___: str, ____: Scale, earned: float) -> float:
    return earned


#: The last of a trial's numbers, and whether answers are shortened in the list, by ``Kind.page``.
_LAST: dict[str, Callable[[str, str | None, str, Scale, float], float]] = {
    "levels": _gap,
    "answers": _earned,
    "rewards": _earned,
}
_IS_LISTED_SHORT = {"levels": False, "answers": True, "rewards": True}
