"""The sections of a report about what a run took: tokens and seconds, and the hand-over of weights to the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rationem.report.part import Part, Section, Table
from rationem.report.tables import number
from rationem.report.trust import iteration_name, start_name

_Entry = Mapping[str, Any]


def paid(summary: Mapping[str, Any]) -> list[_Entry]:
    """Return the iterations with a finished E-step."""
    return [entry for entry in summary["iterations"] if (entry.get("e_step") or {}).get("cost")]


def cost(summary: Mapping[str, Any]) -> Part:
    """Return the cost of the drafts for training, what it bought, and the seconds of every phase."""
    said = f"In all {number(summary['seconds'], 1)} seconds, evaluation included."
    drawn = (_bought(summary), _drawn(summary)) if paid(summary) else ()
    return Part("cost", "Cost", (*drawn, *_encoded(summary), said, _phases(summary)))


def _bought(summary: Mapping[str, Any]) -> str:
    return (
        "The cost of the draws for training, per kept example and per nat gained. Passes: how often the M-step trained "
        f"on a kept example. Nats gained: the score (validation) minus that of the {start_name(summary)}; the tokens "
        "and seconds per nat count all iterations up to this one."
    )


def _drawn(summary: Mapping[str, Any]) -> Table:
    prices = {one["iteration"]: one for one in summary["per_nat"]}
    found = paid(summary)
    weighted = any(entry["e_step"]["cost"]["scored_tokens"] for entry in found)
    head = ["iteration", "prompt tokens", "generated tokens", *(["tokens scored for weights"] if weighted else [])]
    head += ["seconds of drawing", "examples kept", "prompt tokens per kept", "generated per kept", "seconds per kept"]
    head += ["passes per kept", "nats gained", "generated tokens per nat gained", "seconds per nat gained"]
    rows = [
        [
            str(entry["iteration"]),
            *_cost_cells(entry["e_step"]["cost"], weighted=weighted),
            number(entry["e_step"]["passes"], 1),
            *_price_cells(prices[entry["iteration"]]),
        ]
        for entry in found
    ]
    return Table(head, rows, "draws for training")


def _cost_cells(spent: _Entry, *, weighted: bool) -> Iterator[str]:
    for key in ("prompt_tokens", "generated_tokens", *(["scored_tokens"] if weighted else [])):
        yield number(spent[key])
    yield number(spent["seconds"], 1)
    yield number(spent["kept_examples"])
    for key in ("prompt_tokens", "generated_tokens"):
        yield number(spent["per_kept"][key], 1)
    yield number(spent["per_kept"]["seconds"], 3)


def _price_cells(price: _Entry) -> Iterator[str]:
    yield number(price["gained"])
    yield price["reason"] or number(price["generated_tokens"], 0)
    yield number(price["seconds"], 1)


def handover(summary: Mapping[str, Any]) -> Part | None:
    """Return what the hand-over of weights took, and the proof that they arrived; None without any."""
    found = [entry for entry in summary["iterations"] if entry["handover"]]
    if not found:
        return None
    rows = [
        [
            iteration_name(summary, entry["iteration"]),
            entry["handover"]["how"],
            number(entry["seconds"]["handover"], 1),
            number(entry["seconds"]["handover"] / sum(entry["seconds"].values())),
            *(f"{entry['handover'][key]:.2g}" for key in ("largest", "mean")),
            *(number(entry["handover"][key]) for key in ("moved", "share")),
        ]
        for entry in found
    ]
    said = (
        "Each iteration's weights are handed to the engine. The check that they arrived: its log-probabilities of "
        "fixed texts beside those that transformers computes from the checkpoint, nats per token; how far training "
        "moved them, and the share of that change which the engine shows (1: the new weights)."
    )
    head = ["", "how", "seconds", "share of the iteration's", "largest difference", "mean", "moved by training"]
    return Part("handover", "Hand-over of weights", (said, Table([*head, "share of the step"], rows)), level=3)


def _encoded(summary: Mapping[str, Any]) -> list[str]:
    counts = [(entry["e_step"]["encoded"], entry["e_step"]["drawn"]) for entry in summary["iterations"][1:]]
    encoded, drawn = (sum(part) for part in zip(*counts, strict=True)) if counts else (0, 0)
    if not encoded:
        return []
    return [
        f"Of {drawn} draws for training, {encoded} came as text without token ids (of a teacher, or a server that "
        "sends none). They were encoded once with the model's tokenizer; nothing was weighted by them."
    ]


def _phases(summary: Mapping[str, Any]) -> Table:
    phases = list(dict.fromkeys(phase for entry in summary["iterations"] for phase in entry["seconds"]))
    rows = [
        [
            start_name(summary) if entry["iteration"] == 0 else f"iteration {entry['iteration']}",
            *(number(entry["seconds"].get(phase), 1) for phase in phases),
            number(sum(entry["seconds"].values()), 1),
        ]
        for entry in summary["iterations"]
    ]
    return Table(["", *(phase.replace("_", "-") for phase in phases), "all"], rows, "seconds of every phase")


SECTIONS = (Section(cost), Section(handover))
