"""``rationem show RUN --example ID``: one example's whole life on the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby

from rich.console import Console

from rationem.errors import ConfigError
from rationem.evaluation.evaluate import SHOTS
from rationem.report.plain import counted, plain
from rationem.report.terminal.console import SHORT, block, line, shortened, title
from rationem.report.terminal.life import Chapter, Life
from rationem.report.trust import start_name
from rationem.sampling import hint_leakage
from rationem.sampling.schemes import RATIONALIZE
from rationem.types import Example, Outcome, Prediction, Purpose, Trial

_BAR = 24
#: A prompt holds all of an item's texts, so it is shown longer than one draw.
_PROMPT = 3 * SHORT
_STYLES = {Outcome.ACCEPTED: "green", Outcome.WRONG: "red"}
_TOLD = {
    "no_marker": "no verdict line",
    "empty_verdict": "an empty verdict",
    "unoffered_level": "a level that the scale does not have",
    "no_answer": "no answer that could be read",
}


def show_example(life: Life, console: Console, *, whole: bool = False) -> None:
    """Print where an example came from, its prompts, and its drafts and state in every iteration.

    Args:
        life: what the ledger holds of it.
        whole: show texts in full instead of their beginnings.
    """
    _origin(life, console, whole)
    _prompts(life, console, whole)
    told = [chapter for chapter in life.chapters if not chapter.empty]
    for chapter in told:
        _chapter(life, chapter, console, whole)
    if not told:
        console.print()
        line(console, "Nothing was drawn for it, kept or predicted there.")


def leaked(life: Life, trial: Trial) -> list[str]:
    """Return all phrases with which a hinted rationale mentions its hint."""
    if not trial.proposal.startswith(RATIONALIZE.prompt):
        return []
    return [phrase for phrase in life.phrases if hint_leakage.find(trial.parsed.rationale, [phrase])]


def _origin(life: Life, console: Console, whole: bool) -> None:
    x = life.example
    line(console, (x.id, "bold"), f", {life.split} example")
    if x.id != x.item:
        line(console, _coordinates(x))
    line(
        console,
        f"{life.called.label}: ",
        (x.answer, "bold"),
        *([f", of the ratings {', '.join(x.ratings)}"] if x.ratings else []),
    )
    line(console, f"group: {x.group}")
    line(console, f"source: {x.source or 'not recorded'}")
    if x.weight != 1:
        line(console, f"weight: {x.weight:g}")
    if x.elided:
        line(console, f"shortened on request (--elide): {counted(x.elided, 'character', 'characters')} left out")
    for name, text in x.fields.items():
        line(console, f"{name}:")
        block(console, shortened(text, None if whole else SHORT))


def _coordinates(x: Example) -> str:
    """Return which example of which item it is, in words."""
    told = [
        f"item: {x.item}",
        *([f"criterion {x.criterion}"] if x.criterion else []),
        *([f"rating {x.rater}"] if x.rater else []),
        *([f"shown in order {x.turn + 1} of {x.orders}"] if x.turn else []),
        *(["of the test file"] if x.origin else []),
    ]
    return ", ".join(told)


def _prompts(life: Life, console: Console, whole: bool) -> None:
    if life.task is None:
        line(console, f"Its prompts cannot be made again: {life.taskless}")
        return
    x = life.example
    try:
        forward, hinted = life.task.prompt(x.fields).text, life.task.hint_prompt(x.fields, x.answer).text
    except ConfigError as error:
        line(console, f"Its prompts cannot be made again: {error}")
        return
    title(console, "Prompt (the model's chat template goes around it)")
    block(console, shortened(forward, None if whole else _PROMPT))
    same = hinted.startswith(forward) and not whole
    title(console, "Hinted prompt" + (": the same, and behind it" if same else ""))
    block(console, (hinted[len(forward) :] if same else hinted).strip("\n"))


def _chapter(life: Life, chapter: Chapter, console: Console, whole: bool) -> None:
    title(console, _name(life, chapter.iteration))
    for purpose, trials in groupby(chapter.trials, key=lambda trial: trial.purpose):
        line(console, f"{_heading(life, chapter.iteration, purpose)}:", indent=2)
        for trial in trials:
            _trial(life, chapter, trial, console, whole)
    for text in _fate(life, chapter):
        line(console, text, indent=2)
    for split, prediction in chapter.predictions.items():
        _prediction(life, split, prediction, console)


def _name(life: Life, k: int) -> str:
    if k > 0:
        return f"Iteration {k}"
    start = start_name({"refit": life.refit})
    return f"Iteration {k} ({start if k == 0 else 'before the refit'})"


def _heading(life: Life, k: int, purpose: Purpose) -> str:
    if purpose is Purpose.TRAIN:
        if k < 1:
            return "Drawn by the old run, before the iteration that was taken"
        return f"Drawn to learn from, by the weights of iteration {k - 1}"
    if purpose is Purpose.PROBE and life.split != "train":
        shown = shortened(plain(life.wrong or "?"), SHORT)
        return f"Probe: shown the wrong {life.called.said} {shown}; accepted means that it was said"
    return {
        Purpose.EVAL: f"Drawn from the question alone, for {life.split}",
        Purpose.CONTROL: "Control: drawn with solved examples in front of the question",
        Purpose.EVIDENCE: f"Drawn with the {life.called.label} shown, for the evidence",
        Purpose.START: "Drawn before the first iteration: can drafts be read?",
        Purpose.PROBE: "Drawn from the question alone, for its difficulty",
        Purpose.ANSWERED: f"Trained on: the {life.called.label} behind a rationale drawn above",
    }[purpose]


def _trial(life: Life, chapter: Chapter, trial: Trial, console: Console, whole: bool) -> None:
    draft, parsed = trial.draft, trial.parsed
    again = f", retry {trial.retry}" if trial.retry else ""
    line(
        console,
        f"attempt {trial.attempt}{again}, {trial.proposal}: ",
        (str(trial.outcome), _STYLES.get(trial.outcome, "yellow")),
        f", {'; '.join(_said(life, chapter, trial))}",
        indent=4,
    )
    if found := leaked(life, trial):
        line(console, ("mentions the hint: ", "yellow"), ", ".join(map(repr, found)), indent=6)
    if trial.outcome is not Outcome.ENGINE_FAILED:
        # Without a verdict the whole completion is what went wrong.
        text = draft.text if parsed.answer is None else parsed.rationale
        block(console, shortened(text, None if whole else SHORT), indent=6, style="dim")


def _said(life: Life, chapter: Chapter, trial: Trial) -> Iterator[str]:
    draft, parsed = trial.draft, trial.parsed
    if parsed.answer is not None:
        yield f"says {shortened(plain(parsed.answer), SHORT)}, reward {trial.reward:.2f}"
    elif parsed.problem:
        yield _TOLD.get(parsed.problem, parsed.problem)
    tokens = counted(len(draft.token_ids), "token", "tokens")
    yield f"{tokens} after a prompt of {draft.prompt_tokens}, finish {draft.finish}"
    if trial.demos:
        yield f"shown {counted(len(trial.demos), 'demonstration', 'demonstrations')}"
    logps = chapter.scored.get((trial.purpose, trial.attempt))
    if logps is not None and life.kind.offers(life.example.fields, life.example.answer):
        logp = logps[life.kind.place(life.example.answer)]
        yield f"p({life.called.label} | rationale) {math.exp(logp):.2f}"
    if draft.closed:
        yield f"closed after {counted(draft.closed, 'drawn token', 'drawn tokens')}: its level was drawn afterwards"
    if draft.encoded:
        yield "its text was encoded here"


def _fate(life: Life, chapter: Chapter) -> Iterator[str]:
    for one in chapter.kept:
        before = f" of iteration {one.drawn}" if one.drawn != chapter.iteration else ""
        yield f"Kept: attempt {one.attempt}{before}, with weight {one.weight:.3f}"
    if chapter.state is not None:
        yield f"State: {chapter.state}"
    elif life.split == "train" and chapter.iteration > 0 and not chapter.settled:
        yield "State: not settled, the E-step is not finished"


def _prediction(life: Life, split: str, found: Prediction, console: Console) -> None:
    name = "control with solved examples" if split == SHOTS else split
    if found.too_long:
        line(console, f"Prediction, {name}: the prompt was too long, nothing was drawn", indent=2)
        return
    _PREDICTIONS[life.kind.estimator](life, name, found, console)


def _level_prediction(life: Life, name: str, found: Prediction, console: Console) -> None:
    """Print the most probable level, and the probability of each."""
    right = found.predicted == life.example.answer
    said = "none of the levels" if found.predicted is None else found.predicted
    drawn = f"{counted(found.draws, 'draw', 'draws')}, {found.unparsed} unparsed; raw p(label) {found.raw:.3f}"
    style = "green" if right else "red"
    line(console, f"Prediction, {name}: ", (said, style), f" (label {life.example.answer}); {drawn}", indent=2)
    offered = life.kind.offered(life.example.fields)
    shares = {
        plain(level): share
        for level, share in zip(life.kind.scale.levels, found.probabilities, strict=True)
        if level in offered
    }
    width = max(map(len, shares))
    for level, share in shares.items():
        line(console, f"{level:<{width}}  {share:.3f} {'#' * round(_BAR * share)}".rstrip(), indent=4)


def _open_prediction(life: Life, name: str, found: Prediction, console: Console) -> None:
    """Print what the draws agree on, how far, and what it earns."""
    said = life.called.none if found.predicted is None else shortened(found.predicted, SHORT)
    style = "green" if found.reward == 1 else "red" if not found.reward else "yellow"
    line(console, f"Prediction, {name}: ", (said, style), indent=2)
    told = (
        f"reward {found.reward or 0.0:.2f}, of a single draw {found.draw_reward or 0.0:.2f} in the mean; its "
        f"{counted(found.draws, 'draw', 'draws')} agree with it by {found.probabilities[0]:.2f}, {found.unparsed} "
        f"unparsed; raw p({life.called.label}) {found.raw:.3f}"
    )
    line(console, told, indent=4)


_PREDICTIONS = {"levels": _level_prediction, "consensus": _open_prediction}
