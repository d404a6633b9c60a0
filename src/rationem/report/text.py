"""A run's summary as Markdown: what was learned, beside what it must be compared with, and where everything went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rationem.metrics import METRICS
from rationem.report import part, sections
from rationem.report.escape import escaped, readable
from rationem.report.inside import inside
from rationem.report.part import Part
from rationem.report.reading import reading
from rationem.report.tables import number, table
from rationem.report.trust import FEW_GROUPS, compared, doubts, start_name
from rationem.report.words import kind_of, leading, words

__all__ = ["doubts", "markdown", "number", "sentence", "table"]


def markdown(summary: Mapping[str, Any]) -> str:
    """Return the report of one run; every number in it is in ``summary``, and its texts stay texts."""
    summary = escaped(summary, how=readable)
    config = summary["config"]
    parts = [
        f"# {config['scheme']} on {config['model']}",
        settings(summary),
        sentence(summary),
        *(f"**{one}**" for one in warnings(summary)),
        *reading(summary),
        f"{sizes(summary)} {chosen(summary)}{tested(summary)}",
        *sections.raters(summary),
    ]
    for split in ("test", "validation"):
        if split in summary["baselines"]:
            parts += [f"## {split.capitalize()}", sections.headline(summary, split)]
            if split == "test" or "test" not in summary["baselines"]:
                parts += _details(summary, split)
    parts += part.markdown(sections.calibration(summary))
    parts += part.markdown(outcomes(summary))
    parts += part.markdown(sections.weights(summary))
    parts += inside(summary)
    return "\n\n".join(parts) + "\n"


def _details(summary: Mapping[str, Any], split: str) -> list[str]:
    averaged = _AVERAGED[kind_of(summary).parts]
    return [
        sections.explained(summary, split),
        *([averaged] if summary["criteria"] else []),
        *part.markdown(sections.pairs(summary, split)),
        *part.markdown(sections.criteria(summary, split)),
        f"## All numbers on {split}",
        sections.full(summary, split),
        *sections.reliability(summary, split),
    ]


#: How numbers that compare items are averaged, by ``Kind.parts``.
_AVERAGED = {
    "": "",
    "criterion": (
        "Correlations and kappas are means over the criteria of each criterion's own number: pooled, they would reward "
        "knowing which criterion is rated high. Everything else is over all items."
    ),
    "subject": ("Kappas are means over the subjects of each subject's own number. Everything else is over all items."),
}


def settings(summary: Mapping[str, Any]) -> str:
    """Return what was run, so that two pages can be told apart."""
    config = summary["config"]
    length = f"{config['epochs']} epochs" if config.get("epochs") else f"{config.get('steps')} steps"
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
    """Return which iteration is taken as the best and why; its number stands between two pairs of asterisks."""
    which = f"Iteration **{summary['best_iteration']}** of {summary['last_iteration']}"
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
    return f"{which} has the best {summary['chosen_by']}.{ended}"


def tested(summary: Mapping[str, Any]) -> str:
    """Return whether the test set was scored once, at the end; empty where it was not scored."""
    if not summary["finished"] or not summary["examples"]["test"]:
        return ""
    return " The test set was scored at the end only."


def warnings(summary: Mapping[str, Any]) -> list[str]:
    """Return why the numbers, or the judge, are not to be relied on; one sentence per reason."""
    count = summary["notes"].get("test_examples_whose_group_is_trained_on", 0)
    shared = f"{count} test examples ask what training examples ask too: the test numbers flatter."
    return [*([shared] if count else []), *doubts(summary), *summary["raters"]["warnings"]]


def outcomes(summary: Mapping[str, Any]) -> Part:
    """Return what became of every training example and of every try, by iteration."""
    return Part("outcomes", "Every example of every iteration", (_accounted(summary),), (("", _accounts(summary)),))


def _accounted(summary: Mapping[str, Any]) -> str:
    steps = [entry["e_step"] for entry in summary["iterations"] if entry.get("e_step")]
    leaked = any("leaked" in step["outcomes"] for step in steps)
    said = words(summary).said
    told = f" Of a leaked one the {said} was accepted, and the draw speaks of the hint or copies it." if leaked else ""
    return (
        "Training examples that are kept are trained on; of exhausted ones no try was accepted. A trial is one try; "
        f"the selector may keep one of several accepted.{told}{_unlikely(steps, said)} Seconds are of the whole "
        "iteration, evaluation included."
        f"{_trained(summary)}"
    )


def _unlikely(steps: Sequence[Mapping[str, Any]], said: str) -> str:
    """Return how often no drawn rationale supports the answer that is trained on; empty where answers are drawn."""
    shares = [f"{one['unlikely_share']:.2f}" for one in steps if one.get("unlikely_share") is not None]
    if not shares:
        return ""
    return (
        f" The drawn {said} is summed out: every rationale weighs by the probability of the right one. Share of "
        f"training examples that no rationale makes likely (below .5), by iteration: {', '.join(shares)}."
    )


def _trained(summary: Mapping[str, Any]) -> str:
    """Return how the M-steps were computed and what went to waste; empty where an M-step does not say."""
    found = [entry["m_step"] for entry in summary["iterations"] if (entry.get("m_step") or {}).get("seconds")]
    if not found:
        return ""
    processes, share = found[-1]["processes"], max(one["share"] for one in found)
    where = f"in {processes} processes, each holding {share:.0%} of the weights or less" if processes > 1 else "alone"
    spent = sum(sum(one["seconds"].values()) for one in found)
    useful = sum(one["trained_tokens"] for one in found) / sum(one["computed_tokens"] for one in found)
    beside = 1 - sum(one["seconds"]["train"] for one in found) / spent
    return (
        f" The M-steps ran {where}, in {found[-1]['precision']}; of their seconds {beside:.1%} went into loading, "
        f"preparing and saving, of the tokens computed {1 - useful:.1%} were padding."
    )


def _accounts(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of states and outcomes: one row per E-step, every example and trial in it."""
    steps = [entry for entry in summary["iterations"] if entry.get("e_step")]
    states = sorted({state for entry in steps for state in entry["e_step"]["states"]})
    outcomes = sorted({outcome for entry in steps for outcome in entry["e_step"]["outcomes"]})
    head = [
        "iteration",
        *states,
        *(f"trials {outcome}" for outcome in outcomes),
        "generated tokens",
        "loss (nats per sample)",
        "seconds",
    ]
    rows = [
        [
            str(entry["iteration"]),
            *(str(entry["e_step"]["states"].get(state, 0)) for state in states),
            *(str(entry["e_step"]["outcomes"].get(outcome, 0)) for outcome in outcomes),
            str(entry["e_step"]["generated_tokens"]),
            number((entry["m_step"] or {}).get("loss")),
            number(sum(entry["seconds"].values()), 1),
        ]
        for entry in steps
    ]
    return head, rows
