"""Open answers: their number, the frequent ones, whether an input contains them, and two example prompts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rationem.check.columns import Evidence, as_text, evidence_of, read_in_order
from rationem.check.findings import Finding, error, warning
from rationem.report.plain import plain, short
from rationem.seeds import generator
from rationem.tasks.protocol import Task
from rationem.types import Example

_FREQUENT, _MANY, _CHARACTERS = 8, 0.5, 60
_BLANKS = re.compile(r"\s+")


def answers(parts: Mapping[str, Sequence[Example]], task: Task) -> dict[str, Any]:
    """Return statistics of the answers, and the forward and the rationalize prompt of the first item.

    Returns:
        By set ``read``, ``distinct``, ``longest`` (characters) and ``most_frequent`` (answer -> items); ``reward``, the
        name of the reward; ``forward`` and ``hinted``.
    """
    first = next(x for part in parts.values() for x in part)
    return {
        "reward": task.describe()["reward"],
        "sets": {name: _read(part) for name, part in parts.items()},
        "forward": task.prompt(first.fields).text,
        "hinted": task.hint_prompt(first.fields, first.answer).text,
    }


def _read(examples: Sequence[Example]) -> dict[str, Any]:
    counts = Counter(x.answer for x in examples)
    return {
        "read": len(examples),
        "distinct": len(counts),
        "longest": max((len(answer) for answer in counts), default=0),
        "most_frequent": dict(counts.most_common(_FREQUENT)),
    }


def constant(examples: Sequence[Example]) -> list[Finding]:
    """Find answers that hardly vary."""
    ((answer, most),) = Counter(x.answer for x in examples).most_common(1)
    if most == len(examples) > 1:
        return [error("one_label", f"Every item has the answer {short(answer)}: there is nothing to learn.", most)]
    if most >= _MANY * len(examples) and len(examples) > 1:
        share = f"{most / len(examples):.0%} of the items have the answer {short(answer)}"
        return [warning("near_constant_label", f"{share}: a model that always gives it is right as often.", most)]
    return []


def look(
    examples: Sequence[Example], inputs: Mapping[str, str], unused: Mapping[str, Mapping[str, object]]
) -> list[Evidence]:
    """Return the evidence on every input and on every unused column, inputs first.

    A cell names the answer if it contains the whole answer as separate words. Chance is the share for the same cells
    with the answers assigned to the items at random, once, by a fixed seed.
    """
    seen, order = read_in_order(examples, inputs)
    read = [(inputs.get(field, field), field, [x.fields.get(field, "") for x in seen]) for field in order]
    others = [(name, None, [as_text(cells.get(x.source)) for x in seen]) for name, cells in unused.items()]
    return [_weigh(column, role, texts, seen) for column, role, texts in (*read, *others)]


def _weigh(column: str, role: str | None, texts: Sequence[str], examples: Sequence[Example]) -> Evidence:
    pairs = [(text, x) for text, x in zip(texts, examples, strict=True) if text.strip()]
    dealt = generator(0, "doctor", "answers").permutation(len(pairs))
    count = max(len(pairs), 1)
    cells = [_folded(text) for text, _ in pairs]
    said = [_folded(x.answer) for _, x in pairs]
    return evidence_of(
        column,
        role,
        pairs,
        is_label=sum(cell == answer for cell, answer in zip(cells, said, strict=True)) / count,
        names_label=sum(map(_holds, cells, said)) / count,
        names_by_chance=sum(_holds(cell, said[at]) for cell, at in zip(cells, dealt, strict=True)) / count,
    )


def _folded(text: str) -> str:
    return _BLANKS.sub(" ", text).strip().casefold()


def _holds(cell: str, answer: str) -> bool:
    """Say whether a cell contains an answer as separate words: not "4" in "24" or "4.5"."""
    at = cell.find(answer)
    while at >= 0:
        before, after = cell[:at], cell[at + len(answer) :]
        if not re.search(r"[\w.,-]$", before) and not re.match(r"[\w-]|[.,]\d", after):
            return True
        at = cell.find(answer, at + 1)
    return False


def shown(found: Mapping[str, Any]) -> list[str]:
    """Return the lines that show the statistics of the answers."""
    lines = [f"reward: {found['reward']}"]
    for name, part in found["sets"].items():
        size = f"up to {part['longest']} characters"
        lines.append(f"{name}: {part['read']} answers, {part['distinct']} different, {size}")
        frequent = ", ".join(
            f"{short(answer, _CHARACTERS)} ({count})" for answer, count in part["most_frequent"].items() if count > 1
        )
        lines += [f"  most frequent: {frequent}"] if frequent else ["  no answer occurs twice"]
    return lines


def prompts(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of the two prompts."""
    return ["forward:", *_indented(found["forward"]), "hinted:", *_indented(found["hinted"])]


def _indented(text: str) -> list[str]:
    return [f"  {plain(line)}" for line in text.splitlines()]
