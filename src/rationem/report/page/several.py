"""Several runs on one page: what each reaches, and their curves side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rationem.report.page.nouns import Told
from rationem.report.part import Part, Table, Text
from rationem.report.sections.course import curves
from rationem.report.tables import number, within
from rationem.report.trust import shown
from rationem.report.words import kind_of, leading, words


def every(runs: Sequence[Told], title: str) -> Part:
    """Return what each run reaches, and which are not finished."""
    told = "One row per run: what its chosen iteration reaches, beside what it must be compared with."
    waiting = [
        Text(f"{run.name} is not finished. Its numbers are those so far.", "warning")
        for run in runs
        if not run.summary["finished"]
    ]
    return Part("learned", title, (told, arms(runs), *waiting))


def together(runs: Sequence[Told]) -> Part:
    """Return the curves of all runs, one line each."""
    return Part("curves", "Iteration by iteration", curves({run.name: run.summary for run in runs}))


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
        split, before, after = shown(summary)
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
    return Table([*head, "generated tokens"], rows)


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
