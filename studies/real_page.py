"""The numbers of the arms on real grades -> their page: a table for each part of the test set, and the verdict."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from page import table
from real_figure import draw
from real_items import DRAWS
from real_items import HEAD as SAID_HEAD
from real_items import rows as said_rows

#: The shared task, and what its systems reached.
SOURCE = "Dzikovska et al. 2013, SemEval-2013 Task 7, aclanthology.org/S13-2045"
HEAD = (
    "",
    "seeds",
    "accuracy",
    "minus answer alone",
    "macro-F1",
    "kappa",
    "AUC",
    "nats",
    "squared error",
    "tokens drawn",
    "min",
)
SEARCH_HEAD = ("setting", "grades", "AUC", "accuracy", "always one grade", "minutes")
NOTE = (
    "Brackets: 95 % intervals over the test answers, clustered by pupil; they hold for these training seeds. Nats and "
    "squared calibration error are of calibrated probabilities, fitted on validation. Tokens drawn: by the E-steps."
)
#: Its probabilities are then the training grades' shares.
UNREAD = " (no draft readable)"
#: Fewer seeds rank nothing.
ENOUGH = 3
Numbers = Mapping[str, Any]


def page(
    results: Sequence[Numbers], arms: Mapping[str, str], figures: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield the parts of the page, as Markdown.

    Args:
        results: what each finished run says, as ``studies/real.py`` wrote it.
        arms: the names of all arms, run or not, by key.
        figures: the file of each setting's figure.
    """
    searched = [one for one in results if one["arm"] == "search"]
    if searched:
        yield "## In which settings does answer alone learn?"
        yield "Validation grades only; AUC is the area under the ROC curve of p(correct)."
        yield table(list(SEARCH_HEAD), [search_row(one) for one in searched])
    settings = dict.fromkeys(one["setting"] for one in results if one["arm"] != "search")
    if not settings:
        yield f"No arm has run yet: not {', '.join(arms.values())}."
        return
    for setting in settings:
        ran = [one for one in results if one["setting"] == setting and one["arm"] != "search"]
        yield f"## {setting}"
        yield f"{verdict(ran, arms)} {chosen(ran, arms)}"
        if figures and setting in figures:
            yield f"![accuracy on unseen answers, by arm]({figures[setting]})"
        for part in ran[0]["chosen"]:
            count = ran[0]["chosen"][part]["count"]
            yield f"{part.replace('-', ' ').capitalize()}, {count} of them:"
            yield table(list(HEAD), rows(ran, arms, part))
        spoken = next((one for one in ran if one.get("said")), None)
        if spoken:
            yield (
                f"**What it says** ({arms[spoken['arm']]}, seed {spoken['seed']}; questions, answers and grades are "
                f"ours, not the task's; one of {DRAWS} drafts without a hint or demonstrations):"
            )
            yield table(list(SAID_HEAD), list(said_rows(spoken["said"])))
        missing = [name for key, name in arms.items() if key not in {one["arm"] for one in ran}]
        yield f"Not run: {', '.join(missing)}." if missing else "Every arm ran."
    yield NOTE
    yield f"The scores of the shared task's systems, on all of its questions, are in {SOURCE}."


def chosen(ran: Sequence[Numbers], arms: Mapping[str, str]) -> str:
    """Return the sentences on the training grades, on what each run kept of them, and the iteration it chose."""
    sizes = ran[0]["examples"]
    told = [
        f"{arms[one['arm']]}, seed {one['seed']}: kept {', '.join(map(str, one['kept']))}; iteration {one['best']} of "
        f"{one['last']} chosen"
        for one in ran
    ]
    return f"Trained on {sizes['train']} grades, chosen on {sizes['validation']} others. {'. '.join(told)}."


def search_row(one: Numbers) -> list[str]:
    """Return the row of one setting that was tried."""
    said = one["validation_accuracy"][one["best"]]
    constant = one["constant"]["validation"]
    told = (one["validation_auc"], said, constant)
    return [one["setting"], str(one["examples"]["train"]), *map(number, told), f"{one['seconds'] / 60:.0f}"]


def rows(ran: Sequence[Numbers], arms: Mapping[str, str], part: str) -> list[list[str]]:
    """Return the rows of a part: the constant, the base model alone and with demonstrations, and the arms."""
    first = ran[0]
    found = [["always one grade", "", number(first["constant"]["test"]), *[""] * 8]]
    alone = {one["seed"]: one for one in ran if one["arm"] == "direct"}
    for key, name, parts, of in measured(ran, arms, part):
        against = difference(of, alone, part) if key not in ("", "direct") else None
        found += [row(name, parts, of[0], against, of if key else ())]
    return found


