"""Demonstrations: solved examples before a question, as earlier turns of the chat. Only this file decides who is shown.

A demonstration shares neither inputs, item nor group with the example that is asked, nor with any item of the
validation and test sets: the same item, rated by another person, would give y* away. They belong to a proposal; nothing
else of a run reads a prompt with them.

``Showing``    the demonstrations of one E-step, and what is shown before one example
``Relatives``  the rule
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from rationem.seeds import seed_for
from rationem.tasks.choices import inputs_of
from rationem.tasks.demonstration import Demonstration
from rationem.tasks.kinds import Kind
from rationem.tasks.protocol import Task
from rationem.types import Example, Exchange, Prompt, Splits


@dataclass(frozen=True, slots=True)
class Relatives:
    """What examples are made of, so that a demonstration can be told from all of them."""

    inputs: frozenset[tuple[tuple[str, str], ...]] = frozenset()
    items: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    @classmethod
    def of(cls, examples: Iterable[Example]) -> Relatives:
        """Return the inputs, items and groups of examples."""
        several = tuple(examples)
        return cls(
            frozenset(inputs_of(x.fields) for x in several),
            frozenset(x.item for x in several),
            frozenset(x.group for x in several),
        )

    def __or__(self, other: Relatives) -> Relatives:
        return Relatives(self.inputs | other.inputs, self.items | other.items, self.groups | other.groups)

    def has(self, one: Demonstration) -> bool:
        """Return whether a demonstration shares inputs, item or group with one of the examples."""
        of_data = (one.item and one.item in self.items) or (one.group and one.group in self.groups)
        return bool(of_data) or inputs_of(one.fields) in self.inputs


@dataclass(frozen=True, slots=True)
class Showing:
    """The demonstrations of an E-step.

    Args:
        count: the most that are shown before a question.
        chosen: in order of preference; those that an example may not see are skipped.
        fills: whether the task's own follow, where too few are left.
        hidden: the items of the validation and test sets.
        until: the share of readable unhinted drafts from which no demonstrations are shown any more; None never.
    """

    count: int = 0
    chosen: tuple[Demonstration, ...] = ()
    fills: bool = False
    hidden: Relatives = field(default_factory=Relatives)
    until: float | None = None

    def for_example(self, example: Example, task: Task) -> tuple[Demonstration, ...]:
        """Return the demonstrations that may be shown before an example, in order of preference."""
        asked = Relatives.of((example,))

        def free(several: Iterable[Demonstration]) -> list[Demonstration]:
            return [one for one in several if not asked.has(one) and not self.hidden.has(one)]

        shown = free(one for one in self.chosen if one.criterion == example.criterion)[: self.count]
        rest = free(task.demonstrations(example.fields)) if self.fills else []
        while rest and len(shown) < self.count:  # the answer that is shown least comes next
            said = [one.answer for one in shown]
            shown.append(rest.pop(min(range(len(rest)), key=lambda n: (said.count(rest[n].answer), n))))
        return tuple(shown)

    def before(self, question: Prompt, example: Example, task: Task, fits: Callable[[Prompt], bool]) -> Prompt:
        """Return the question after as many demonstrations as fit, each with its own hint if the question has one.

        Args:
            question: forward(x) or rationalize(x, y*).
            example: the example that is asked.
            task: the task.
            fits: whether a prompt is short enough.
        """
        hinted = question.kind == "rationalize"
        earlier = tuple(exchange(one, task, hinted=hinted) for one in self.for_example(example, task))
        for shown in range(len(earlier), 0, -1):
            prompt = replace(question, earlier=earlier[:shown])
            if fits(prompt):
                return prompt
        return question


def exchange(one: Demonstration, task: Task, *, hinted: bool) -> Exchange:
    """Return the two turns of a demonstration: its question, with its own answer as a hint or not, and its answer."""
    asked = task.hint_prompt(one.fields, one.answer) if hinted else task.prompt(one.fields)
    return Exchange(asked.text, task.format(one.rationale, one.answer), one.name)


def solved(data: Splits, count: int, seed: int, task: Task) -> Showing:
    """Return what the control ``--shots`` shows: training examples with their answers and without rationales.

    They depend on the seed and the ids, not on the order of the file.
    """
    hidden = Relatives.of((*data.validation, *data.test))
    in_order = sorted(data.train, key=lambda x: seed_for(seed, "shots", x.id))
    free = [one for one in map(demonstration, in_order) if not hidden.has(one)]
    return Showing(count, dealt(free, count, task.kind), hidden=hidden)


def demonstration(x: Example, rationale: str = "") -> Demonstration:
    """Return a training example as a demonstration."""
    return Demonstration(x.id, x.fields, x.answer, rationale, x.item, x.group, x.criterion)


def dealt(
    several: Iterable[Demonstration], count: int, kind: Kind, per_level: int | None = None
) -> tuple[Demonstration, ...]:
    """Return ``count`` demonstrations, taken from the answers in turn and in the given order, one of each group.

    Args:
        several: the best first.
        count: how many; fewer if there are fewer groups.
        kind: says which answers are distinguished.
        per_level: the most with one answer.
    """
    by_answer: dict[str, deque[Demonstration]] = defaultdict(deque)
    for one in several:
        by_answer[kind.level_of(one.answer)].append(one)
    found: list[Demonstration] = []
    groups: set[str] = set()
    for _ in range(count if per_level is None else min(count, per_level)):
        for waiting in by_answer.values():
            while waiting and waiting[0].group in groups:
                waiting.popleft()
            if waiting and len(found) < count:
                found.append(waiting.popleft())
                groups.add(found[-1].group)
    return tuple(found)
