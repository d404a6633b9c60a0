"""The prompts of some training examples as the model sees them, decoded from their token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rationem.config import FitConfig
from rationem.engines import conformance, models
from rationem.engines.chat import Chat
from rationem.errors import ConfigError
from rationem.report.plain import plain
from rationem.run.demonstrations import showing
from rationem.run.prepare import prepare
from rationem.sampling.demonstrations import Showing, solved
from rationem.seeds import seed_for
from rationem.tasks.protocol import Task
from rationem.types import Example, Prompt


@dataclass(frozen=True, slots=True)
class Seen:
    """One prompt of one example.

    Args:
        example: the example.
        kind: "forward", "rationalize", the same with "~demos" (after demonstrations), or "control" (forward after
            solved examples).
        text: the rendered prompt, decoded from its ids; without a model the text before rendering.
        tokens: the number of ids; None without a model.
    """

    example: Example
    kind: str
    text: str
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Shown:
    """The prompts, alternately forward and hinted, and the task that made them."""

    judge: Task
    shots: Showing
    prompts: tuple[Seen, ...]


def prompts(config: FitConfig, count: int) -> Shown:
    """Return the forward and the hinted prompt of ``count`` training examples, chosen by the seed.

    With ``demos`` both follow again after demonstrations, as in iteration 1. With ``shots`` the control's prompt
    follows, after solved examples; these are not among the shown examples.

    Raises:
        RationemError: data, rubric, template or model cannot be used.
        ConfigError: the count is below 1.
    """
    if count < 1:
        raise ConfigError(f"--show {count}: give at least 1.")
    judge, splits = prepare(config)
    control, demos = solved(splits, config.shots, config.seed, judge), showing(config, judge, splits)
    taken = {one.name for one in control.chosen}
    order = sorted(splits.train, key=lambda x: seed_for(config.seed, "show", x.id))
    chosen = [x for x in order if x.id not in taken][:count]
    chat = _chat(config, judge) if config.model else None
    return Shown(judge, control, tuple(_all(chosen, judge, control, demos, chat)))


def describe(shown: Shown, model: str | None) -> Iterator[str]:
    """Yield the lines to print: the templates and their hashes, then every prompt after a rule."""
    task = shown.judge
    for name, template in task.wordings.items():
        yield f"{name}: {plain(template.source)}, sha256 {template.sha256[:12]}"
    if shown.shots.chosen:
        yield f"solved examples of the control: {', '.join(plain(one.name) for one in shown.shots.chosen)}"
    if model is None:
        yield (
            "The text of the prompts before any chat template; with --model the template is applied and tokens "
            "are counted."
        )
    else:
        yield f"The prompts as {plain(model)} reads them: through its chat template, decoded from the token ids."
    for seen in shown.prompts:
        called = task.kind.words.row
        named = f"{seen.kind}, {plain(seen.example.id)}, {called} {plain(seen.example.answer)}"
        counted = "" if seen.tokens is None else f", {seen.tokens} tokens"
        yield f"----- {named}{counted} -----"
        yield plain(seen.text, breaks=True)


def _chat(config: FitConfig, judge: Task) -> Chat:
    name = config.model or ""
    checkpoint = models.resolve(name, config.adapter_base)
    chat = models.chat(name, checkpoint, config.conversation)
    conformance.check_model(name, checkpoint, chat, judge)
    if config.demos or config.shots:
        conformance.check_turns(name, chat)
    return chat


def _all(
    examples: Sequence[Example], judge: Task, control: Showing, demos: Showing, chat: Chat | None
) -> Iterator[Seen]:
    for x in examples:
        forward, hinted = judge.prompt(x.fields), judge.hint_prompt(x.fields, x.answer)
        yield _seen(x, forward, chat)
        yield _seen(x, hinted, chat)
        for question in (forward, hinted) if demos.count else ():
            shown = demos.before(question, x, judge, lambda _: True)
            yield replace(_seen(x, shown, chat), kind=f"{question.kind}~demos")
        if control.chosen:
            yield replace(_seen(x, control.before(forward, x, judge, lambda _: True), chat), kind="control")


def _seen(x: Example, prompt: Prompt, chat: Chat | None) -> Seen:
    if chat is None:
        return Seen(x, prompt.kind, prompt.whole, None)
    ids = chat.encode(prompt)
    return Seen(x, prompt.kind, chat.decode(ids), len(ids))