def measured(
    ran: Sequence[Numbers], arms: Mapping[str, str], part: str
) -> Iterator[tuple[str, str, Sequence[Numbers], Sequence[Numbers]]]:
    """Yield (key, name, numbers of its seeds, their runs) of the arms; first, without a key, of the base model."""
    base = ran[0]["base"][part]
    yield "", "base model" + (UNREAD if base.get("unparsed_draws") == 1 else ""), [base], ran[:1]
    shown = next((one for one in ran if one["demonstrated"].get(part)), None)
    if shown:
        yield "", "base model, four demonstrations", [shown["demonstrated"][part]], [shown]
    for key, name in arms.items():
        of = [one for one in ran if one["arm"] == key]
        if of:
            yield key, name, [one["chosen"][part] for one in of], of


def figure(ran: Sequence[Numbers], arms: Mapping[str, str]) -> str:
    """Return the figure of one setting: the first part of its test set, as SVG."""
    part = next(iter(ran[0]["chosen"]))
    points = [
        (name, *interval([numbers["right"] for numbers in parts])) for _, name, parts, of in measured(ran, arms, part)
    ]
    count = len({one["seed"] for one in ran})
    return draw(points, ran[0]["constant"]["test"], "one seed" if count == 1 else f"up to {count} seeds")


def row(
    name: str,
    parts: Sequence[Numbers],
    one: Numbers,
    against: tuple[float, float, float] | None = None,
    cost: Sequence[Numbers] = (),
) -> list[str]:
    """Return a row: means over the seeds, and what a run cost."""
    value, low, high = interval([numbers["right"] for numbers in parts])
    calibrated = [numbers["calibrated"] or {} for numbers in parts]
    return [
        name,
        str(len(parts)),
        f"{value:.3f} [{low:.3f}, {high:.3f}]",
        f"{against[0]:+.3f} [{against[1]:+.3f}, {against[2]:+.3f}]" if against else "",
        *(number(mean([numbers[key] for numbers in parts])) for key in ("macro_f1", "kappa", "auc")),
        *(
            number(mean([found.get(key) for found in calibrated]))
            for key in ("log_likelihood", "squared_calibration_error")
        ),
        f"{statistics.fmean(run['generated_tokens'] for run in cost):,.0f}" if cost else "",
        f"{statistics.fmean(run['seconds'] for run in cost) / 60:.0f}" if cost else "",
    ]


def difference(of: Sequence[Numbers], alone: Mapping[int, Numbers], part: str) -> tuple[float, float, float] | None:
    """Return how much more often an arm is right than answer alone, with its interval; None without common seeds."""
    common = [one for one in of if one["seed"] in alone]
    apart = []
    for one in common:
        ours, theirs = (run["chosen"][part]["right"] for run in (one, alone[one["seed"]]))
        apart.append({key: ours[key] - theirs[key] for key in ours})
    return interval(apart) if apart else None


def interval(seeds: Sequence[Mapping[str, float]]) -> tuple[float, float, float]:
    """Return the mean over answers and seeds, and its 95 % interval, clustered by pupil.

    With v_i the mean over seeds of answer i, and m their mean over n answers of G pupils,
    se^2 = G / (G - 1) sum_g (sum_{i in g} (v_i - m))^2 / n^2; m -+ 1.96 se.
    """
    values = {key: statistics.fmean(one[key] for one in seeds) for key in seeds[0]}
    centre = statistics.fmean(values.values())
    sums: dict[str, float] = {}
    for key, value in values.items():
        pupil = key.rpartition(".")[0] or key
        sums[pupil] = sums.get(pupil, 0.0) + value - centre
    groups = len(sums)
    if groups < 2:
        return centre, -math.inf, math.inf
    half = 1.96 * math.sqrt(groups / (groups - 1) * sum(one**2 for one in sums.values())) / len(values)
    return centre, centre - half, centre + half


def verdict(ran: Sequence[Numbers], arms: Mapping[str, str]) -> str:
    """Say whether reasoning pays, no more than the intervals say: the first part of the test set, all seeds."""
    part = next(iter(ran[0]["chosen"]))
    alone = {one["seed"]: one for one in ran if one["arm"] == "direct"}
    found = {}
    for key, name in arms.items():
        of = [one for one in ran if one["arm"] == key and one["seed"] in alone]
        if of and key != "direct":
            found[name] = (difference(of, alone, part), len(of))
    if not found:
        return "Whether reasoning pays cannot be told: no arm has run beside answer alone."
    fewest = min(count for _, count in found.values())
    if fewest < ENOUGH:
        seeds = "one seed" if fewest == 1 else f"{fewest} seeds"
        return f"Whether reasoning pays cannot be told with {seeds}."
    better = [name for name, (apart, _) in found.items() if apart and apart[1] > 0]
    worse = [name for name, (apart, _) in found.items() if apart and apart[2] < 0]
    said = [f"{', '.join(better)}: better than answer alone"] if better else []
    said += [f"{', '.join(worse)}: worse than answer alone"] if worse else []
    rest = [name for name in found if name not in better + worse]
    said += [f"{', '.join(rest)}: no difference from answer alone can be told"] if rest else []
    return f"On {part.replace('-', ' ')}, {fewest} seeds: {'; '.join(said)}."


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None if a value is missing."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if len(known) == len(values) else None


def number(value: float | None) -> str:
    """Return a number with three decimals."""
    return "–" if value is None else f"{value:.3f}"
