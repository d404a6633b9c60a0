"""What the model sees: the prompts of some training examples, as the ids that are fed say them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rationem import models
from rationem.chat import Chat
from rationem.config import FitConfig
from rationem.doctor import machine
from rationem.doctor.plain import plain
from rationem.errors import ConfigError
from rationem.prepare import prepare
from rationem.seeds import seed_for
from rationem.tasks.judge import JudgeTask
from rationem.tasks.shots import Shots, choose_shots
from rationem.types import Example, Prompt, Task


@dataclass(frozen=True, slots=True)
class Seen:
    """One prompt of one example.

    Args:
        example: the example.
        kind: "forward" or "rationalize".
        text: through the chat template, decoded from the ids that are fed; without a model the bare text.
        tokens: how many ids; None without a model.
    """

    example: Example
    kind: str
    text: str
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Shown:
    """The prompts, forward and hinted in turn, and the judge that they were made by."""

    judge: JudgeTask
    shots: tuple[Example, ...]
    prompts: tuple[Seen, ...]


def prompts(config: FitConfig, count: int) -> Shown:
    """Return the forward and the hinted prompt of ``count`` training examples, chosen by the seed.

    With ``shots`` both have solved examples before them, as the control does; those are never among the examples.

    Raises:
        RationemError: data, rubric, template or model cannot be used as asked.
        ConfigError: the count is below 1.
    """
    if count < 1:
        raise ConfigError(f"--show {count}: give at least 1.")
    judge, splits = prepare(config)
    shots = choose_shots(splits.train, config.shots, config.seed)
    task: Task = Shots(judge, shots) if shots else judge
    taken = {x.id for x in shots}
    order = sorted(splits.train, key=lambda x: seed_for(config.seed, "show", x.id))
    chosen = [x for x in order if x.id not in taken][:count]
    chat = machine.chat(config.model, models.resolve(config.model)) if config.model else None
    return Shown(judge, shots, tuple(_both(chosen, task, chat)))


def describe(shown: Shown, model: str | None) -> Iterator[str]:
    """Yield the lines to print: the templates and their hashes, then every prompt between two rules."""
    for name, template in (("template", shown.judge.template), ("hint", shown.judge.hint)):
        yield f"{name}: {plain(template.source)}, sha256 {template.sha256[:12]}"
    if shown.shots:
        yield f"solved examples in front: {', '.join(plain(x.id) for x in shown.shots)}"
    if model is None:
        yield "The bare text of the prompts: without --model there is no chat template and no token to count."
    else:
        yield f"The prompts as {plain(model)} reads them: through its chat template, decoded from the token ids."
    for seen in shown.prompts:
        named = f"{seen.kind}, {plain(seen.example.id)}, label {plain(seen.example.answer)}"
        counted = "" if seen.tokens is None else f", {seen.tokens} tokens"
        yield f"\n----- {named}{counted} -----"
        yield plain(seen.text, breaks=True)


def _both(examples: Sequence[Example], task: Task, chat: Chat | None) -> Iterator[Seen]:
    for x in examples:
        for prompt in (task.prompt(x.fields), task.hint_prompt(x.fields, x.answer)):
            yield _seen(x, prompt, chat)


def _seen(x: Example, prompt: Prompt, chat: Chat | None) -> Seen:
    if chat is None:
        return Seen(x, prompt.kind, prompt.text, None)
    ids = chat.encode(prompt)
    return Seen(x, prompt.kind, chat.decode(ids), len(ids))
