"""The trials on the page: all of them, or a sample drawn by the run's seed if there are too many."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rationem.ledger.listing import TrialKey, input_sizes, is_evaluated, trial_sizes
from rationem.seeds import seed_for
from rationem.types import Purpose

#: The maximum number of trials, and the approximate maximum of characters in their completions and prompts.
MOST_TRIALS, MOST_TEXT = 50_000, 20_000_000
#: Above this share of the text, the first trial that does not fit ends the choice.
_FULL = 0.9


@dataclass(frozen=True, slots=True)
class SampledTrials:
    """The trials of one run on the page.

    Args:
        keys: the chosen trials.
        total: their number in the ledger, for the purposes that the page shows.
        split: the split of the evaluation drafts, "test" or "validation".
        best: the chosen iteration.
    """

    keys: frozenset[TrialKey]
    total: int
    split: str
    best: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """A run's trials, before any is chosen.

    Args:
        rows: key, outcome and length of the completion.
        lengths: example id -> length of its inputs: about the length that its prompt adds.
        seed: the run's seed.
        split, best: as in :class:`Choice`.
    """

    rows: Sequence[tuple[TrialKey, str, int]]
    lengths: Mapping[str, int]
    seed: int
    split: str
    best: int


def candidates(db: sqlite3.Connection, *, seed: int, best: int) -> Candidates:
    """Return the trials to choose from: drafts for training, evaluation and the control.

    Of validation, where there is a test, only those of the base model and of the chosen iteration.

    Args:
        seed: the run's seed.
        best: the chosen iteration.
    """
    split = "test" if is_evaluated(db, "test") else "validation"
    return Candidates(trial_sizes(db, split, (0, best)), input_sizes(db), seed, split, best)


def choose(
    runs: Sequence[Candidates], *, most_trials: int = MOST_TRIALS, most_text: int = MOST_TEXT
) -> tuple[SampledTrials, ...]:
    """Return the trials on the page, for each run.

    Every run, purpose, iteration and outcome has its share, and at least one trial. A draft of the base model and the
    chosen iteration's draft of the same evaluated example are chosen together, so that before and after can be shown
    side by side.
    """
    taken: list[set[TrialKey]] = [set() for _ in runs]
    known: set[tuple[str, int]] = set()  # prompts: runs on the same data share them
    count = spent = 0
    for n, keys, size in _in_order(runs):
        new = [key for key in keys if key not in taken[n]]
        if not new:
            continue
        unseen = {(key[2], runs[n].lengths[key[2]]) for key in new} - known
        cost = size + sum(length for _, length in unseen)
        if count + len(new) > most_trials or (spent + cost > most_text and spent > _FULL * most_text):
            break
        if spent + cost > most_text:  # an extremely long trial
            continue
        taken[n].update(new)
        known |= unseen
        count, spent = count + len(new), spent + cost
    return tuple(
        SampledTrials(frozenset(keys), len(run.rows), run.split, run.best)
        for run, keys in zip(runs, taken, strict=True)
    )


def _in_order(runs: Sequence[Candidates]) -> Iterator[tuple[int, tuple[TrialKey, ...], int]]:
    """Yield run, trials that belong together, and their length; every prefix holds every stratum in proportion."""
    placed: list[tuple[float, int, int, tuple[TrialKey, ...], int]] = []
    for n, run in enumerate(runs):
        sizes = {key: size for key, _, size in run.rows}
        strata: dict[tuple[str, int, str], list[TrialKey]] = defaultdict(list)
        for key, outcome, _ in run.rows:
            strata[key[1], key[0], outcome].append(key)
        for _, members in sorted(strata.items()):
            drawn = sorted((seed_for(run.seed, "page", *key), key) for key in members)
            for rank, (seed, key) in enumerate(drawn):
                together = tuple(one for one in (key, *_mates(key, run.best)) if one in sizes)
                placed.append((rank / len(drawn), seed, n, together, sum(sizes[one] for one in together)))
    for _, _, n, together, size in sorted(placed):
        yield n, together, size


def _mates(key: TrialKey, best: int) -> list[TrialKey]:
    """Return the same draft of the base model and of the chosen iteration, for a draft of either."""
    iteration, purpose, example_id, attempt, retry = key
    if purpose != Purpose.EVAL or iteration not in {0, best}:
        return []
    return [(k, purpose, example_id, attempt, retry) for k in sorted({0, best} - {iteration})]
