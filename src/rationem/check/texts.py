"""The texts: how long the prompts are for the model, rows that cannot be used, and control tokens in texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rationem import progress
from rationem.check.cost import Sizes, mean
from rationem.check.findings import SHOWN, Finding, error, note, warning
from rationem.data.cells import UnknownRating
from rationem.data.unusable import tally
from rationem.engines.chat import Chat
from rationem.errors import BrokenFile, DataError
from rationem.report.plain import counted, plain, short
from rationem.sampling.schemes import Scheme
from rationem.tasks.protocol import Task
from rationem.tasks.scale import MARKER, Scale
from rationem.types import Example, Prompt, Splits

#: Characters per token of English text, a common rule of thumb, used without a tokenizer.
CHARACTERS_PER_TOKEN = 4
_CONTROL = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>|\[/?INST\]|<</?SYS>>|</?(?:think|tool_call)>"
)
#: Share of over-long prompts that is an error.
MANY_LOST = 0.05


def unusable(
    skipped: Sequence[DataError], rows: int, scale: Scale, *, left_out: bool = False
) -> tuple[dict[str, Any], list[Finding]]:
    """Count the unusable rows by reason and by invalid rating, and name the first of them.

    Args:
        skipped: the errors of the unusable rows.
        rows: the number of all rows.
        scale: the levels.
        left_out: whether a fit leaves such rows out (``skip_unusable``) instead of rejecting the data.
    """
    told = [_apart(str(problem)) for problem in skipped]
    reasons = Counter(reason for _, reason in told)
    values = Counter(problem.value for problem in skipped if isinstance(problem, UnknownRating))
    section = {
        "rows": rows,
        "unusable": len(skipped),
        "reasons": dict(reasons.most_common()),
        "values": dict(values.most_common()),
        "first": [{"source": source, "reason": reason} for source, reason in told[:SHOWN]],
    }
    if not skipped:
        return section, []
    them = "it" if len(skipped) == 1 else "them"
    fate = f"a fit rejects {them}: correct or remove {them}, or leave {them} out with --skip-unusable."
    broken = any(isinstance(problem, BrokenFile) for problem in skipped)
    if broken:
        fate = "a file breaks off, so a fit rejects the data: what lies behind that place is unknown."
    elif left_out:
        fate = f"a fit leaves {them} out (--skip-unusable)."
    text = f"{len(skipped)} of {counted(rows, 'row', 'rows')} cannot be used; {fate}"
    text += "".join(f" {plain(one)}" for one in _tallies(skipped, scale))
    tell = warning if left_out and not broken else error
    return section, [tell("unusable_rows", text, len(skipped), [plain(str(problem)) for problem in skipped])]


def _tallies(skipped: Sequence[DataError], scale: Scale) -> Iterator[str]:
    """Yield the tally of the invalid ratings; of each criterion, if they have their own scales."""
    unknown = [problem for problem in skipped if isinstance(problem, UnknownRating)]
    for name in dict.fromkeys(problem.criterion if scale.parts else "" for problem in unknown):
        values = Counter(problem.value for problem in unknown if not scale.parts or problem.criterion == name)
        told = tally(values, scale.of(name))
        yield f"Criterion {name!r}: {told[0].lower()}{told[1:]}" if name else told


@dataclass(frozen=True, slots=True)
class Room:
    """Limits in tokens of a prompt and of a completion, and whether longer prompts are truncated to fit."""

    prompt: int
    completion: int
    elide: bool = False


def lengths(
    splits: Splits, task: Task, scheme: Scheme, chat: Chat | None, room: Room
) -> tuple[dict[str, Any], Sizes, list[Finding]]:
    """Measure every prompt of a fit against the length limit.

    Args:
        splits: the three sets; training items also have hinted prompts if the scheme shows hints.
        task: gives the prompts.
        scheme: its plan determines the prompts.
        chat: counts tokens exactly; None estimates them from the characters.
        room: the limits.

    Returns:
        The lengths by set, the sizes for the cost, and the findings.
    """
    limit, shows_hint = room.prompt, any(proposal.prompt == "rationalize" for proposal in scheme.plan)
    count = counter(chat)
    forward, hinted = {}, {}
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    hints = splits.train if shows_hint else ()
    with progress.track("measuring the prompts", sum(map(len, parts.values())) + len(hints)) as advance:
        for name, part in parts.items():
            forward[name] = [_stepped(advance, count(task.prompt(x.fields))) for x in part]
        hinted["train"] = [_stepped(advance, count(task.hint_prompt(x.fields, x.answer))) for x in hints]
    longest = {
        name: [max(pair) for pair in zip(values, hinted.get(name) or values, strict=True)]
        for name, values in forward.items()
    }
    section = {
        "exact": chat is not None,
        "limit": limit,
        "completion_cut": room.completion,
        "sets": {name: summary(forward[name], longest[name], limit) for name in parts},
        "hinted_mean": round(mean(hinted["train"]), 1) if shows_hint else None,
    }
    fitting = {name: [min(n, limit) for n in values if n <= limit or room.elide] for name, values in longest.items()}
    sizes = Sizes(
        **{name: len(values) for name, values in fitting.items()},
        forward=mean([min(value, limit) for values in forward.values() for value in values]),
        hinted=mean([min(value, limit) for value in hinted["train"]]),
        longest=max((n for values in fitting.values() for n in values), default=limit),
        cut=room.completion,
    )
    return section, sizes, _too_long(parts, longest, room, chat is not None)


def control(
    examples: Sequence[Example], chat: Chat | None, marker: str = MARKER
) -> tuple[dict[str, Any], list[Finding]]:
    """Count texts that contain a chat template's control tokens, or the verdict marker.

    With a model its own control tokens are searched for, otherwise those of common families.
    """
    pattern = _own_control(chat) if chat else _CONTROL
    found: Counter[str] = Counter()
    held, marked = [], []
    for x in examples:
        strings = {match[0] for text in x.fields.values() for match in (pattern.finditer(text) if pattern else ())}
        found.update(strings)
        held += [x] if strings else []
        marked += [x] if any(marker.casefold() in text.casefold() for text in x.fields.values()) else []
    section = {"texts": len(held), "strings": dict(found.most_common()), "verdict_marker": len(marked)}
    findings = []
    if held:
        shown = ", ".join(short(string) for string, _ in found.most_common(SHOWN))
        text = f"{counted(len(held), 'item holds', 'items hold')} control tokens of chat templates ({shown})."
        told = f"{text} rationem encodes them as plain text, never as control tokens."
        findings.append(note("control_strings", told, len(held), _places(held)))
    if marked:
        text = f"{counted(len(marked), 'item holds', 'items hold')} {marker!r}, the verdict marker, in a text."
        told = f"{text} Only completions are searched for it. Check that the text does not give the answer away."
        findings.append(warning("verdict_marker", told, len(marked), _places(marked)))
    return section, findings


def counter(chat: Chat | None) -> Callable[[Prompt], int]:
    """Return a function that counts the tokens of a prompt, or estimates them without a tokenizer."""

    def estimate(prompt: Prompt) -> int:
        return -(-len(prompt.whole) // CHARACTERS_PER_TOKEN)

    return estimate if chat is None else lambda prompt: len(chat.encode(prompt))


def _stepped(advance: Any, value: int) -> int:
    advance(1)
    return value


def summary(forward: Sequence[int], longest: Sequence[int], limit: int) -> dict[str, Any]:
    """Return mean, median, 95th percentile and maximum of the forward prompts, and the number of over-long items."""
    ordered = sorted(forward)
    return {
        "mean": round(mean(ordered), 1),
        "median": ordered[len(ordered) // 2] if ordered else None,
        "p95": ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)] if ordered else None,
        "max": ordered[-1] if ordered else None,
        "too_long": sum(value > limit for value in longest),
    }


def _too_long(
    parts: Mapping[str, Sequence[Example]], longest: Mapping[str, Sequence[int]], room: Room, exact: bool
) -> list[Finding]:
    over = [(x, n) for name, part in parts.items() for x, n in zip(part, longest[name], strict=True) if n > room.prompt]
    total = sum(map(len, parts.values()))
    if not over:
        return []
    about = "" if exact else "about "
    fate = "the middle of the response is removed and marked (--elide)."
    if not room.elide:
        fate = (
            "left out of training, scored as unparsed. Raise --max-prompt-tokens up to the model's context length, "
            "or shorten the responses (--elide)."
        )
    have = "has" if len(over) == 1 else "have"
    text = f"{len(over)} of {counted(total, 'prompt', 'prompts')} {have} more than {about}{room.prompt} tokens: {fate}"
    tell = note if room.elide else error if len(over) == total else warning if len(over) > MANY_LOST * total else note
    places = dict.fromkeys(f"{plain(x.source or x.id)}: {about}{n} tokens" for x, n in over)
    return [tell("too_long", text, len(over), list(places))]


def _own_control(chat: Chat) -> re.Pattern[str] | None:
    added = [token for token in chat.tokenizer.get_added_vocab() if len(token.strip()) > 1]
    return re.compile("|".join(re.escape(token) for token in sorted(added, key=len, reverse=True))) if added else None


def _places(examples: Sequence[Example]) -> list[str]:
    return [plain(x.source or x.id) for x in examples]


def _apart(message: str) -> tuple[str, str]:
    """Split a row's error into its place and its reason without the row's own values."""
    source, _, reason = message.partition(": ")
    sentence = re.split(r"(?<=[.!?])\s", reason, maxsplit=1)[0]
    return source, re.sub(
        r"^(in column '[^']*', )?('[^']*'|\"[^\"]*\") is not a level", r"\1a value is not a level", sentence
    )
