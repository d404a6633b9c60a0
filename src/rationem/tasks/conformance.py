"""The requirements on every task: ``rationem task check``, and ``check_task`` for a user's own tests.

no leak       forward(x) is the same whatever answer was asked about before, holds no answer that x does not hold, and
              no input is y* itself
the hint      rationalize(x, y*) is forward(x) and something behind it that says y*
parse         total: no text makes it fail, and what it answers it answers again
round trip    parse(format(z, y)) = (z, y), and a canonical answer is read as itself
reward        in [0, 1] for any two answers, 1 for equal ones
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from rationem.errors import ConfigError
from rationem.tasks.protocol import Task
from rationem.types import Example, Fields

#: Texts that often break readers: empty, blank, cut off, long, in another script, half an answer, an answer twice.
_TEXTS = (
    "",
    " ",
    "\n",
    "\n\n\n",
    "\x00",
    "\r\n\t",
    "{MARKER}",
    "{MARKER} ",
    "{MARKER}\n",
    "{MARKER}{MARKER}",
    "{MARKER} -",
    "{MARKER} **",
    "{MARKER} 1e999999999",
    "{MARKER} 1/0",
    "{MARKER} " + "9" * 5000,
    "{MARKER} " + "(" * 300,
    "{MARKER} ٣ or ３",
    "{MARKER} 🙂\u202e",
    "{MARKER} \u3000",
    "{MARKER} a\u2028b\x0bc\x85d",
    "{MARKER} <script>alert(1)</script>",
    "{MARKER} {{ prompt }} {% raw %}",
    "no {MARKER} here",
    "why\n{MARKER} a\n{MARKER} b",
    "why\n**{MARKER}** 1",
    "a" * 10_000,
)
#: Answers to use if the examples have none of the task's.
_ANSWERS = ("12", "-3", "yes", "A", "the cat sat on the mat", "0")
_RATIONALES = ("", "first this, then that", "two\nlines", "with 12 in it")
_MANY, _FEW = 20, 10
#: The wording of the most serious finding.
LEAKS = "the answer leaks into training"


def check_task(task: Task, examples: Sequence[Example] = ()) -> list[str]:
    """Return the requirements that a task breaks, one sentence each; empty if all hold.

    Args:
        task: any task.
        examples: some of its items; without any, inputs are made up.

    >>> from rationem.tasks.answer import maths
    >>> check_task(maths())
    []
    """
    try:
        answers = _answers(task, examples)
    except ConfigError as error:
        return [str(error)]
    items = [x.fields for x in examples[:_MANY]] or [_made_up(task)]
    if not answers:
        return ["No answer is known that this task reads: read() returns None for all of the examples' answers."]
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _prompts(task, items, answers),
        lambda: _inputs(task, items[0]),
        lambda: _given_away(task, examples),
        lambda: _parse(task),
        lambda: _round_trip(task, answers),
        lambda: _rewards(task, answers),
    )
    return list(dict.fromkeys(sentence for check in checks for sentence in _told(check)))


def _told(check: Callable[[], Iterator[str]]) -> Iterator[str]:
    """Yield the findings of a check; an exception of a user's class is a finding too."""
    try:
        yield from check()
    except ConfigError as error:  # an exception of a user's class is a finding
        yield str(error)


def _prompts(task: Task, items: Sequence[Fields], answers: Sequence[str]) -> Iterator[str]:
    for fields in items:
        before = task.prompt(fields).text
        if not before.strip():
            yield "prompt() returns no text."
        if task.prompt(fields).text != before:
            yield "prompt() returns another text when it is asked again; a prompt is a function of the fields alone."
        given = " ".join(fields.values())
        for answer in answers[:_MANY]:
            hinted = task.hint_prompt(fields, answer).text
            if not hinted.startswith(before):
                yield "hint_prompt() does not begin with prompt(): the hint must follow the same question."
            elif answer not in hinted[len(before) :]:
                yield f"hint_prompt() does not state the answer {answer!r} after the question."
            after = task.prompt(fields).text
            if after != before:
                yield f"prompt() changes once hint_prompt() was shown an answer: {LEAKS}."
                return
        secret = _secret(given + before)
        task.hint_prompt(fields, secret)
        if secret in task.prompt(fields).text:
            yield f"prompt() shows an answer that hint_prompt() was given: {LEAKS}."
        if task.marker not in before:
            yield f"prompt() never says {task.marker!r}, so no model would end with it."


def _secret(text: str) -> str:
    secret = "SECRET"
    while secret in text:
        secret += "X"
    return secret


def _inputs(task: Task, fields: Fields) -> Iterator[str]:
    for name in task.inputs:
        changed = {**fields, name: f"{fields.get(name, '')} something else"}
        if task.prompt(changed).text == task.prompt(fields).text:
            yield f"prompt() does not change with the input {name!r}: the model is not asked about it."


def _given_away(task: Task, examples: Sequence[Example]) -> Iterator[str]:
    """Yield the inputs that equal y* in nine of ten items or more; with few items this may be chance."""
    if task.levels or len(examples) < _FEW:
        return
    for name in task.inputs:
        same = sum(task.read(x.fields.get(name, "")) == x.answer for x in examples)
        if same >= 0.9 * len(examples):
            yield f"The input {name!r} is the right answer itself in {same} of {len(examples)} items: {LEAKS}."


def _parse(task: Task) -> Iterator[str]:
    for text in (text.replace("{MARKER}", task.marker) for text in _TEXTS):
        parsed = task.parse(text)
        if parsed != task.parse(text):
            yield f"parse() reads {text[:40]!r} in two ways."
        if (parsed.answer is None) != (parsed.problem is not None):
            yield f"parse() of {text[:40]!r} gives neither an answer nor a reason why there is none."
        if task.marker not in text and parsed.answer is not None:
            yield f"parse() finds {parsed.answer!r} in {text[:40]!r}, where no line begins with {task.marker!r}."


def _round_trip(task: Task, answers: Sequence[str]) -> Iterator[str]:
    for answer in answers:
        for rationale in _RATIONALES:
            text = task.format(rationale, answer)
            parsed = task.parse(text)
            if parsed.answer != answer:
                yield f"parse(format(z, {answer!r})) reads {parsed.answer!r}: an answer must be read as it is written."
            elif parsed.rationale != rationale:
                yield f"parse(format({rationale!r}, y)) gives the rationale {parsed.rationale!r}."


def _rewards(task: Task, answers: Sequence[str]) -> Iterator[str]:
    for one in answers[:_MANY]:
        for other in answers[:_MANY]:
            reward = task.reward(one, other)
            if not isinstance(reward, float) or math.isnan(reward) or not 0 <= reward <= 1:
                yield f"reward({one!r}, {other!r}) is {reward!r}; a reward is a number in [0, 1]."
            elif one == other and reward != 1:
                yield f"reward({one!r}, {one!r}) is {reward}; the right answer earns 1."


def _answers(task: Task, examples: Sequence[Example]) -> list[str]:
    """Return canonical answers: levels, or what the task reads in the examples' answers, or in made-up ones."""
    if task.levels:
        return list(task.levels)
    given = [x.answer for x in examples[:_MANY]] or list(_ANSWERS)
    found = [task.read(text) for text in (*given, *(f"**{text}**" for text in given[:2]))]
    return list(dict.fromkeys(one for one in found if one is not None))


def _made_up(task: Task) -> dict[str, str]:
    return {name: f"some {name} to look at" for name in task.inputs}
