"""The sections of a report about what was learned and why: evidence, effects of the hint, which examples were lost,
and the value of more drafts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rationem.report.choice import again
from rationem.report.part import Part, Section, Table
from rationem.report.sections.cost import paid
from rationem.report.tables import number
from rationem.report.trust import iteration_name
from rationem.report.words import kind_of, words

#: Title, kind of drafts, key.
_HINTS = (
    ("{says}, shown it", "hinted", "said_answer"),
    ("{says}, not shown it", "forward", "said_answer"),
    ("p({right}), hint taken away, after a rationale that saw it", "hinted", "answer_given_z"),
    ("p({right}) after a rationale that did not", "forward", "answer_given_z"),
    ("mentions the hint", "hinted", "leaked"),
    ("share of {right} in its rationale, in one run of words, shown it", "hinted", "copied"),
    ("share of {right} in its rationale, in one run of words, not shown it", "forward", "copied"),
    ("share of {right} in its answer, in one run of words, shown it", "hinted", "answer_copied"),
    ("share of {right} in its answer, in one run of words, not shown it", "forward", "answer_copied"),
    ("tokens per completion, shown it", "hinted", "tokens"),
    ("tokens per completion, not shown it", "forward", "tokens"),
    ("entropy per token (nats), shown it", "hinted", "entropy_per_token"),
    ("entropy per token (nats), not shown it", "forward", "entropy_per_token"),
    ("true of the texts, shown it", "hinted", "faithful"),
    ("true of the texts, not shown it", "forward", "faithful"),
)

_POSTERIOR = ("ess_share", "divergence", "divergence_covered")

_Entry = Mapping[str, Any]


def learning(summary: Mapping[str, Any]) -> Part:
    """Return the heading above the sections on the course of learning."""
    told = (
        f"Nothing below is needed to use the {words(summary).who}; it is for those who want to know why it learned "
        "what it learned."
    )
    return Part("learning", "How the learning went: evidence and hints", (told,))


def evidence(summary: Mapping[str, Any]) -> Part | None:
    """Return the evidence on validation; None where it was not measured."""
    measured = [(entry["iteration"], entry["evidence"]) for entry in summary["iterations"] if entry["evidence"]]
    if not measured:
        return None
    hinted = measured[0][1]["hinted_draws"] > 0
    head = ["", "raw", *(["importance-weighted (IWAE)", "all draws together"] if hinted else [])]
    head += ["score", "standard error", "truth at least (95 % sure)"]
    head += ["effective share of hinted draws", "distance from the posterior, at least", "covered"] if hinted else []
    on_test = [
        [iteration_name(summary, entry["iteration"]), *_evidence_cells(record, hinted=hinted)]
        for entry in summary["iterations"]
        if (record := (entry.get("test") or {}).get("evidence"))
    ]
    rows = [[iteration_name(summary, k), *_evidence_cells(record, hinted=hinted)] for k, record in measured]
    said = " ".join([*_evidence_said(measured[0][1], summary), *again(summary)])
    test = (_ON_TEST, Table(head, on_test)) if on_test else ()
    return Part("evidence", "Evidence on validation", (said, Table(head, rows), *test), level=3)


_ON_TEST = (
    "The same on test, of the base model and of the chosen iteration. The iteration was not chosen on these items, so "
    "no number is too high for that reason, and the bounds hold."
)


def exact(summary: Mapping[str, Any]) -> Part | None:
    """Return the certified bounds of the evidence; None if nothing was enumerated."""
    found = [(entry["iteration"], entry["exact"]) for entry in summary["iterations"] if entry.get("exact")]
    if not found:
        return None
    called = words(summary)
    head = ["", "at least", "at most", "items", "of them without a lower bound", "posterior missing, at most"]
    rows = [
        [
            *(iteration_name(summary, k), number(one["lower"]), number(one["upper"]), str(one["items"])),
            *(str(one["without_lower"]), number(one["missing"])),
        ]
        for k, one in found
    ]
    said = (
        "For some test items all rationales were enumerated whose prefixes are probable enough (--enumerate-above). "
        f"The mean log p of {called.right}, in nats, lies between these bounds with certainty. If no enumerated "
        f"rationale leads to an item's {called.said}, the mean has no lower bound; the bound of the other items is "
        "shown instead. Missing: at most this share of an item's posterior lies on rationales that were not "
        "enumerated; --scheme exact never draws them."
    )
    return Part("exact", "Evidence by enumeration, on test", (said, Table(head, rows)), level=3)


def _evidence_said(record: _Entry, summary: Mapping[str, Any]) -> Iterator[str]:
    forward, hinted, called = record["forward_draws"], record["hinted_draws"], words(summary)
    chooses = summary["chosen_by"] == "score (validation)"
    yield (
        f"Evidence: the mean log p of {called.right}, summed over rationales, over {record['items']} items, in nats; "
        "nearer 0 is better."
    )
    if record["too_long"]:
        yield f"Items left out because a prompt is too long: {record['too_long']}."
    weighted = (
        f"; importance-weighted: from {hinted} hinted ones too, each weighted by its probability without the hint"
        if hinted
        else ""
    )
    drawn = f"{forward} rationale{'s' * (forward != 1)}"
    yield f"Raw: from {drawn} per item, drawn without a hint{weighted}."
    if hinted and record["hinted_items"] < record["items"]:
        yield (
            f"{record['hinted_items']} of the {record['items']} items have hinted drafts; the numbers of hinted drafts "
            "are over these items."
        )
    yield (
        "For a fixed iteration these estimates are too low on average, and less so with more draws. The best iteration "
        "was chosen by the same draws, so its numbers here are too high, and so is its 95 % bound."
    )
    yield (
        f"The score{', by which the iteration was chosen,' if chooses else ''} adds one draw that says "
        f"{called.prior} to the draws of every item, so that items without a right draw have a finite value; it is "
        "not a bound."
    )
    if hinted:
        yield (
            "The effective share is 1 if hinted rationales are distributed like the unhinted ones that reach the same "
            f"{called.said} (the posterior). The distance from the posterior (Kullback-Leibler, nats; a bound below 0 "
            "says nothing) is that of the accepted hinted draws, on the share of items that is covered."
        )


def _evidence_cells(record: _Entry, *, hinted: bool) -> Iterator[str]:
    yield _or_zeros(record["raw"], record["raw_zero"])
    if hinted:
        yield _or_zeros(record["iwae"], record["iwae_zero"])
        yield _or_zeros(record["mixture"], record["zero"])
    for key in ("score", "standard_error", "lower_bound_95", *(_POSTERIOR if hinted else ())):
        yield number(record[key])


def _or_zeros(value: float | None, zeros: int) -> str:
    """Return a mean of logarithms, or the reason why there is none.

    >>> _or_zeros(-1.5, 0), _or_zeros(None, 3), _or_zeros(None, 0)
    ('-1.500', '– (3 items at 0)', '–')
    """
    return f"– ({zeros} item{'s' * (zeros != 1)} at 0)" if value is None and zeros else number(value)


def hints(summary: Mapping[str, Any]) -> Part | None:
    """Return the effects of the hint on validation; None where they were not measured."""
    found = [entry for entry in summary["iterations"] if entry["hints"]]
    if not found:
        return None
    looked_for = summary["config"].get("leak_filter") != "off"
    called = words(summary)
    rows = [
        [title.format(right=called.right, says=called.says), *(number(entry["hints"][kind][key]) for entry in found)]
        for title, kind, key in _HINTS
        if (looked_for or key != "leaked") and any(entry["hints"][kind][key] is not None for entry in found)
    ]
    wrong = max(entry["hints"]["wrong_hints"] for entry in found)
    if wrong:
        cells = [number(entry["hints"]["wrong_justified"]) for entry in found]
        rows.insert(2, [f"justifies a wrong {called.said}, shown that ({wrong} items)", *cells])
    matched = [entry["matched_length"] or {} for entry in found]
    if any(one.get("accuracy") is not None for one in matched):
        rows.append([called.at_lengths, *(number(one.get("accuracy")) for one in matched)])
    said = (
        f"Rationales sampled with {_a(called.said)} as a hint. A model that reasons rarely justifies a wrong "
        f"{called.said}; a model that justifies any hint nearly always does."
    )
    title = f"What showing the {called.said} does, on validation"
    return Part("hints", title, (said, Table(["", *(_of(summary, found))], rows)), level=3)


def _a(noun: str) -> str:
    return f"a{'n' * (noun[0] in 'aeiou')} {noun}"


def _of(summary: Mapping[str, Any], entries: Sequence[_Entry]) -> list[str]:
    return [iteration_name(summary, entry["iteration"]) for entry in entries]


def by_label(summary: Mapping[str, Any]) -> Part | None:
    """Return which answers' examples are lost; None without levels or E-steps."""
    found = [entry for entry in _first_and_last(summary) if entry["e_step"]["by_label"]]
    if not found:
        return None
    called = words(summary)
    each = [entry["e_step"]["by_label"] for entry in found]
    rows = [
        [
            one[0]["level"],
            number(one[0]["examples"]),
            *(number(part[key]) for part in one for key in ("first_accepted", "kept_share", "draws_per_kept")),
        ]
        for one in zip(*each, strict=True)
    ]
    head, titles = [called.said, "training examples"], ("first draw accepted", "kept", "draws per kept")
    for entry in found:
        head += [f"{title}, iteration {entry['iteration']}" for title in titles]
    said = (
        f"Of the training examples with each {called.said}: the share whose first draw was accepted, and the share "
        "that was kept."
    )
    return Part("by-label", "Acceptance by label", (said, Table(head, rows)), level=3)


