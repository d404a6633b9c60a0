"""The sets of ``rationem fit summaries``: to write (``--task summarize``, the default) or compare (``judge``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rationem.config import FitConfig, Mark, flag_of, settings_with
from rationem.errors import ConfigError
from rationem.tasks.answer import AnswerTask
from rationem.tasks.judge import JudgeTask
from rationem.tasks.pairs import every_order
from rationem.tasks.template import read_template
from rationem.types import Example, Splits
from rationem.world.summaries.audiences import examples
from rationem.world.summaries.readers import PREFER, TASKS, WRITE

NAME = "summaries"
_VALIDATION, _TEST = 128, 256


def sets(config: FitConfig) -> tuple[AnswerTask | JudgeTask, Splits]:
    """Return the task and the three sets; no post is in two sets.

    Both tasks have equally many items per set: a comparison uses half the posts, each in both orders.

    Raises:
        ConfigError: a setting does not apply to this world, or a template does not fit.
    """
    for name in settings_with(Mark.OWN_DATA):
        if getattr(config, name):
            raise ConfigError(f"'{NAME}' has its own sets and wording; leave out {flag_of(name)}.")
    named = config.task or WRITE.name
    task = TASKS[named]
    if config.template:
        task = replace(task, template=read_template(Path(config.template)))
    if config.hint_template:
        task = replace(task, hint=read_template(Path(config.hint_template)))
    if config.reward:
        task = replace(task, rule=config.reward)
    train = _items(named, config.world_size, 0)
    validation = _items(named, _VALIDATION, config.world_size)
    test = _items(named, _TEST, config.world_size + _VALIDATION)
    return task, Splits(train[: config.limit], validation, test, {NAME: True})


def _items(task: str, count: int, start: int) -> tuple[Example, ...]:
    if task != PREFER.name:
        return examples(count, seed=0, start=start, task=task)
    return every_order(examples(-(-count // 2), seed=0, start=start, task=task), PREFER.scale)[:count]
