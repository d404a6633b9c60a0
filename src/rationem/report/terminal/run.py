"""``rationem show RUN``: what a run has learned so far, on the terminal."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rationem import report
from rationem.errors import RunError
from rationem.ledger import read_only
from rationem.ledger.one_example import find_example, first_trial
from rationem.ledger.phases import begin_snapshot, is_drawn, known_iterations, read_seconds
from rationem.ledger.totals import split_counts, tried_counts
from rationem.report.part import Part
from rationem.report.plain import plain
from rationem.report.sections.course import iterations, scores_of
from rationem.report.sections.learned import sentence, warnings
from rationem.report.sections.scores import brief, headline
from rationem.report.terminal.console import SHORT, block, line, section, shortened, table, title
from rationem.report.terminal.life import no_iteration
from rationem.report.words import words
from rationem.types import Outcome, Purpose, Trial

#: Where an answer is shortened, in characters.
_ANSWER = 100
#: The sets whose scores are shown, the first that there is.
_SPLITS = ("test", "validation")
#: Outcomes of which one trial each is shown.
_SHOWN = (Outcome.ACCEPTED, Outcome.WRONG, Outcome.UNPARSEABLE)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What is looked at beside the numbers.

    Args:
        iteration: whose E-step the trials are of; None where nothing was drawn to learn from yet.
        trials: one of each outcome that there is.
        labels: example id -> its label.
        under_way: a sentence on the iteration at work; empty of a run that is finished.
    """

    iteration: int | None
    trials: tuple[Trial, ...]
    labels: Mapping[str, str]
    under_way: str


def show_run(directory: Path, console: Console, *, iteration: int | None = None, whole: bool = False) -> None:
    """Print what a run has learned, its iterations, the headline numbers, a few trials, and what to do next.

    Args:
        directory: the run, finished, at work or given up.
        iteration: whose trials are shown; the last E-step's by default.
        whole: show trials in full.

    Raises:
        RunError: there is no run, or no such iteration.
    """
    summary = report.summarize(directory)
    glimpse = look(directory, finished=summary["finished"], iteration=iteration)
    config = summary["config"]
    told = f": {config['scheme']} on {config['model']}" if "scheme" in config and "model" in config else ""
    line(console, (f"{directory.resolve().name}{told}", "bold"))
    for text in (sentence(summary), glimpse.under_way):
        if text:
            block(console, text, indent=0)
    for text in warnings(summary):
        block(console, text, indent=0, style="yellow")
    for part in (iterations(summary), _headline(summary)):
        if part is not None:
            section(console, part)
    _trials(glimpse, summary, console, whole)
    title(console, "Next")
    for text in _next(directory, summary, glimpse):
        line(console, text, indent=2)


def show_end(directory: Path, summary: Mapping[str, Any], console: Console) -> None:
    """Print what a finished run has learned: a sentence, warnings, a table of 80 columns, and what to do next."""
    block(console, sentence(summary), indent=0, style="bold")
    for text in warnings(summary):
        block(console, f"Warning: {text}", indent=0, style="yellow")
    split = next((one for one in _SPLITS if one in summary["baselines"]), None)
    if split is not None:
        console.print()
        shown = brief(summary, split, [key for _, key in scores_of(summary)])
        table(console, shown.head, shown.rows, bold=shown.bold)
    title(console, "Next")
    line(console, f"{directory / 'report.html'}    the report, for a browser", indent=2)
    for text in _next(directory, summary, look(directory, finished=summary["finished"])):
        line(console, text, indent=2)


def _headline(summary: Mapping[str, Any]) -> Part | None:
    """Return the headline numbers of the test set, or of validation before it is scored."""
    for split in _SPLITS:
        if split in summary["baselines"] and any(split in entry for entry in summary["iterations"]):
            return Part("numbers", "Headline numbers", (headline(summary, split),))
    return None


def look(directory: Path, *, finished: bool, iteration: int | None = None) -> Glimpse:
    """Return what a ledger shows beside the numbers.

    Raises:
        RunError: there is no such iteration.
    """
    with closing(read_only(directory)) as db:
        begin_snapshot(db)
        known = known_iterations(db)
        if iteration is not None and iteration not in known:
            raise RunError(no_iteration(directory, iteration, known))
        asked = iteration if iteration is not None else _last_drawn(db, known)
        trials = () if asked is None else _some(db, asked)
        found = (find_example(db, one) for one in {trial.example_id for trial in trials})
        labels = {one[0].id: one[0].answer for one in found if one is not None}
        return Glimpse(asked, trials, labels, "" if finished else _under_way(db, known))


def _last_drawn(db: sqlite3.Connection, known: Sequence[int]) -> int | None:
    return next((k for k in reversed(known) if is_drawn(db, k, Purpose.TRAIN)), None)


def _some(db: sqlite3.Connection, k: int) -> tuple[Trial, ...]:
    found = (first_trial(db, k, outcome) for outcome in _SHOWN)
    return tuple(trial for trial in found if trial is not None)


def _under_way(db: sqlite3.Connection, known: tuple[int, ...]) -> str:
    if not known:
        return "Nothing is drawn yet."
    k = known[-1]
    done, train = read_seconds(db, k), split_counts(db).get("train", 0)
    drawn, trials = tried_counts(db, k)
    tried = f"{trials:,} trials of {drawn:,} of {train:,} training examples" if k > 0 else "the base model is measured"
    return f"Iteration {k} so far: {tried}; finished phases: {', '.join(done) or 'none'}."


def _trials(glimpse: Glimpse, summary: Mapping[str, Any], console: Console, whole: bool) -> None:
    if glimpse.iteration is None:
        return
    title(console, f"Trials of iteration {glimpse.iteration}")
    nothing = words(summary).nothing
    for trial in glimpse.trials:
        said = nothing if trial.parsed.answer is None else shortened(trial.parsed.answer, _ANSWER)
        label = shortened(glimpse.labels[trial.example_id], _ANSWER)
        told = f"{trial.outcome}: {trial.example_id}, {trial.proposal}, says {said}, {words(summary).label} {label}"
        line(console, told, indent=2)
        block(console, shortened(trial.draft.text, None if whole else SHORT), style="dim")
    missing = [str(one) for one in _SHOWN if one not in {trial.outcome for trial in glimpse.trials}]
    if missing:
        line(console, f"None is {' or '.join(missing)}.", indent=2)


def _next(directory: Path, summary: Mapping[str, Any], glimpse: Glimpse) -> Iterator[str]:
    run = shlex.quote(str(directory))
    if not summary["finished"]:
        if summary["refit"]:
            yield "give the command of rationem refit again where no process is at work: it goes on"
        else:
            yield f"rationem fit --output {run}    goes on, where no process is at work"
    elif (directory / "model").is_dir():
        called = words(summary)
        yield f"rationem judge {run} new.csv -o {called.rated}.csv    {called.rate} new items"
    if glimpse.trials:
        named = shlex.quote(plain(glimpse.trials[0].example_id))
        flag = f"--example={named}" if named.startswith("-") else f"--example {named}"
        yield f"rationem show {run} {flag}    one example's whole life"
    yield f"rationem report {run}    every number"
