"""The sections of a report on what was learned, beside what it must be compared with, from which data and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticUndefined

from rationem.config import FitConfig
from rationem.metrics import FEWEST_GROUPS, METRICS
from rationem.report.choice import reason
from rationem.report.part import Block, Coded, Part, Section, Table, Text, Tile, Tiles
from rationem.report.reading import reading
from rationem.report.sections.scores import calibrated, raters
from rationem.report.tables import number
from rationem.report.trust import compared, doubts, ends_of, shown, start_name, verdict
from rationem.report.words import kind_of, leading, words


def learned(summary: Mapping[str, Any]) -> Part:
    """Return what was learned: a sentence, the settings, the leading number beside its baselines, and all doubts."""
    blocks: tuple[Block, ...] = (
        Text(sentence(summary), "headline"),
        *tiles(summary),
        *(Text(one, "warning") for one in warnings(summary)),
        following(summary),
        *likelihood(summary),
        f"{sizes(summary)} {chosen(summary)}{tested(summary)}",
        Text(asked(summary), "quiet"),
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
    """Return in how many of 100 items the right level was named."""
    constant, called = summary["baselines"][split]["constant"]["accuracy"], words(summary)
    of_each = _OF_EACH[kind_of(summary).parts] if summary["criteria"] else ""
    ends = ends_of(after, summary["groups"][split], "accuracy")
    spread = f" (95 % interval {of_100(ends[0])} to {of_100(ends[1])})" if ends else ""
    trained = summary["best_iteration"] > 0
    untouched = start_name(summary) if summary["refit"] else "untrained base model"
    when = "before this refit" if summary["refit"] else "before training"
    untrained = f"{when} in {of_100(before['accuracy'])}; " if trained else ""
    who = f"your {called.who}" if trained else f"the {untouched}"
    return (
        f"{verdict(summary)}{_asked(after, split, summary)} {who} {called.meets} in {of_100(after['accuracy'])} of 100"
        f"{spread}; {untrained}always saying one {called.said}{of_each}, the best for these items, in "
        f"{of_100(constant)}.{_people(summary['baselines'][split], after)}"
    )


def likelihood(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how probable the right levels were; nothing where there are no levels or no scores."""
    split, before, after = compared(summary)
    marginal = summary["baselines"][split]["training_marginal"] if split in summary["baselines"] else None
    if not summary["finished"] or not before or not after or not marginal:
        return ()
    when = "before this refit" if summary["refit"] else "before training"
    earlier = f"{number(before['log_likelihood'])} {when}, " if summary["best_iteration"] > 0 else ""
    with_temperature = calibrated(summary, split)
    told = f"{number(after['log_likelihood'])} of the {words(summary).who}"
    if with_temperature is not None:
        told += f" before calibration and {number(with_temperature)} after it, as rationem judge runs it"
    return (
        f"Log-likelihood: {earlier}{told}, "
        f"{number(marginal['log_likelihood'])} of the training marginal, the shares of the levels among the ratings "
        "in training (nats per rating; nearer 0 is better).",
    )


def following(summary: Mapping[str, Any]) -> Coded:
    """Return the next command."""
    if not summary["finished"]:
        return Coded("Next: `rationem fit --output RUN` goes on, where no process is at work.")
    called = words(summary)
    if summary["best_iteration"] == 0:
        return Coded("Next: `rationem show RUN` shows drafts; `rationem check` finds what is wrong with a file.")
    return Coded(f"Next: `rationem judge RUN new.csv -o {called.rated}.csv` to {called.rate} new items.")


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
    if not ceiling or not beside or baselines["rated_twice"] < FEWEST_GROUPS:
        return ""
    return (
        f" Another person agrees with an item's other raters in {of_100(ceiling['accuracy'])}; the judge with the same "
        f"raters in {of_100(beside['accuracy'])}."
    )


def of_100(share: float) -> str:
    """Return a share as a number of 100, for a sentence.

    >>> of_100(0.687)
    '69'
    """
    return f"{100 * share:.0f}"


def interval(scores: Mapping[str, Any], groups: int, key: str = "accuracy") -> str:
    """Return the interval of a number; nothing where :func:`.ends_of` has none."""
    found = ends_of(scores, groups, key)
    return f"95 % interval {_told(found[0], key)} to {_told(found[1], key)}" if found else ""


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
    """Return the leading number and its baselines, each with its interval; nothing before any score."""
    split, before, after = shown(summary)
    if not before or not after:
        return ()
    baselines, key, called = summary["baselines"][split], leading(summary), words(summary)
    groups, best = summary["groups"][split], summary["best_iteration"]
    constant, ceiling, beside = baselines["constant"][key], baselines["human_ceiling"], after["beside_humans"]

    def scored(name: str, scores: Mapping[str, Any]) -> Tile:
        return Tile(
            name, _told(scores[key], key), interval(scores, groups, key), scores[key], ends_of(scores, groups, key)
        )

    def single(name: str, value: float, remark: str = "") -> Tile:
        return Tile(name, _told(value, key), remark, value)

    found = [
        scored(f"{called.who}, iteration {best}, {split}{_OF_TILE[key]}", after),
        *([scored(start_name(summary), before)] if best else []),
        *([] if constant is None else [single(called.constant, constant)]),
        *([] if after["draw_reward"] is None else [single("a single draw", after["draw_reward"])]),
    ]
    if ceiling and beside and baselines["rated_twice"] >= FEWEST_GROUPS:
        same = f"the judge against the same raters: {percent(beside['accuracy'])}"
        found.append(single("one person against the other raters", ceiling["accuracy"], same))
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
    """Return the settings that differ from their defaults, one row each."""
    rows = [
        [key, _value(value), _usual(key)] for key, value in summary["config"].items() if _value(value) != _usual(key)
    ]
    told = "What differs from the defaults. An automatic default depends on the data, the model and the machine."
    table = Table(["setting", "value", "default"], rows)
    return Part("settings", "Settings", (told, table) if rows else ("All settings have their defaults.",))


def every_setting(summary: Mapping[str, Any]) -> Part:
    """Return all settings, one row each."""
    rows = [[key, _value(value)] for key, value in summary["config"].items()]
    return Part("all-settings", "All settings", (Table(["setting", "value"], rows),), level=3, folded=True)


def _usual(key: str) -> str:
    """Return the default of a setting as it is shown; a run by hand may have settings of its own."""
    if key not in FitConfig.model_fields:
        return "–"
    usual = FitConfig.model_fields[key].get_default(call_default_factory=True)
    return "automatic" if usual in (None, (), "", PydanticUndefined) else _value(usual)


def _value(value: Any) -> str:
    if value is None or value in ("", [], ()):
        return "automatic"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


SECTIONS, LAST = (Section(learned), Section(data)), (Section(settings, below=(Section(every_setting),)),)
