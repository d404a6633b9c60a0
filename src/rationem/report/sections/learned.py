"""The sections of a report on what was learned, beside what it must be compared with, from which data and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rationem.metrics import METRICS
from rationem.report.choice import reason
from rationem.report.part import Block, Part, Section, Table, Text, Tiles
from rationem.report.reading import reading
from rationem.report.sections.scores import raters
from rationem.report.tables import number
from rationem.report.trust import FEW_GROUPS, compared, doubts, shown, start_name
from rationem.report.words import kind_of, leading, words


def learned(summary: Mapping[str, Any]) -> Part:
    """Return what was learned: a sentence, the settings, the leading number beside its baselines, and all doubts."""
    blocks: tuple[Block, ...] = (
        Text(sentence(summary), "headline"),
        Text(asked(summary), "quiet"),
        f"{sizes(summary)} {chosen(summary)}{tested(summary)}",
        *tiles(summary),
        *(Text(one, "warning") for one in warnings(summary)),
    )
    return Part("learned", "What was learned", blocks)


def asked(summary: Mapping[str, Any]) -> str:
    """Return what was run, so that two pages can be told apart."""
    config = summary["config"]
    length = f"{config['epochs']:g} epochs" if config.get("epochs") else f"{config.get('steps')} steps"
    told = [
        f"selector {config.get('selector')}",
        f"reward {config.get('reward')} (threshold {config.get('threshold')}, as {config.get('reward_as')})",
        f"leak filter {config.get('leak_filter')}",
        f"{length} per iteration from the {config.get('init')} weights",
        f"learning rate {config.get('learning_rate')}",
        f"seed {config.get('seed')}",
    ]
    refit = summary.get("refit")
    again = (
        f" A refit of {refit['run']}, iteration {refit['iteration']}: nothing was drawn for training, the draws and "
        f"their tokens are those of {refit['run']}, and iteration 0 is the weights that drew them."
        if refit
        else ""
    )
    return f"Scheme {config['scheme']}, {', '.join(told)}.{again}"


def sentence(summary: Mapping[str, Any]) -> str:
    """Return what was learned, beside the baselines and people; of a run at work that it is not finished."""
    split, before, after = compared(summary)
    if not summary["finished"]:
        return "The run is not finished; these are its numbers so far."
    if not before or not after:
        return "There is no validation and no test set: nothing says how well the model does."
    return _LEARNED[kind_of(summary).page](summary, split, before, after)


def _named(summary: Mapping[str, Any], split: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return how often the right level was named, and how probable it was."""
    baselines = summary["baselines"][split]
    who = words(summary).who
    of_each = _OF_EACH[kind_of(summary).parts] if summary["criteria"] else ""
    ends = interval(after, summary["groups"][split])
    trained = summary["best_iteration"] > 0
    untouched = start_name(summary) if summary["refit"] else "untrained base model"
    when = "before this refit" if summary["refit"] else "before training"
    untrained = f"{when} in {percent(before['accuracy'])}; " if trained else ""
    earlier = f"{number(before['log_likelihood'])} {when}, " if trained else ""
    return (
        f"{_asked(after, split, summary)} the {who}{'' if trained else f', the {untouched},'} names "
        f"{words(summary).right} in {percent(after['accuracy'])}{f' ({ends})' if ends else ''} of all cases; "
        f"{untrained}always saying one {words(summary).said}{of_each}, the best for these items, in "
        f"{percent(baselines['constant']['accuracy'])}."
        f"{_people(baselines, after)} Log-likelihood: {earlier}{number(after['log_likelihood'])} of the {who}, "
        f"{number(baselines['training_marginal']['log_likelihood'])} of the training marginal, the shares of the "
        "levels among the ratings in training (nats per rating; nearer 0 is better)."
    )


