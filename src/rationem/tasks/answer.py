r"""Tasks with an open answer: a rationale, then the answer on its own line after a marker.

    Ann has 3 boxes of 4 pens and buys 2 more. How many pens has she?        x
    3 boxes of 4 pens are 12 pens. 12 + 2 = 14.                              z
    Answer: 14                                                               y

The *form* defines the answer (``answer_types``); the reward measures how near it is to y*. There are no levels:
evidence is log pi(y* | x) by scoring the text y* itself, and the prediction is the draft answer that agrees most with
the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rationem.errors import ConfigError
from rationem.tasks import answer_types, neutral
from rationem.tasks.base import SetReading, TaskBase
from rationem.tasks.demonstration import Demonstration
from rationem.tasks.kinds import OpenKind
from rationem.tasks.parse import bare, check_marker, parse_line
from rationem.tasks.scale import ANSWER, OPEN, Scale
from rationem.tasks.template import Template, packaged
from rationem.types import Fields, Parsed, Prompt

#: The problem of a line in which no answer of the task's kind was found.
NO_ANSWER = "no_answer"
_VARIABLES = ("instruction", "marker")


@dataclass(frozen=True, slots=True)
class AnswerTask(TaskBase):
    """An answer in one line of text: a number, a summary, or whatever matches a pattern.

    Args:
        name: the name that users give.
        template: forward(x); its variables are the inputs, ``instruction`` and ``marker``.
        hint: the text after the prompt in a rationalize prompt; its variable is ``answer``.
        form: "number", "text" or "pattern:REGEX"; see :mod:`rationem.tasks.answer_types`.
        rule: r(y_hat, y*), "exact" or "rouge-l".
        inputs: the required fields.
        optional: the optional fields.
        marker: opens the answer's line.
        instruction: further instructions in the prompt.

    Raises:
        ConfigError: a template, the form or the reward does not fit.
    """

    name: str
    template: Template
    hint: Template = field(default_factory=lambda: packaged("answer_hint"))
    form: str = "text"
    rule: str = "exact"
    inputs: tuple[str, ...] = ("prompt",)
    optional: tuple[str, ...] = ("context",)
    marker: str = ANSWER
    instruction: str = ""

    def __post_init__(self) -> None:
        answer_types.reader(self.form)
        answer_types.reward(self.rule)
        if not self.inputs:
            raise ConfigError(f"The task {self.name!r} has no inputs, so no question. Name the fields of an item.")
        clash = sorted({*self.inputs, *self.optional} & {"answer", *_VARIABLES})
        if clash:
            raise ConfigError(f"The task {self.name!r}: {clash[0]!r} is the name of a variable and can be no input.")
        check_marker(self.marker)
        known = (*self.inputs, *self.optional, *_VARIABLES)
        self.template.check(known, self.inputs)
        self.hint.check((*known, "answer"), ("answer",))
        if self.marker not in self.template.render(dict.fromkeys(known, "") | {"marker": self.marker}):
            raise ConfigError(
                f"{self.template.source or 'The template'} never says {self.marker!r}, so no model would end with it. "
                "Ask for a last line such as: {{ marker }} ANSWER"
            )

    @property
    def scale(self) -> Scale:
        """No levels."""
        return OPEN

    @property
    def kind(self) -> OpenKind:
        """Any text may be correct."""
        return OpenKind(rule=self.rule)

    @property
    def wordings(self) -> dict[str, Template]:
        """Template and hint."""
        return {"template": self.template, "hint": self.hint}

    @property
    def reads(self) -> str:
        """A number, or what matches the pattern; empty for a text."""
        return "single number" if self.form == "number" else f"text that fits {self.form}" * (self.form != "text")

    def read(self, cell: str) -> str | None:
        """Return y* as it is written after the marker, from a cell of the user's file; None if it has no answer.

        A number may follow a solution, which is not read: see :func:`.answer_types.final`. Ornaments around an answer
        do not belong to it, in a cell as in a completion.
        """
        found = answer_types.final(cell) if self.form == "number" else cell
        return None if found is None else self._read_line(found)

    def reads_set(self, for_task: str, inputs: Collection[str]) -> SetReading:
        """Return how the rows of a published set are read: a built-in task reads the sets that are for it."""
        if self.name not in OPEN_TASKS:
            return TaskBase.reads_set(self, for_task, inputs)
        return SetReading.AS_PUBLISHED if self.name == for_task else SetReading.NOT

    def prompt(self, fields: Fields) -> Prompt:
        """Return forward(x): the only prompt that the M-step ever scores."""
        return Prompt(self.template.render(self._variables(fields)), "forward")

    def hint_prompt(self, fields: Fields, answer: str) -> Prompt:
        """Return rationalize(x, y*): the same prompt followed by the correct answer as a hint."""
        variables = self._variables(fields)
        hint = self.hint.render({**variables, "answer": answer})
        return Prompt(f"{self.template.render(variables)}\n{hint}", "rationalize")

    def demonstrations(self, fields: Fields) -> tuple[Demonstration, ...]:
        """Return sums or summaries for the built-in tasks; none for a task of the user's."""
        kind = {("math", "number"): "number", ("summarize", "text"): "summary"}.get((self.name, self.form))
        return neutral.answered(kind) if kind and self.inputs == ("prompt",) else ()

    def reworded(self, changed: Mapping[str, Any]) -> AnswerTask:
        """Return the task with another ``template``, ``hint``, ``instruction`` or ``rule``."""
        return replace(self, **changed)

    def parse(self, text: str) -> Parsed:
        """Split a completion into rationale and answer."""
        return parse_line(text, self.marker, self._read_line, NO_ANSWER)

    def reward(self, predicted: str, answer: str) -> float:
        """Return r(y_hat, y*) by the task's rule."""
        return answer_types.reward(self.rule)(predicted, answer)

    def describe(self) -> dict[str, Any]:
        """Return everything that decides a prompt or a reward, as JSON; :meth:`from_description` reads it."""
        return {
            "name": self.name,
            "answer": self.form,
            "inputs": list(self.inputs),
            "optional": list(self.optional),
            "marker": self.marker,
            "instruction": self.instruction,
            "scale": OPEN.describe(),
            "template": self.template.text,
            "template_sha256": self.template.sha256,
            "hint": self.hint.text,
            "hint_sha256": self.hint.sha256,
            "reward": self.rule,
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> AnswerTask:
        """Return the task that ``describe`` described.

        Raises:
            ConfigError: a key is missing or does not fit.
        """
        wrong = "This is no description of a task with an open answer: "
        texts = ("name", "template", "hint", "answer", "reward", "marker", "instruction")
        for key in (*texts, "inputs", "optional"):
            found = description.get(key)
            is_list = isinstance(found, list) and all(isinstance(one, str) for one in found)
            if not (isinstance(found, str) if key in texts else is_list):
                raise ConfigError(f"{wrong}{key} is {found!r}.")
        name, template, hint, form, rule, marker, instruction = (description[key] for key in texts)
        return cls(
            name,
            Template(template, "the run's template"),
            Template(hint, "the run's hint"),
            form,
            rule,
            tuple(description["inputs"]),
            tuple(description["optional"]),
            marker,
            instruction,
        )

    def _read_line(self, text: str) -> str | None:
        return answer_types.reader(self.form)(bare(text))

    def _variables(self, fields: Fields) -> dict[str, str]:
        return {**self.shown(fields), "instruction": self.instruction, "marker": self.marker}


def maths(**changed: Any) -> AnswerTask:
    """Return the mathematics task: numbers, equal or not."""
    return AnswerTask(**{"name": "math", "template": packaged("math"), "form": "number", **changed})


def summary(**changed: Any) -> AnswerTask:
    """Return the summary task: what matters and what to leave out, then the summary; reward ROUGE-L."""
    given = {"name": "summarize", "template": packaged("summarize"), "hint": packaged("summarize_hint")}
    return AnswerTask(**{**given, "form": "text", "rule": "rouge-l", "marker": "Summary:", **changed})


#: The built-in tasks by name.
OPEN_TASKS = {"math": maths, "summarize": summary}
