"""The section of a report about demonstrations: what stood before the questions of each E-step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rationem.report.part import Block, Part, Section, Table
from rationem.report.plain import counted, short
from rationem.report.tables import number

#: The most characters that are shown of one text.
_SHOWN = 600
_SOURCES = {"file": "your file", "own drafts": "the model's own drafts", "task": "the task's own", "none": "none"}
_HEAD = ("iteration", "source", "drafts that saw some", "shown per draft", "at most", "readable without", "dropped")


def demonstrations(summary: Mapping[str, Any]) -> Part | None:
    """Return what was shown in each iteration, and the last texts; None in a run without demonstrations."""
    found = summary.get("demonstrations")
    if not found:
        return None
    rows = [[str(one["iteration"]), *_cells(one)] for one in found["iterations"]]
    texts = _texts(found["last_shown"], found["texts"])
    blocks: tuple[Block, ...] = (_said(summary["config"]), Table(_HEAD, rows), *texts)
    return Part("demonstrations", "Demonstrations", blocks)


def _cells(one: Mapping[str, Any]) -> Iterator[str]:
    of = f" (of {one['candidates']} scored)" if one["source"] == "own drafts" else ""
    yield _SOURCES[one["source"]] + of
    yield f"{one['drafts']:,}"
    yield number(one["per_draft"], 1)
    yield str(one["count"])
    yield number(one["readable"], 2)
    yield "yes" if one["dropped"] else "no"


def _said(config: Mapping[str, Any]) -> str:
    until = config.get("demos_until")
    ends = f" They are dropped for good once that share reaches {until:g} (--demos-until)." if until else ""
    return (
        "Solved examples stood before the sampled questions, as earlier turns of the chat; training prompts and "
        "evaluations have none. Fewer are shown where the prompt would be too long, and where too few are unrelated to "
        "the question. Where too few own drafts can be shown, the task's own follow. Readable without: the share of "
        f"validation drafts of the weights before, made without demonstrations, that name an answer.{ends}"
    )


def _texts(k: int | None, texts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if k is None:
        yield "No draft saw any."
        return
    yield f"Shown in iteration {k}, the last that showed any:"
    yield from map(_text, texts)


def _text(one: Mapping[str, Any]) -> str:
    name = f"{short(one['name'])}, before {counted(one['drafts'], 'draft', 'drafts')}."
    if one["fields"] is None:
        return f"{name} Its text cannot be made again."
    asked = "; ".join(f"{field}: {short(text, _SHOWN)}" for field, text in one["fields"].items())
    reasons = short(one["rationale"], _SHOWN)
    return f"{name} Asked: {asked} – Rationale: {reasons} – Answer: {short(one['answer'], _SHOWN)}"


SECTIONS = (Section(demonstrations),)