def _answered(summary: Mapping[str, Any], split: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return what was learned where answers are open: the share of right ones, or what they earn where that is graded.

    A baseline whose reward could not be computed is left out.
    """
    key, constant = leading(summary), summary["baselines"][split]["constant"]
    ends, trained = interval(after, summary["groups"][split], key), summary["best_iteration"] > 0
    untouched = start_name(summary) if summary["refit"] else "untrained base model"
    when = "before this refit" if summary["refit"] else "before training"
    called, draws = words(summary), summary["config"].get("draws") or "several"

    def told(scores: Mapping[str, Any], which: str) -> str:
        return f"in {percent(scores[which])}" if key == "accuracy" else number(scores[which])

    def earlier(which: str) -> str:
        return f", {when} {told(before, which)}" if trained else ""

    always = "" if constant[key] is None else f", always saying the {called.constant} {told(constant, key)}"
    return (
        f"{_asked(after, split, summary)} the answer of the {'model' if trained else untouched}, the one "
        f"{called.agreed.format(draws=draws)}, {called.earns.format(reward=summary['reward'])} {told(after, key)}"
        f"{f' ({ends})' if ends else ''}{earlier(key)}{always}. A single draw {called.once} "
        f"{told(after, 'draw_reward')}{earlier('draw_reward')}."
    )


#: What was learned, in a sentence, by ``Kind.page``.
_LEARNED = {"levels": _named, "answers": _answered, "rewards": _answered}
#: How one level is said of everything where there are several parts, by ``Kind.parts``.
_OF_EACH = {"": "", "criterion": " per criterion", "subject": ""}


def percent(share: float) -> str:
    """Return a share as a percentage, for a sentence."""
    return f"{100 * share:.1f} %"


def _criteria(names: Sequence[str]) -> str:
    return f" of {len(names)} criteria" if names else ""


def _subjects(names: Sequence[str]) -> str:
    named = [name for name in names if name]
    return f" of {len(named)} subjects" if len(named) > 1 else ""


#: How many parts the items have, in words, by ``Kind.parts``.
_SEVERAL = {"": _criteria, "criterion": _criteria, "subject": _subjects}


def _asked(scores: Mapping[str, Any], split: str, summary: Mapping[str, Any]) -> str:
    several = _SEVERAL[kind_of(summary).parts](summary["criteria"])
    if scores["pairs"]:
        count = scores["pairs"]["candidates"]
        noun, orders = ("pairs", "both orders") if count == 2 else ("comparisons", f"all {count} orders")
        return f"On {scores['pairs']['pairs']} {split} {noun}{several}, each asked in {orders},"
    return f"On {scores['count']} {split} items{several}"


def _people(baselines: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return how the judge and one person meet the same targets: the label pooled of all raters is an easier one."""
    ceiling, beside = baselines["human_ceiling"], after["beside_humans"]
    if not ceiling or not beside:
        return ""
    return (
        " Against what an item's other raters say, each rater left out in turn: the judge is right in "
        f"{percent(beside['accuracy'])}, the person left out in {percent(ceiling['accuracy'])}."
    )


def interval(scores: Mapping[str, Any], groups: int, key: str = "accuracy") -> str:
    """Return the interval of a number; nothing where resampling so few groups, or no spread, would mislead."""
    found = (scores.get("intervals") or {}).get(key)
    if not found or groups < FEW_GROUPS or found[0] == found[1]:
        return ""
    low, high = (percent(one) if METRICS[key].percent else number(one) for one in found)
    return f"95 % interval {low} to {high}"


def sizes(summary: Mapping[str, Any]) -> str:
    """Return how many examples there are, and what drew for them."""
    counts = ", ".join(f"{count} {split}" for split, count in summary["examples"].items())
    elided = f" {summary['elided']} responses were shortened, as asked." if summary["elided"] else ""
    engine = summary["engine"]
    count = summary["candidates"]
    told = {1: "", 2: " Each pair is two of them, one for each order."}
    orders = told.get(count, f" Each comparison is {count} of them, one for each order.")
    seeds = "honours" if engine["honours_seeds"] else "does not honour"
    return f"Examples: {counts}.{orders}{elided} Engine: {engine['name']}, which {seeds} a seed per request."


def chosen(summary: Mapping[str, Any]) -> str:
    """Return which iteration is taken as the best and why."""
    which = f"Iteration {summary['best_iteration']} of {summary['last_iteration']}"
    if summary["chosen_by"] == "last iteration" and summary["examples"]["validation"]:
        return f"{which} is taken as the best, for it is the last: none is measured on the validation set."
    if summary["chosen_by"] == "last iteration":
        return f"{which} is taken as the best, for it is the last: there is no validation set to choose by."
    asked, last = summary["config"].get("iterations"), summary["last_iteration"]
    patience = summary["config"].get("patience")
    ended = (
        f" The run ended before its {asked} iterations: no better score for {patience} (--patience)."
        if summary["finished"] and patience and asked and last < asked
        else ""
    )
    return f"{which} {reason(summary)}.{ended}"


def tested(summary: Mapping[str, Any]) -> str:
    """Return whether the test set was scored once, at the end; empty where it was not scored."""
    if not summary["finished"] or not summary["examples"]["test"]:
        return ""
    return " The test set was scored at the end only."


def warnings(summary: Mapping[str, Any]) -> list[str]:
    """Return why the numbers, or the judge, are not to be relied on; one sentence per reason."""
    return [*shared_groups(summary), *doubts(summary), *summary["raters"]["warnings"]]


def shared_groups(summary: Mapping[str, Any]) -> list[str]:
    """Return the warning about groups, such as prompts, of both the training and the test set; nothing without any."""
    if not (count := summary["notes"].get("test_examples_whose_group_is_trained_on", 0)):
        return []
    return [
        f"{count} test examples belong to groups (such as prompts) that are trained on: for new groups the test "
        "numbers are too good."
    ]


def tiles(summary: Mapping[str, Any]) -> tuple[Tiles, ...]:
    """Return the leading number and its baselines; nothing before any score."""
    split, before, after = shown(summary)
    if not before or not after:
        return ()
    baselines, key, called = summary["baselines"][split], leading(summary), words(summary)
    best, ends = summary["best_iteration"], interval(after, summary["groups"][split], key)
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
        same = f"the judge against the same raters: {percent(beside['accuracy'])}"
        found.append(("one person against the other raters", percent(ceiling["accuracy"]), same))
    return (Tiles(tuple(found)),)


#: The text of a tile after the model's name.
_OF_TILE = {"accuracy": "", "reward": ": mean reward"}


def _told(value: float, key: str) -> str:
    return percent(value) if METRICS[key].percent else number(value)


def data(summary: Mapping[str, Any]) -> Part:
    """Return how the data was read, and the agreement of the raters."""
    told: list[Block] = [*reading(summary), *raters(summary)]
    if summary["notes"].get("world"):
        told.insert(0, "The embedded judge world: questions and ratings made by the seed, no file was read.")
    return Part("data", "How the data was read", tuple(told) or ("The run has no notes on how its data was read.",))


def settings(summary: Mapping[str, Any]) -> Part:
    """Return the settings, one row each."""
    rows = [[key, _value(value)] for key, value in summary["config"].items()]
    return Part("settings", "Settings", (Table(["setting", "value"], rows),), folded=True)


def _value(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


SECTIONS, LAST = (Section(learned), Section(data)), (Section(settings),)