def by_difficulty(summary: Mapping[str, Any]) -> Part | None:
    """Return whether hard examples are learned from; None where difficulty was not measured."""
    found = [entry for entry in _first_and_last(summary) if entry["e_step"]["by_difficulty"]]
    if not found or not found[0]["e_step"]["by_difficulty"]["bins"]:
        return None
    each = [entry["e_step"]["by_difficulty"]["bins"] for entry in found]
    rows = [
        [
            f"{one[0]['low']:.2g} to {one[0]['high']:.2g}",
            number(one[0]["examples"]),
            *(number(part["kept_share"]) for part in one),
            number(one[-1]["never_share"]),
        ]
        for one in zip(*each, strict=True)
    ]
    of = [f"kept in iteration {entry['iteration']}" for entry in found]
    unmeasured = found[0]["e_step"]["by_difficulty"]["unmeasured"]
    called = words(summary)
    rest = f" {unmeasured} training examples were not measured." if unmeasured else ""
    said = (
        f"Training examples in quarters, from hard to easy, by the base model's probability of {called.right}: how "
        f"many of each are ever kept.{rest}"
    )
    head = [f"p({called.right}), base model", "training examples", *of, "never kept so far"]
    return Part("by-difficulty", "Acceptance by difficulty", (said, Table(head, rows)), level=3)


