"""The sets of ``rationem fit addition``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rationem.config import FitConfig, Mark, flag_of, settings_with
from rationem.errors import ConfigError
from rationem.tasks.answer import AnswerTask
from rationem.tasks.template import read_template
from rationem.types import Splits
from rationem.world.addition.sums import TASK, examples

NAME = "addition"
_VALIDATION, _TEST = 128, 256


def sets(config: FitConfig) -> tuple[AnswerTask, Splits]:
    """Return the task and the three sets, mixtures of all lengths; the sets are disjoint.

    Raises:
        ConfigError: a setting does not apply to this world, or a template does not fit.
    """
    for name in settings_with(Mark.OWN_DATA):
        if getattr(config, name):
            raise ConfigError(f"'{NAME}' has its own task and its own sets; leave out {flag_of(name)}.")
    task = TASK
    if config.template:
        task = replace(task, template=read_template(Path(config.template)))
    if config.hint_template:
        task = replace(task, hint=read_template(Path(config.hint_template)))
    train = examples(config.world_size)
    validation = examples(_VALIDATION, start=len(train))
    test = examples(_TEST, start=len(train) + _VALIDATION)
    return task, Splits(train[: config.limit], validation, test, {NAME: True})
