"""Tasks with open answers by name: ``--task``, its wording and reward, and the columns that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rationem import data, progress
from rationem.config import FitConfig, TaskKind, foreign_to
from rationem.engines import models
from rationem.errors import ConfigError, closest
from rationem.tasks import InputsTask, of_inputs
from rationem.tasks.own import whole
from rationem.tasks.protocol import Task
from rationem.tasks.template import Template, read_template

#: The default threshold for ROUGE-L. Chosen by judgement, not measured: summaries of one post by two people seldom
#: score higher, and a line that shares only common words seldom reaches it.
ROUGE_THRESHOLD = 0.3


def asked(config: FitConfig) -> InputsTask | None:
    """Return the task with open answers that ``--task`` names, with its default wording; None if it names none.

    Raises:
        ConfigError: there is no such task, or the user's file is not a task.
    """
    return None if config.task is None else of_inputs(config.task)


def of_preset(preset: str | None) -> InputsTask | None:
    """Return the task with open answers of a published data set; None if it has none."""
    name = data.PRESETS[preset].task if preset in data.PRESETS else ""
    return of_inputs(name) if name else None


def worded(config: FitConfig, task: InputsTask) -> InputsTask:
    """Return the task with the wording and the reward that the configuration names.

    Raises:
        ConfigError: a template or the reward does not fit, or a setting belongs to another task.
    """
    check_settings(config, task)
    return task.reworded(dict(_changed(config)))


def hint_of(config: FitConfig, items: str) -> Template | None:
    """Return the given hint, or the words that an embedded model was trained on; None for the package's."""
    if config.hint_template:
        return read_template(Path(config.hint_template))
    own = models.EMBEDDED[config.model].hints.get(items) if config.model in models.EMBEDDED else None
    return Template(own, f"the words of {config.model}") if own else None


def _changed(config: FitConfig) -> Iterator[tuple[str, Any]]:
    if config.template:
        yield "template", read_template(Path(config.template))
    if config.verdict_marker:
        yield "marker", config.verdict_marker
    if config.hint_template:
        yield "hint", read_template(Path(config.hint_template))
    if config.instruction:
        yield "instruction", config.instruction
    if config.reward is not None:
        yield "rule", config.reward


def check_settings(config: FitConfig, task: InputsTask) -> None:
    """Reject settings of other tasks instead of ignoring them.

    Raises:
        ConfigError: names the setting and what the task reads instead.
    """
    foreign = [name for name in foreign_to(TaskKind.OPEN) if getattr(config, name)]
    foreign += ["raters"] if config.raters != "each" else []
    foreign += [] if config.shuffle_choices else ["shuffle_choices"]
    if foreign:
        flag = "--no-shuffle-choices" if foreign[0] == "shuffle_choices" else f"--{foreign[0].replace('_', '-')}"
        inputs = ", ".join((*task.inputs, *task.optional))
        raise ConfigError(
            f"{flag} applies to judging or multiple choice, but the task {task.name!r} has open answers: it reads its "
            f"inputs ({inputs}; --prompt-col, --context-col, --inputs-col INPUT=COLUMN) and the answer (--answer-col)."
        )


def columns_of(config: FitConfig, task: InputsTask) -> data.Columns | None:
    """Return the columns that the configuration names for a task, the others open; None if it names none.

    Raises:
        ConfigError: a column is named for an input that the task does not have, or twice.
    """
    check_settings(config, task)
    named = _inputs(config)
    known = (*task.inputs, *task.optional)
    for field in named:
        if field not in known:
            flag = "--inputs-col" if field not in ("prompt", "context") else f"--{field}-col"
            raise ConfigError(
                f"{flag}: the task {task.name!r} has no input {field!r}.{closest(field, known)} Its inputs: "
                f"{list(known)}."
            )
    if not named and not any((config.answer_col, config.id_col, config.group_col)):
        return None
    inputs = tuple((field, named.get(field, "")) for field in task.inputs)
    optional = tuple((field, named[field]) for field in task.optional if field in named)
    answer = config.answer_col or ""
    return data.Columns(rating=answer, id=config.id_col, group=config.group_col, inputs=inputs, optional=optional)


def _inputs(config: FitConfig) -> dict[str, str]:
    """Return input -> column from the flags."""
    flags = {"prompt": config.prompt_col, "context": config.context_col}
    return inputs_of(config.inputs_col, {field: name for field, name in flags.items() if name is not None})


def inputs_of(texts: Sequence[str], before: Mapping[str, str]) -> dict[str, str]:
    """Return input -> column from ``--inputs-col INPUT=COLUMN ...`` and the flags before it.

    Raises:
        ConfigError: one is malformed, or an input has two columns.
    """
    named = dict(before)
    for text in texts:
        field, equals, column = (part.strip() for part in text.partition("="))
        if not (field and equals and column):
            raise ConfigError(f"--inputs-col {text!r}: write INPUT=COLUMN, such as topic=about.")
        if field in named:
            raise ConfigError(f"--inputs-col {text!r}: the input {field!r} already has a column.")
        named[field] = column
    return named


def with_reward(config: FitConfig, task: Task) -> FitConfig:
    """Return the settings with the task's name and, if they were open, its reward and threshold.

    A user's own task keeps the absolute path of its file, so that it can be found again.
    """
    rule = str(task.describe()["reward"])
    threshold = config.threshold or (ROUGE_THRESHOLD if rule == "rouge-l" else 1.0)
    if config.threshold is None and threshold < 1:
        progress.say(
            f"A draft is accepted if its ROUGE-L with the answer is at least {threshold}. This value is a default, "
            "not a measured optimum; change it with --threshold."
        )
    name = whole(config.task or "") or task.name
    return config.replace(task=name, reward=rule, threshold=threshold)