def _first_and_last(summary: Mapping[str, Any]) -> list[_Entry]:
    found = paid(summary)
    return found[:1] + found[1:][-1:]


def by_draws(summary: Mapping[str, Any]) -> Part | None:
    """Return the value of more drafts per test item; None where the test set was not drawn for."""
    wanted = {0, summary["best_iteration"]}
    found = [
        (iteration_name(summary, entry["iteration"]), row)
        for entry in summary["iterations"]
        if entry["iteration"] in wanted and entry.get("test")
        for row in entry["test"]["by_draws"] or ()
    ]
    if not found:
        return None
    columns, said = _more_draws(summary)
    rows = [[name, *(number(row[key]) for _, key in columns)] for name, row in found]
    head = ["", *(title for title, _ in columns)]
    return Part("by-draws", "More rationales at test time", (said, Table(head, rows)), level=3)


def _more_draws(summary: Mapping[str, Any]) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return title and key of the columns, and their explanation."""
    columns, said = _MORE_DRAWS[kind_of(summary).page]
    called = words(summary)
    told = f"The gain from more rationales per test item: {said.format(said=called.said, who=called.who)}"
    return (("rationales N", "draws"), *columns), told


_CHOSEN = "which only someone who knows the answer could choose."
_VOTE, _MET = ("majority vote", "majority_vote"), ("one of N is right (pass@N)", "pass")
#: Columns and their explanation, by ``Kind.page``.
_MORE_DRAWS: dict[str, tuple[tuple[tuple[str, str], ...], str]] = {
    "levels": (
        (_VOTE, ("averaged", "averaged"), ("averaged: log-likelihood", "averaged_log_likelihood"), _MET),
        "the accuracy of the {said} that most of N say; of the most probable one after averaging over N, which is "
        f"what the {{who}} does; and how often at least one of N is right, {_CHOSEN}",
    ),
    "answers": (
        (_VOTE, _MET),
        f"the accuracy of the answer that most of N say; and how often at least one of N is right, {_CHOSEN}",
    ),
    "rewards": (
        (("agreed on: mean reward", "consensus"), ("best of N: mean reward", "best")),
        f"the mean reward of the answer that N of them agree with most; and of the best of N, {_CHOSEN}",
    ),
}

_BELOW = (evidence, exact, hints, by_label, by_difficulty, by_draws)
SECTIONS = (Section(learning, below=tuple(map(Section, _BELOW))),)
