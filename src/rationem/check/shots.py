"""The control with solved examples: the examples that a fit shows, and whether its prompts fit the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rationem import progress
from rationem.check.findings import Finding, warning
from rationem.check.texts import MANY_LOST, counter, summary
from rationem.config import FitConfig
from rationem.engines.chat import Chat
from rationem.report.plain import plain
from rationem.sampling.demonstrations import Showing, solved
from rationem.tasks.protocol import Task
from rationem.types import Example, Fields, Prompt, Splits


def all_before(showing: Showing, example: Example, task: Task) -> Prompt:
    """Return an example's forward prompt after all demonstrations, whatever its length."""
    return showing.before(task.prompt(example.fields), example, task, lambda _: True)


def shots(
    splits: Splits, task: Task, config: FitConfig, chat: Chat | None, positions: int | None
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Measure the control's test prompts against the model's context length.

    Args:
        splits: the three sets.
        task: gives the prompts without solved examples.
        config: the number of examples to show, and the resolved limits.
        chat: counts tokens exactly; None estimates them from the characters.
        positions: the model's context length; without a model the longest prompt is the limit.

    Returns:
        The lengths, None without such a control, and the findings.
    """
    if not config.shots:
        return None, []
    showing = solved(splits, config.shots, config.seed, task)
    shown = len(showing.chosen)
    limit = positions - (config.max_new_tokens or 0) if positions else config.max_prompt_tokens or 0
    lengths = _lengths(splits.test if shown else (), task, showing, config, chat)
    section = {"shown": shown, "limit": limit, **summary(lengths, lengths, limit)}
    if splits.test and not shown:
        text = (
            "every training example shares its item or group with a validation or test item, so the control has no "
            "solved example to show and is left out (--shots)."
        )
        return section, [warning("no_shots", text, len(splits.train), [])]
    over = [(x, n) for x, n in zip(splits.test, lengths, strict=False) if n > limit]
    if len(over) <= MANY_LOST * len(lengths):
        return section, []
    about = "" if chat else "about "
    known = (
        "the model's context length"
        if positions
        else "--max-prompt-tokens allows (with --model: than its context length)"
    )
    text = (
        f"{len(over)} of {len(lengths)} test prompts with {shown} solved examples in front have more than "
        f"{about}{limit} tokens, more than {known}: the control shows them fewer (--shots)."
    )
    places = [f"{plain(x.source or x.id)}: {about}{n} tokens" for x, n in over]
    return section, [warning("shots_too_long", text, len(over), list(dict.fromkeys(places)))]


def _lengths(test: Sequence[Example], task: Task, showing: Showing, config: FitConfig, chat: Chat | None) -> list[int]:
    """Return the tokens of every prompt, minus those that truncation (``elide``) removes."""
    count = counter(chat)

    def surplus(fields: Fields) -> int:
        over = count(task.prompt(fields)) - (config.max_prompt_tokens or 0) if config.elide else 0
        return max(over, 0)

    in_front, lengths = sum(surplus(one.fields) for one in showing.chosen), []
    with progress.track("measuring the prompts with solved examples", len(test)) as advance:
        for x in test:
            lengths.append(count(all_before(showing, x, task)) - in_front - surplus(x.fields))
            advance(1)
    return lengths
