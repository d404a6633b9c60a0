"""Your own task as a TOML file; see :mod:`rationem.tasks.own`."""

from __future__ import annotations

from pathlib import Path

from rationem.errors import ConfigError, closest
from rationem.tasks.answer import AnswerTask
from rationem.tasks.scale import ANSWER
from rationem.tasks.template import Template, packaged, read_template, read_toml

_KEYS = ("name", "inputs", "optional", "prompt", "template", "hint", "answer", "reward", "marker", "instruction")


def read_toml_task(path: Path) -> AnswerTask:
    """Return the task of a TOML file.

    Raises:
        ConfigError: it cannot be read, or is not a task.
    """
    content = read_toml(path, "the task")
    for key in content:
        if key not in _KEYS:
            raise ConfigError(f"{path}: unknown key {key!r}.{closest(key, _KEYS)} Known: {list(_KEYS)}.")
    lists = {key: content.get(key, []) for key in ("inputs", "optional")}
    for key, value in content.items():
        right = isinstance(value, list) and all(isinstance(one, str) for one in value) if key in lists else None
        if not (isinstance(value, str) if right is None else right):
            raise ConfigError(f"{path}: {key} = {value!r}: {'a list of names' if key in lists else 'text'} is needed.")
    if ("prompt" in content) == ("template" in content):
        raise ConfigError(f'{path}: give the question\'s wording, as prompt = """...""" or as template = "FILE".')
    if "prompt" in content:
        wording = Template(content["prompt"].strip("\n"), f"{path}, prompt")
    else:
        wording = read_template(path.parent / content["template"])
    hint = Template(content["hint"].strip("\n"), f"{path}, hint") if "hint" in content else packaged("answer_hint")
    try:
        return AnswerTask(
            content.get("name", path.stem),
            wording,
            hint,
            content.get("answer", "text"),
            content.get("reward", "exact"),
            tuple(lists["inputs"]) or ("prompt",),
            tuple(lists["optional"]),
            content.get("marker", ANSWER),
            content.get("instruction", ""),
        )
    except ConfigError as error:
        raise error if str(path) in str(error) else ConfigError(f"{path}: {error}") from error
