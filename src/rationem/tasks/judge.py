"""From a question to a rationale and a verdict: a rating of a response, the best of several, or a choice.

The paper's two experiments: LLM-as-a-judge calibration (version 2) and multiple choice (version 1). They are one task:
a scale owns the verdicts, and only the inputs differ (``docs/decisions/026-multiple-choice.md``).

Instruction and levels come last, so that a long response cannot push them out of the context. The rationale comes
first, then the verdict on its own line after one rare marker. The wording is a template (``prompts/``) that users can
replace; the hint is another template, whose text follows the same prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rationem.errors import ConfigError, closest
from rationem.tasks import choices, neutral, pairs
from rationem.tasks.base import TaskBase
from rationem.tasks.demonstration import Demonstration
from rationem.tasks.kinds import ChoiceKind, Kind
from rationem.tasks.parse import check_marker
from rationem.tasks.rewards import parse_reward
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import ANSWER, MARKER, Scale
from rationem.tasks.template import Template, packaged
from rationem.types import Example, Fields, Parsed, Prompt

#: The inputs of one response.
SINGLE = ("prompt", "response")
OPTIONAL = ("context", "reference")
#: The inputs of multiple choice: a question and at least two choices, more if an item has them.
CHOICE = ("prompt", choices.field_of("A"), choices.field_of("B"))
_BESIDE_CHOICES = ("context", choices.SUBJECT)
#: The names of the tasks.
NAMES = ("judge", "choice")

#: Levels that cannot stand for either response of a pair.
_TIES = frozenset({"tie", "draw", "both", "neither", "same", "equal", "equally good", "no preference"})
#: Levels that do not say which response they mean.
_SAY_NO_RESPONSE = ({"no", "yes"}, {"false", "true"})

_VARIABLES = ("scale", "instruction", "meanings", "marker")
#: Further variables if two responses are compared.
_OF_PAIR = ("first", "second", "ends")


@dataclass(frozen=True, slots=True)
class JudgeTask(TaskBase):
    """Rate a response, choose the best of several, or answer a multiple-choice question.

    Args:
        scale: the levels, worst first. If responses are compared, the first levels name them by position; for two on an
            ordered scale, the lowest means that the first is much better and the highest that the second is. For
            multiple choice, the letters, of which an item uses its own.
        criteria: what to rate; an example's field "criterion" names one of them. A single unnamed criterion needs no
            such field.
        template: forward(x); its variables are the fields and ``scale``, ``instruction``, ``meanings``, ``marker``; for
            a pair also ``first``, ``second`` and ``ends``; for multiple choice ``choices``, and for three or more
            responses ``responses``, instead of the single ones.
        hint: the text after the prompt in a rationalize prompt; its variable is ``answer``.
        rule: r(y_hat, y*): "exact", "within:TOLERANCE" or "ordinal".
        pair: whether responses are compared.
        name: "judge", or "choice" for multiple choice.
        candidates: the number of responses compared, if any.
        prompted: whether an item has a prompt; False if texts are rated or compared.
        marker: opens the verdict line; by default "Answer:" for multiple choice, else "Final rating:".

    Raises:
        ConfigError: a template, a criterion or the rule does not fit.
    """

    scale: Scale
    criteria: tuple[Criterion, ...] = (Criterion(),)
    template: Template = field(default_factory=lambda: packaged("judge"))
    hint: Template = field(default_factory=lambda: packaged("hint"))
    rule: str = "exact"
    pair: bool = False
    name: str = "judge"
    candidates: int = 2
    marker: str = ""
    prompted: bool = True

    def __post_init__(self) -> None:
        if not self.marker:
            object.__setattr__(self, "marker", ANSWER if self.choice else MARKER)
        check_marker(self.marker)
        if self.name not in NAMES or (self.choice and (self.pair or self.scale.ordered)):
            raise ConfigError(f"No task {self.name!r} on the scale {self.scale.sentence()!r}, pair: {self.pair}.")
        if self.scale.parts and (self.choice or self.pair):
            raise ConfigError("Criteria have scales of their own only where one response is rated, not compared.")
        if self.choice and (len(self.criteria) != 1 or self.criteria[0].name or self.criteria[0].meanings):
            raise ConfigError(
                "Multiple choice asks one thing, without a name, and its letters mean what an item's choices say: give "
                "an instruction, but no criteria and no meanings of levels."
            )
        if self.pair:
            object.__setattr__(self, "scale", comparing(self.scale, self.candidates))
        told = self._told
        known = (*told, *self._beside, *_VARIABLES, *(_OF_PAIR if self.orders == 2 else ()))
        self.template.check(known, (*told, "scale"))
        self.hint.check((*known, "answer"), ("answer",))
        probe = self.template.render(dict.fromkeys(known, "") | {"marker": self.marker})
        if self.marker not in probe:
            raise ConfigError(
                f"{self.template.source or 'The template'} never says {self.marker!r}, so no model would end with it. "
                "Ask for a last line such as: {{ marker }} LEVEL"
            )
        self.scale.narrowed([one.name for one in self.criteria])
        for one in self.criteria:
            self.scale.of(one.name).with_meanings(one.meanings)
        parse_reward(self.rule, self.scale)
        blank = dict.fromkeys(self.inputs, "")
        asked = {self.prompt({**blank, "criterion": one.name}).text for one in self.criteria}
        if len(asked) < len(self.criteria):
            raise ConfigError(
                f"{self.template.source or 'The template'} asks for {[one.name for one in self.criteria]} in the same "
                "words. Use the variable criterion, instruction or meanings."
            )

    @property
    def choice(self) -> bool:
        """Whether the task is multiple choice."""
        return self.name == "choice"

    @property
    def kind(self) -> Kind:
        """One of the levels is correct, or one of an item's letters."""
        return (ChoiceKind if self.choice else Kind)(self.scale, self.orders, self.rule)

    @property
    def wordings(self) -> dict[str, Template]:
        """Template and hint."""
        return {"template": self.template, "hint": self.hint}

    @property
    def orders(self) -> int:
        """The number of shown orders of an item: one for each compared response."""
        return self.candidates if self.pair else 1

    @property
    def inputs(self) -> tuple[str, ...]:
        """The required fields."""
        return CHOICE if self.choice else (*("prompt",) * self.prompted, *pairs.fields_of(self.orders))

    @property
    def _told(self) -> tuple[str, ...]:
        """The inputs as a template shows them: many responses are one text."""
        if self.choice:
            return ("prompt", "choices")
        return (*("prompt",) * self.prompted, "responses") if self.orders > 2 else self.inputs

    @property
    def optional(self) -> tuple[str, ...]:
        """The optional inputs."""
        return _BESIDE_CHOICES if self.choice else OPTIONAL

    @property
    def _beside(self) -> tuple[str, ...]:
        """The optional variables of a template; "criterion" names one of the judge's criteria."""
        return self.optional if self.choice else (*self.optional, "criterion")

    @property
    def asked(self) -> tuple[str, ...]:
        """The inputs by the names that callers use: choices are one list, or single fields."""
        return ("prompt", "choices") if self.choice else self.inputs

    @property
    def items(self) -> str:
        """Choices, or one or more responses."""
        return "choices" if self.choice else "responses"

    def needed(self, item: Mapping[str, object]) -> tuple[str, ...]:
        """Return the fields that this item must have: for multiple choice, one for each of its choices.

        Raises:
            ValueError: there are more choices than levels.
        """
        if not self.choice:
            return self.inputs
        if len(own := choices.letters(item)) > len(self.levels):
            raise ValueError(f"it has {len(own)} choices, and the run had {len(self.levels)} at most")
        return ("prompt", *map(choices.field_of, own))

    def every_order(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """Return every comparison in all its orders."""
        return pairs.every_order(examples, self.scale) if self.pair else tuple(examples)

    def shuffled(self, example: Example, seed: int) -> Example:
        """Return an item of multiple choice with its choices in another order."""
        return choices.shuffled(example, seed) if self.choice else example

    def criterion_of(self, item: Mapping[str, object]) -> str | None:
        """Return the name of the criterion to rate an item for; None if it names none."""
        return str(named) if (named := item.get("criterion")) else None

    def prompt(self, fields: Fields) -> Prompt:
        """Return forward(x): the only prompt that the M-step ever scores."""
        return Prompt(self.template.render(self._variables(fields)), "forward")

    def hint_prompt(self, fields: Fields, answer: str) -> Prompt:
        """Return rationalize(x, y*): the same prompt followed by the correct answer as a hint."""
        variables = self._variables(fields)
        hint = self.hint.render({**variables, "answer": answer})
        return Prompt(f"{self.template.render(variables)}\n{hint}", "rationalize")

    def demonstrations(self, fields: Fields) -> tuple[Demonstration, ...]:
        """Return the demonstrations for an item's kind: rated, compared, or multiple choice."""
        if self.choice:
            return neutral.chosen(self.scale, fields)
        scale = self.scale.of(fields.get("criterion", ""))
        return neutral.compared(scale, fields, self.orders) if self.pair else neutral.rated(scale, fields)

    def parse(self, text: str) -> Parsed:
        """Split a completion into rationale and rating."""
        return self.scale.read(text, self.marker)

    def reward(self, predicted: str, answer: str) -> float:
        """Return r(y_hat, y*) by the task's rule."""
        return parse_reward(self.rule, self.scale)(predicted, answer, self.scale)

    def read(self, cell: str) -> str | None:
        """Return the level that a cell means."""
        return self.scale.level(cell)

    def describe(self) -> dict[str, Any]:
        """Return everything that decides a prompt or a reward, as JSON; :meth:`from_description` reads it."""
        return {
            "name": self.name,
            "pair": self.pair,
            "scale": self.scale.describe(),
            "criteria": [criterion.describe() for criterion in self.criteria],
            "template": self.template.text,
            "template_sha256": self.template.sha256,
            "hint": self.hint.text,
            "hint_sha256": self.hint.sha256,
            "reward": self.rule,
            **({"candidates": self.candidates} if self.orders > 2 else {}),
            **({"marker": self.marker} if self.marker != MARKER else {}),
            **({} if self.prompted else {"prompted": False}),
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> JudgeTask:
        """Return the task that ``describe`` described.

        Raises:
            ConfigError: a key is missing or does not fit.
        """
        try:
            return cls(
                Scale.from_description(description["scale"]),
                tuple(Criterion(**criterion) for criterion in description["criteria"]),
                Template(description["template"], "the run's template"),
                Template(description["hint"], "the run's hint"),
                description["reward"],
                description["pair"],
                description["name"],
                description.get("candidates", 2),
                description.get("marker", MARKER),
                prompted=description.get("prompted", True),
            )
        except (KeyError, TypeError) as error:
            raise ConfigError(f"This is no description of a judge: {error}.") from error

    def _variables(self, fields: Fields) -> dict[str, str]:
        if missing := [name for name in self.inputs if name not in fields]:
            raise ConfigError(f"The judge reads {missing}, which this item has not; it has {sorted(fields)}.")
        criterion = self._criterion(fields.get("criterion", ""))
        scale = _with_meanings(self.scale.of(criterion.name), tuple(criterion.meanings.items()))
        blank = dict.fromkeys(self._beside, "")
        return {
            **blank,
            **(_shown(fields) if self.choice else {**fields, **self._compared(fields)}),
            "scale": " | ".join(self._own(fields)) if self.choice else scale.sentence(),
            "instruction": criterion.instruction,
            "meanings": scale.described(),
            "marker": self.marker,
        }

    def _compared(self, fields: Fields) -> dict[str, str]:
        """Return the variables of a comparison: the names of its responses, and the meaning of the ends of a scale."""
        if not self.pair:
            return {}
        called = pairs.names_of(self.scale, self.candidates)
        if self.candidates == 2:
            return {"first": called[0], "second": called[1], "ends": pairs.ends_of(self.scale)}
        what, places = "Response" if self.prompted else "Text", pairs.fields_of(self.candidates)
        listed = (f"{what} {name}: {fields[at]}" for name, at in zip(called, places, strict=True))
        return {"responses": "\n\n".join(listed)}

    def _own(self, fields: Fields) -> tuple[str, ...]:
        """Return the item's own letters.

        Raises:
            ConfigError: the scale has no letter for one of the choices.
        """
        own = choices.letters(fields)
        if len(own) > len(self.levels):
            raise ConfigError(f"An item has {len(own)} choices; the task has letters for {len(self.levels)}.")
        return own

    def _criterion(self, name: str) -> Criterion:
        known = {one.name: one for one in self.criteria}
        if name in known:
            return known[name]
        raise ConfigError(f"The judge has no criterion {name!r}.{closest(name, known)} It rates {list(known)}.")


def asking(
    items: str,
    scale: Scale,
    criteria: tuple[Criterion, ...],
    *,
    candidates: int,
    rule: str = "exact",
    template: Template | None = None,
    hint: Template | None = None,
    marker: str = "",
    prompted: bool = True,
) -> JudgeTask:
    """Return the task for items of a layout (``Task.items``), by default in the packaged words.

    Args:
        items: "responses" or "choices".
        candidates: the number of compared responses; 1 if one is rated.
        marker: opens the verdict line; "" for the task's own.
        prompted: whether an item has a prompt; False if one text is rated.

    Raises:
        ConfigError: see :class:`JudgeTask`.
    """
    name = {"responses": "judge", "choices": "choice"}[items]
    own = pairs.wording(scale, candidates, prompted=prompted)
    usual = {"judge": (own, "hint"), "choice": ("choice", "choice_hint")}[name]
    return JudgeTask(
        scale,
        criteria,
        template or packaged(usual[0]),
        hint or packaged(usual[1]),
        rule,
        candidates > 1,
        name,
        max(candidates, 2),
        marker,
        prompted,
    )


def comparing(scale: Scale, count: int) -> Scale:
    """Return the scale for comparing ``count`` responses; for two on an ordered scale it is two-sided.

    Raises:
        ConfigError: there are too few or too many responses, a response has no level, a tie is in the place of a
            response, or an order does not fit.
    """
    if not 2 <= count <= pairs.MOST:
        raise ConfigError(f"Two to {pairs.MOST} responses can be compared; found {count}.")
    said, levels = f"The scale {scale.sentence()!r}", scale.levels
    if {level.casefold() for level in levels} in _SAY_NO_RESPONSE:
        raise ConfigError(f"{said} does not say which response is better. Name them: 'A | B', or 'left | right | tie'.")
    if scale.ordered and count > 2:
        raise ConfigError(
            f"{said} has an order: of {count} responses the levels name one each, and ties behind them, such as "
            f"{' | '.join('ABCDEFGHIJKLMNOPQRSTUVWXYZ'[:count])!r}."
        )
    if len(levels) < count:
        raise ConfigError(f"{said} has {len(levels)} levels for {count} responses. Name one for each, in their order.")
    if scale.ordered:
        middle = levels[len(levels) // 2] if len(levels) % 2 else None
        tied = [level for level in levels if level.casefold() in _TIES and level != middle]
        if tied:
            raise ConfigError(
                f"{said}: it runs from the first response being much better to the second being much better, and "
                f"{tied[0]!r} is not in the middle. Write as many levels before it as after it."
            )
        return scale if scale.two_sided else scale.for_pair()
    tied = [level for level in levels[:count] if level.casefold() in _TIES]
    if tied:
        of = "of a pair the first level says that the first response is better, the second that the second is"
        many = f"of {count} responses the first {count} levels name one each, by their places"
        stands = f"{tied[0]!r} stands in their place. Write it behind them."
        raise ConfigError(f"{said}: {of if count == 2 else many}; {stands}")
    return scale


def _shown(fields: Fields) -> dict[str, str]:
    """Return what a template may show of multiple choice: the choices as lines, and never the file's labels."""
    beside = {name: fields[name] for name in ("prompt", *_BESIDE_CHOICES) if name in fields}
    return {**beside, "choices": choices.listed(fields)}


@lru_cache(maxsize=256)
def _with_meanings(scale: Scale, meanings: tuple[tuple[str, str], ...]) -> Scale:
    return scale.with_meanings(dict(meanings)) if meanings else scale
